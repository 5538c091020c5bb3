"""The gate beside others, in one run on one machine, in turns: letters a second, CPU milliseconds a letter, how the
rate holds with more and more clients at once, and how long a letter waits at half of what each can do.

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

from . import crowd, latency
from .contestants import CONTESTANTS, Checkout, Contestant, Gate, Nothing, PostfixProxy
from .figures import Figures
from .latency import Added
from .load import Load
from .report import loads_table, shares_table, write_json
from .turns import Field, field

REPORT_COLUMNS = 150
"""Where nobody knows how wide the paper is."""
LOADS = [(kib, is_kept) for kib in (4, 64) for is_kept in (False, True)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cpu", action="store_true", help="only Postfix's proxy and the gate: quick, for who works on it"
    )
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="as --cpu, and the gate of another checkout in turns with this one"
    )
    parser.add_argument("--letters", type=int, default=1500, metavar="N", help="a turn (default: 1500)")
    parser.add_argument("--seconds", type=float, default=3, metavar="N", help="a turn at most (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each (default: 5)")
    parser.add_argument("--clients", type=int, default=16, metavar="N", help="at once (default: 16)")
    parser.add_argument(
        "--chunking", action="store_true", help="a sink of our own that offers CHUNKING, where Postfix's does not"
    )
    parser.add_argument("--short", action="store_true", help="one short turn of each: whether it works at all")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it (SVG); needs the extra [plot]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn there")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk (default: /var/tmp)")
    return parser.parse_args()


def measure(everybody: Field, wanted: argparse.Namespace, console: Console) -> tuple[Figures, Figures, list[Added]]:
    """All loads, all rounds; then more and more clients; then at half of what each can do."""
    loads = [Load(kib, is_kept, wanted.clients) for kib, is_kept in LOADS]
    kept = [load for load in loads if load.is_kept]
    crowds = crowd.CLIENTS[:: 4 if wanted.short else 1]
    count = len(everybody.contestants)
    figures = Figures()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, auto_refresh=False
    ) as progress:
        turns = wanted.rounds * (len(loads) * count + len(crowds) * count + len(kept) * (count - 1))
        task = progress.add_task("turns", total=turns)

        def done() -> None:
            progress.advance(task)
            progress.refresh()

        for load in loads:
            everybody.warm_up(load)
        for _ in range(wanted.rounds):
            for load in loads:
                figures.turns += everybody.round(load, wanted.letters, wanted.seconds, done)
        rates = crowd.measure(everybody, crowds, wanted.rounds, wanted.letters, wanted.seconds, done)
        added = [one for load in kept for one in latency.measure(everybody, figures, load, wanted.rounds, done)]
    return figures, rates, added


def main() -> None:
    wanted = arguments()
    if wanted.short:
        wanted.rounds, wanted.letters, wanted.seconds = 1, 200, 1
    console = Console()
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    kinds: tuple[type[Contestant], ...] = (Nothing, PostfixProxy, Gate) if wanted.cpu else CONTESTANTS
    if wanted.against:
        kinds = (Nothing, PostfixProxy, Checkout.at(wanted.against), Gate)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=wanted.folder) as folder:
        Path(folder).chmod(0o755)
        with field(Path(folder), kinds, is_chunking=wanted.chunking) as everybody:
            figures, rates, added = measure(everybody, wanted, console)
            left_out = everybody.left_out
    for name in ("CPU ms a letter", "letters a second"):
        loads_table(console, figures, name)
    shares_table(console, figures)
    crowd.show(console, rates)
    latency.show(console, added)
    for name, why in left_out.items():
        console.print(f"Left out: {name}: {why}")
    if wanted.json:
        write_json(wanted.json, figures, rates, added, left_out)
    if wanted.plot:
        from .plot import draw

        draw(wanted.plot, figures, rates, added)


if __name__ == "__main__":
    main()
