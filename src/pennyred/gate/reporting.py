"""What the figures of some days say: the sums that `pennyred report` prints, draws and gives as JSON. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from pennyred.days import date_of
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import Count, Outcome, Recorded
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Kind, Reason

Named = TypeVar("Named", Reason, tuple[Outcome, Reason])


class Group(Enum):
    """What recipients are told apart by for a reader, in the order of a report; the value is the heading."""

    FREE = "passed, free by a rule"
    STAMPED = "passed, stamped"
    DUE = "passed, postage due"
    UNJUDGED = "passed, not judged"
    DUPLICATE = "delivered before"
    REFUSED = "refused, postage due"
    DEFERRED = "told to come again"
    REFUSED_UPSTREAM = "refused by mail server"
    DEFERRED_UPSTREAM = "deferred by mail server"


_OF_OUTCOME = {
    Outcome.DUPLICATE: Group.DUPLICATE,
    Outcome.REFUSED_HERE: Group.REFUSED,
    Outcome.DEFERRED_HERE: Group.DEFERRED,
    Outcome.REFUSED_UPSTREAM: Group.REFUSED_UPSTREAM,
    Outcome.DEFERRED_UPSTREAM: Group.DEFERRED_UPSTREAM,
}
_OF_ACCEPTED = {
    Kind.EXEMPT: Group.FREE,
    Kind.PAID: Group.STAMPED,
    Kind.DUE: Group.DUE,
    Kind.LATER: Group.UNJUDGED,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What one mode refuses, or would have refused, of all that came; in recipients."""

    mode: Mode
    refused: int
    passed: int
    unknown: int
    reasons: tuple[tuple[Reason, int], ...]
    """Of those refused, the commonest first."""
    refused_upstream: int
    """How many of those refused the mail server has refused by itself."""

    @property
    def known(self) -> int:
        """Of how many it is known."""
        return self.refused + self.passed


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One UTC day, in recipients."""

    date: str
    groups: dict[Group, int]
    accepted: int
    """Those who have the letter, duplicates included."""
    accepted_due: int
    """Those of them whom mode "require" would have refused."""
    refused: int
    deferred: int
    would_refuse_bulk: int
    would_refuse_require: int


@dataclass(frozen=True, slots=True)
class Altered:
    """What became of stamped letters by how they were altered on the way, in recipients."""

    rows: tuple[tuple[Row, int], ...] = ()
    """Each row of the table of alterations that occurs, in the table's order."""
    outcomes: tuple[tuple[Row, Outcome, int], ...] = ()

    @property
    def recipients(self) -> int:
        """Those of all rows."""
        return sum(number for _, number in self.rows)

    @property
    def refused_by_reject(self) -> int:
        """How many `altered_body = "reject"` refuses whose stamps count with "accept"."""
        return sum(
            number for row, number in self.rows if row.reason.kind is Kind.PAID and row.strict_reason.kind is Kind.DUE
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of a period."""

    recorded: Recorded
    modes: tuple[Mode, ...]
    """Those the gate was in, strictest first."""
    letters: int
    recipients: int
    groups: tuple[tuple[Group, int, tuple[tuple[Reason, int], ...]], ...]
    """Each that occurs, how many recipients, and how many by rule."""
    outcomes: tuple[tuple[Outcome, Reason, int], ...]
    bulk: Judged
    require: Judged
    days: tuple[DayFigures, ...]
    """Every day of the period."""
    altered: Altered = Altered()

    @property
    def since(self) -> str:
        """The first day, like 2026-07-01."""
        return self.days[0].date

    @property
    def until(self) -> str:
        """The last one."""
        return self.days[-1].date

    @property
    def days_counted(self) -> tuple[DayFigures, ...]:
        """The days from the first on that has figures: before it there was nobody to count."""
        first = next((place for place, day in enumerate(self.days) if day.groups), len(self.days))
        return self.days[first:]


Counted = list[tuple[Count, int]]


def report_of(recorded: Recorded) -> Report:
    """Add it all up."""
    counts = list(recorded.figures.recipients.items())
    modes = {mode for _, mode in recorded.figures.letters}
    outcomes = _ranked(((count.outcome, count.reason), number) for count, number in counts)
    return Report(
        recorded,
        tuple(mode for mode in Mode if mode in modes),
        sum(recorded.figures.letters.values()),
        sum(number for _, number in counts),
        _grouped(counts),
        tuple((outcome, reason, number) for (outcome, reason), number in outcomes),
        _judged(Mode.BULK, counts),
        _judged(Mode.REQUIRE, counts),
        _days(recorded, counts),
        _altered(recorded),
    )


def group_of(count: Count) -> Group:
    """What to tell it as."""
    return _OF_OUTCOME.get(count.outcome) or _OF_ACCEPTED[count.reason.kind]


def _grouped(counts: Counted) -> tuple[tuple[Group, int, tuple[tuple[Reason, int], ...]], ...]:
    grouped = []
    for group in Group:
        rules = _ranked((count.reason, number) for count, number in counts if group_of(count) is group)
        if rules:
            grouped.append((group, sum(number for _, number in rules), tuple(rules)))
    return tuple(grouped)


def _judged(mode: Mode, counts: Counted) -> Judged:
    by_flag = Counter[bool | None]()
    refused_upstream = 0
    refused = []
    for count, number in counts:
        flag = count.by_bulk if mode is Mode.BULK else count.by_require
        by_flag[flag] += number
        if flag:
            refused.append((count.reason, number))
            refused_upstream += number if count.outcome is Outcome.REFUSED_UPSTREAM else 0
    return Judged(mode, by_flag[True], by_flag[False], by_flag[None], tuple(_ranked(refused)), refused_upstream)


def _altered(recorded: Recorded) -> Altered:
    rows, outcomes = Counter[Row](), Counter[tuple[Row, Outcome]]()
    for count, number in recorded.figures.rows.items():
        rows[count.row] += number
        outcomes[count.row, count.outcome] += number
    return Altered(
        tuple((row, rows[row]) for row in Row if row in rows),
        tuple((row, outcome, outcomes[row, outcome]) for row in Row for outcome in Outcome if outcomes[row, outcome]),
    )


def _days(recorded: Recorded, counts: Counted) -> tuple[DayFigures, ...]:
    by_day: dict[int, Counted] = {day: [] for day in range(recorded.since_day, recorded.until_day + 1)}
    for count, number in counts:
        by_day[count.day].append((count, number))
    return tuple(_day(day, of_day) for day, of_day in by_day.items())


def _day(day: int, counts: Counted) -> DayFigures:
    groups = Counter[Group]()
    outcomes = Counter[Outcome]()
    accepted_due = bulk = require = 0
    for count, number in counts:
        groups[group_of(count)] += number
        outcomes[count.outcome] += number
        bulk += number if count.by_bulk else 0
        require += number if count.by_require else 0
        is_accepted = count.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE)
        accepted_due += number if is_accepted and count.by_require else 0
    return DayFigures(
        date_of(day),
        dict(groups),
        outcomes[Outcome.ACCEPTED] + outcomes[Outcome.DUPLICATE],
        accepted_due,
        outcomes[Outcome.REFUSED_HERE] + outcomes[Outcome.REFUSED_UPSTREAM],
        outcomes[Outcome.DEFERRED_HERE] + outcomes[Outcome.DEFERRED_UPSTREAM],
        bulk,
        require,
    )


def _ranked(numbers: Iterable[tuple[Named, int]]) -> list[tuple[Named, int]]:
    """Summed up by name, the commonest first; of those alike, by name."""
    sums: dict[Named, int] = {}
    for name, number in numbers:
        sums[name] = sums.get(name, 0) + number
    return sorted(sums.items(), key=lambda item: (-item[1], str(item[0])))
