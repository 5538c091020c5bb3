"""What a letter waits for each contestant, at half of what that contestant can do, beyond what it waits for nothing."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .arrivals import Waits, at_a_rate
from .contestants import Contestant
from .figures import MEASURES, Figures
from .load import Load
from .report import LIMIT
from .turns import Field

PERCENTS = (50, 99)


@dataclass(frozen=True, slots=True)
class Added:
    """One round of one contestant."""

    contestant: str
    load: Load
    rate: float
    waits: dict[int, float]
    """Milliseconds by percentile."""
    added: dict[int, float]
    """The same, less what the same letters at the same rate took through nothing, just before."""


def measure(everybody: Field, figures: Figures, load: Load, rounds: int, done: Callable[[], None]) -> list[Added]:
    """At half of the rate that `figures` has for each."""
    [nothing] = [one for one in everybody.contestants if one.name == LIMIT]
    found = []
    for _ in range(rounds):
        for contestant in everybody.contestants:
            if contestant is nothing:
                continue
            rate = figures.median(MEASURES["letters a second"], contestant.name, load) / 2
            base, waits = (_waits(everybody, one, load, rate) for one in (nothing, contestant))
            by_percent = {percent: waits.percentile(percent) for percent in PERCENTS}
            added = {percent: by_percent[percent] - base.percentile(percent) for percent in PERCENTS}
            found.append(Added(contestant.name, load, rate, by_percent, added))
            done()
    return found


def _waits(everybody: Field, contestant: Contestant, load: Load, rate: float) -> Waits:
    letters = everybody.letters_for(contestant, max(100, min(1000, round(3 * rate))), load.kib)
    contestant.letters += len(letters)
    return at_a_rate(contestant.port, letters, rate, load.clients)


def show(console: Console, found: list[Added]) -> None:
    """Medians over the rounds."""
    table = Table(
        "", "letters a second", *(f"p{percent}, ms" for percent in PERCENTS), title="added at half of the limit"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for load, name in dict.fromkeys((one.load, one.contestant) for one in found):
        rounds = [one for one in found if (one.load, one.contestant) == (load, name)]
        table.add_row(
            f"{load}: {name}",
            f"{statistics.median(one.rate for one in rounds):.0f}",
            *(f"{statistics.median(one.added[percent] for one in rounds):.1f}" for percent in PERCENTS),
        )
    console.print(table)
