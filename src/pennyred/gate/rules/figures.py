"""The figures of a gate: what became of each recipient of each letter, added up by day.

A fact is about one recipient of one answered letter. A letter that comes again is a fact again. Figures are facts added
up. They are exact for outcomes and rules. For sources they are exact for those that occur most; all others are in one
sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

from pennyred.gate.rules.exemptions import Mode
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason

OTHERS = "(others)"
"""The name under which sources stand that are too many to be kept one by one."""
UNKNOWN = "(unknown)"
"""The name of a source that nobody told."""
SEVERAL = "(several)"
"""The domain of a source that has come under more than one: a network that many domains share belongs to none."""
NAME_CHARACTERS_MAX = 255
"""Of a source or a domain: as long as a domain can be (RFC 1035 section 2.3.4)."""


class Outcome(StrEnum):
    """What became of a letter for one recipient. The names are stored and in `--json`: they never change."""

    ACCEPTED = "accepted"
    """Delivered to the mail server."""
    DUPLICATE = "duplicate"
    """It had been delivered before: answered well, and neither forwarded nor charged."""
    REFUSED_HERE = "refused-here"
    """By the gate: postage was due."""
    DEFERRED_HERE = "deferred-here"
    """By the gate: the sender was told to come again."""
    REFUSED_UPSTREAM = "refused-upstream"
    """By the mail server, whatever the gate thought of it."""
    DEFERRED_UPSTREAM = "deferred-upstream"
    """By the mail server, or it did not answer."""


class Fact(NamedTuple):
    """What is counted of one recipient of one answered letter. The texts are bounded and printable (`plain_name`)."""

    day: int
    """UTC, days since 1970-01-01."""
    mode: Mode
    """The gate's, by which it judged the letter."""
    outcome: Outcome
    reason: Reason
    by_bulk: bool | None
    """Whether mode "bulk" refuses this recipient; None: not known."""
    by_require: bool | None
    """Whether mode "require" does."""
    source: str
    """Where it came from: a network like 192.0.2.0/24, or a domain that was proven."""
    sender_domain: str
    """The domain it said it was from, proven or not; empty for a bounce."""
    row: Row | None = None
    """Which row of the table of alterations its stamp has come to; None: there was no stamp to compare it with."""


class Count(NamedTuple):
    """What recipients are told apart by."""

    day: int
    mode: Mode
    outcome: Outcome
    reason: Reason
    by_bulk: bool | None
    by_require: bool | None


class RowCount(NamedTuple):
    """What recipients of stamped letters are told apart by."""

    day: int
    outcome: Outcome
    row: Row


@dataclass(slots=True)
class Trouble:
    """What one source brought on one day, in recipients."""

    sender_domain: str = ""
    """The one it said it was, or `SEVERAL`; empty: it said none."""
    refused: int = 0
    """How many the gate has refused."""
    would_refuse: int = 0
    """Not refused, but mode "require" would have."""

    @property
    def total(self) -> int:
        """What sources are ranked by."""
        return self.refused + self.would_refuse

    def add(self, other: "Trouble") -> None:
        """Count what the other has seen."""
        domains = {self.sender_domain, other.sender_domain} - {""}
        self.sender_domain = SEVERAL if len(domains) > 1 else next(iter(domains), "")
        self.refused += other.refused
        self.would_refuse += other.would_refuse


@dataclass(slots=True)
class Figures:
    """Facts added up. There are at most a few hundred counts a day; only sources can become many: see `bound`."""

    recipients: dict[Count, int] = field(default_factory=dict)
    letters: dict[tuple[int, Mode], int] = field(default_factory=dict)
    """By day and mode. Answered, not delivered: one that comes again counts again."""
    sources: dict[tuple[int, str], Trouble] = field(default_factory=dict)
    """By day and source; only those with something refused, or that would have been."""
    rows: dict[RowCount, int] = field(default_factory=dict)
    """How many recipients each row of the table of alterations has decided about."""

    def __bool__(self) -> bool:
        return bool(self.recipients)

    @classmethod
    def of(cls, letters: Iterable[Sequence[Fact]]) -> Self:
        """The figures of letters, each given by the facts of its recipients."""
        figures = cls()
        for facts in letters:
            figures.add(facts)
        return figures

    def add(self, facts: Sequence[Fact], letters: int = 1) -> None:
        """Count one letter, or several that have the same facts; one without recipients is none."""
        if not facts:
            return
        letter = (facts[0].day, facts[0].mode)
        self.letters[letter] = self.letters.get(letter, 0) + letters
        for fact in facts:
            count = Count(fact.day, fact.mode, fact.outcome, fact.reason, fact.by_bulk, fact.by_require)
            self.recipients[count] = self.recipients.get(count, 0) + letters
            if fact.row is not None:
                row = RowCount(fact.day, fact.outcome, fact.row)
                self.rows[row] = self.rows.get(row, 0) + letters
            is_refused = fact.outcome is Outcome.REFUSED_HERE
            if is_refused or fact.by_require:
                found = self.sources.setdefault((fact.day, fact.source), Trouble())
                found.add(Trouble(fact.sender_domain, letters if is_refused else 0, 0 if is_refused else letters))

    def merge(self, later: "Figures") -> None:
        """Count what others have counted, later than these."""
        for count, number in later.recipients.items():
            self.recipients[count] = self.recipients.get(count, 0) + number
        for row, number in later.rows.items():
            self.rows[row] = self.rows.get(row, 0) + number
        for letter, number in later.letters.items():
            self.letters[letter] = self.letters.get(letter, 0) + number
        for name, trouble in later.sources.items():
            self.sources.setdefault(name, Trouble()).add(trouble)

    def bound(self, sources_max: int, days_max: int) -> None:
        """Keep the sources that occur most and the last days; put the other sources of each day into one sum
        (`OTHERS`).

        A source that was put to the others and comes again is counted anew. So the count under its name is the least it
        can be.
        """
        newest = max((day for day, _ in self.letters), default=0)
        self.recipients = {count: number for count, number in self.recipients.items() if newest - count.day < days_max}
        self.rows = {row: number for row, number in self.rows.items() if newest - row.day < days_max}
        self.letters = {letter: number for letter, number in self.letters.items() if newest - letter[0] < days_max}
        sources = {name: trouble for name, trouble in self.sources.items() if newest - name[0] < days_max}
        named = sorted((name for name in sources if name[1] != OTHERS), key=lambda name: (-sources[name].total, name))
        for day, source in named[sources_max:]:
            trouble = sources.pop((day, source))
            trouble.sender_domain = ""
            sources.setdefault((day, OTHERS), Trouble()).add(trouble)
        self.sources = sources


class SourceTotal(NamedTuple):
    """One source over a whole period."""

    source: str
    sender_domain: str
    """The one it said it was, or `SEVERAL`."""
    refused: int
    would_refuse: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was counted from one day to another, both included."""

    since_day: int
    until_day: int
    figures: Figures
    """Without its sources, which are in `sources`."""
    sources: tuple[SourceTotal, ...] = ()
    """Those with most refused, or that would have been, first; `OTHERS`, where there are some, last."""


def plain_name(text: str) -> str:
    """A source's or a domain's name as it may be stored and shown: whatever a stranger wrote, bounded and printable."""
    if len(text) > NAME_CHARACTERS_MAX:
        text = text[: NAME_CHARACTERS_MAX - 3] + "..."
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "?" for one in text)
