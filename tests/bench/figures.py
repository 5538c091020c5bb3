"""Medians and ratios of turns."""

import statistics
from collections.abc import Callable, Iterable

from .load import Load
from .turns import Turn

Measure = Callable[[Turn], float]

MEASURES: dict[str, Measure] = {
    "letters a second": lambda turn: turn.sent.rate,
    "CPU ms a letter": lambda turn: turn.cpu_ms_per_letter,
}


class Figures:
    """The turns of one run, asked for medians. Loads and contestants keep the order in which they came."""

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self.turns = list(turns)

    @property
    def loads(self) -> list[Load]:
        return list(dict.fromkeys(turn.load for turn in self.turns))

    @property
    def contestants(self) -> list[str]:
        return list(dict.fromkeys(turn.contestant for turn in self.turns))

    def values(self, measure: Measure, contestant: str, load: Load) -> list[float]:
        """One a round."""
        return [measure(turn) for turn in self.turns if turn.contestant == contestant and turn.load == load]

    def median(self, measure: Measure, contestant: str, load: Load) -> float:
        return statistics.median(self.values(measure, contestant, load))

    def ratio(self, measure: Measure, one: str, other: str, load: Load) -> float:
        """How many times the other's: the median of the ratios of each round, as what disturbs a round disturbs both."""
        pairs = zip(self.values(measure, one, load), self.values(measure, other, load), strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs if theirs)
