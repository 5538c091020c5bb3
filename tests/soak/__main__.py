"""A soak: so many faults, one after another, while mail flows. The seed replays the choice of faults."""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from .faults import faults_for
from .stage import Stage
from .verdict import Verdict, judge, let_it_end

LETTERS_PER_FAULT = 3


def soak(stage: Stage, faults: int, seed: int, done: Callable[[], None] = lambda: None) -> tuple[Verdict, Counter[str]]:
    """Go through all of it; the verdict, and how often each fault came."""
    chance = random.Random(seed)
    kinds = faults_for(stage)
    came: Counter[str] = Counter()
    for _ in range(faults):
        name = chance.choice(list(kinds))
        stage.hand_in(LETTERS_PER_FAULT)
        kinds[name](stage, chance)
        came[name] += 1
        done()
        if stage.post.refusals:
            break
    let_it_end(stage)
    return judge(stage), came


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000, metavar="N", help="(default: 1000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), metavar="N")
    wanted = parser.parse_args()
    console = Console()
    console.print(f"seed {wanted.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Stage(Path(folder), LETTERS_PER_FAULT * wanted.faults + 10) as stage,
        Progress(
            *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        ) as progress,
    ):
        task = progress.add_task("faults", total=wanted.faults)
        verdict, came = soak(stage, wanted.faults, wanted.seed, lambda: progress.advance(task))
    show(console, verdict, came)
    return 1 if verdict.wrongs else 0


def show(console: Console, verdict: Verdict, came: Counter[str]) -> None:
    """Print what came of it, for people."""
    table = Table("fault", "times", title=f"{came.total()} faults")
    for name, times in sorted(came.items()):
        table.add_row(name, str(times))
    console.print(table)
    console.print(
        f"{verdict.letters} letters in {verdict.attempts} attempts; {verdict.lost_answers} answers were lost and "
        f'{verdict.put_off} were "later" after the final dot. Each was delivered, {verdict.delivered_twice} more than '
        f"once ({verdict.copies} copies), each of them after such an answer. Spent {verdict.spent}, held {verdict.held}."
    )
    for wrong in verdict.wrongs:
        console.print(f"WRONG: {wrong}")


if __name__ == "__main__":
    sys.exit(main())
