"""The gate beside others, in one run on one machine, in turns: letters a second, and CPU milliseconds a letter.

Everybody stands between the same load generator and the same smtp-sink, and gets the same letters, each with a stamp of
its own. The gate verifies it, holds it and settles it durably; the others only pass it on. Only the ratios mean
anything, as machines differ and are shared; CPU time a letter suffers least from what else a machine does.

Needs root and Debian's postfix; contestants whose program is not installed are left out, by name. Figures belong in the
commit that claims them.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from .contestants import CONTESTANTS, Contestant, Gate, Nothing, PostfixProxy
from .figures import Figures
from .load import Load
from .report import loads_table, shares_table, write_json
from .turns import Field, field

LOADS = [(kib, is_kept) for kib in (4, 64) for is_kept in (False, True)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cpu", action="store_true", help="only Postfix's proxy and the gate: quick, for who works on it"
    )
    parser.add_argument("--letters", type=int, default=1500, metavar="N", help="a turn (default: 1500)")
    parser.add_argument("--seconds", type=float, default=3, metavar="N", help="a turn at most (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each (default: 5)")
    parser.add_argument("--clients", type=int, default=16, metavar="N", help="at once (default: 16)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn there")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)")
    return parser.parse_args()


def measure(everybody: Field, wanted: argparse.Namespace, console: Console) -> Figures:
    """All loads, all rounds."""
    loads = [Load(kib, is_kept, wanted.clients) for kib, is_kept in LOADS]
    figures = Figures()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, auto_refresh=False
    ) as progress:
        task = progress.add_task("turns", total=len(loads) * wanted.rounds * len(everybody.contestants))

        def done() -> None:
            progress.advance(task)
            progress.refresh()

        for load in loads:
            everybody.warm_up(load)
        for _ in range(wanted.rounds):
            for load in loads:
                figures.turns += everybody.round(load, wanted.letters, wanted.seconds, done)
    return figures


def main() -> None:
    wanted = arguments()
    console = Console()
    kinds: tuple[type[Contestant], ...] = (Nothing, PostfixProxy, Gate) if wanted.cpu else CONTESTANTS
    with tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.folder) as folder:
        Path(folder).chmod(0o755)
        with field(Path(folder), kinds) as everybody:
            figures = measure(everybody, wanted, console)
            left_out = everybody.left_out
    for name in ("CPU ms a letter", "letters a second"):
        loads_table(console, figures, name)
    shares_table(console, figures)
    for name, why in left_out.items():
        console.print(f"Left out: {name}: {why}")
    if wanted.json:
        write_json(wanted.json, figures, left_out)


if __name__ == "__main__":
    main()
