"""Counting what becomes of letters: what a letter's answer means for each recipient, and the worker's own tally.

Counting is cheap and never in a letter's way: a worker adds up in memory and writes every few seconds. A worker that is
killed loses what it counted since, a few seconds of figures; no letter and no cent hangs on them.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from pennyred.gate.judging.standing import Judgement
from pennyred.gate.letterbox import Answer, Due, Duplicate, Envelope, Fate, Later, Relay
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import UNKNOWN, Fact, Figures, Outcome, plain_name
from pennyred.postage.alteration import Row
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Kind, Reason

SOURCES_GATHERED_MAX = 2_000
"""In memory between two writings, about 1 MiB: what one transaction writes in some hundredths of a second."""
FACTS_GATHERED_MAX = 1_000
"""The most facts that are counted and not yet added up: about 0.3 MiB."""
DAYS_GATHERED_MAX = 7
"""Figures wait so long for a state that does not answer; the oldest go first."""

_OF_FATE = {
    Fate.ACCEPTED: Outcome.ACCEPTED,
    Fate.REFUSED_PERMANENT: Outcome.REFUSED_UPSTREAM,
    Fate.REFUSED_TEMPORARY: Outcome.DEFERRED_UPSTREAM,
    Fate.IN_DOUBT: Outcome.DEFERRED_UPSTREAM,
    Fate.NOT_SENT: Outcome.DEFERRED_UPSTREAM,
}


class Judged(NamedTuple):
    """One recipient as the desk has judged it."""

    reason: Reason
    fate: Fate | None = None
    """What became of it; None: it was not sent to."""
    by_bulk: bool | None = None
    """Whether mode "bulk" would refuse it; None: not known."""
    by_require: bool | None = None
    """Whether mode "require" would."""
    row: Row | None = None
    """Which row of the table of alterations its stamp has come to."""


def facts(
    day: int, mode: Mode, answer: Answer, recipients: Iterable[Judged], source: str, sender_domain: str
) -> list[Fact]:
    """What to count of one answered letter.

    `day` is days since 1970-01-01 UTC, `source` the name it is counted under (a network, a proven domain), empty where
    it is not known. Whether a mode would refuse is completed where it follows from what happened.
    """
    shown_source, shown_domain = plain_name(source) or UNKNOWN, plain_name(sender_domain)
    counted = []
    for reason, fate, by_bulk, by_require, row in recipients:
        outcome = _outcome(answer, fate)
        bulk = _would_refuse(Mode.BULK, mode, outcome, reason, by_bulk)
        require = _would_refuse(Mode.REQUIRE, mode, outcome, reason, by_require)
        told = _told(answer, reason)
        if told is Reason.DNS_UNAVAILABLE:  # its sender may be somebody who comes free
            bulk = require = None
        counted.append(Fact(day, mode, outcome, told, bulk, require, shown_source, shown_domain, row))
    return counted


def facts_of(judgement: Judgement | None, envelope: Envelope, answer: Answer, *, mode: Mode, day: int) -> list[Fact]:
    """What to count of a letter as the desk has judged it; None: it could not be judged (in mode "monitor")."""
    domain = envelope.sender.rpartition(b"@")[2].decode("utf-8", "replace").lower()
    if judgement is None:
        unjudged = Judged(Reason.INTERNAL, _fates(answer).get(0))
        return facts(day, mode, answer, [unjudged] * len(envelope.recipients), "", domain)
    fates = _fates(answer)
    judged = [
        Judged(one.reason, fates.get(one.index), one.is_over_allowance, row=one.verdict.row if one.verdict else None)
        for one in judgement.standings
    ]
    source = judgement.authentication.organisation or next(iter(judgement.networks), "")
    return facts(day, mode, answer, judged, source, domain)


def _fates(answer: Answer) -> dict[int, Fate]:
    """What became of a letter, by the recipient's place in the envelope."""
    return dict(zip(answer.sent_to, answer.delivered.fates, strict=True)) if isinstance(answer, Relay) else {}


def _outcome(answer: Answer, fate: Fate | None) -> Outcome:
    match answer:
        case Relay():
            # Who was left out of the delivery has had the letter before.
            return Outcome.DUPLICATE if fate is None else _OF_FATE[fate]
        case Duplicate():
            return Outcome.DUPLICATE
        case Due(reason=reason):
            return Outcome.DEFERRED_HERE if reason.is_cured_by_time else Outcome.REFUSED_HERE
        case Later():
            return Outcome.DEFERRED_HERE


def _told(answer: Answer, reason: Reason) -> Reason:
    """The rule to count a recipient under: its own, or that which turned the whole letter away and it with it."""
    match answer:
        case Due(reason=due):
            return reason if reason.kind is Kind.DUE else due
        case Later(reason=later):
            return reason if reason.kind is Kind.LATER else later
        case _:
            return reason


@lru_cache(maxsize=1000)
def _would_refuse(asked: Mode, mode: Mode, outcome: Outcome, reason: Reason, known: bool | None) -> bool | None:
    """Whether the mode asked about refuses this recipient: what it did where it is the gate's own, else what was found
    out, else what the reason alone says.
    """
    if asked is mode and outcome is not Outcome.DEFERRED_HERE:
        return outcome is Outcome.REFUSED_HERE
    if known is not None:
        return known
    if reason.is_cured_by_time:
        return None
    if asked is Mode.BULK:
        # Only the counters know whether the allowance would have lasted.
        return None if reason.kind is Kind.DUE else False
    return reason.kind is Kind.DUE or reason is Reason.ALLOWANCE


class FigureBook(Protocol):
    """Where figures are kept."""

    async def add(self, figures: Figures) -> None:
        """Count these; when this returns, it is durable. May raise `Unavailable`."""
        ...


class FigureTally:
    """What one worker has counted and not written yet. For one event loop."""

    def __init__(self, book: FigureBook) -> None:
        self._book = book
        self._gathered = Figures()
        self._alike: dict[Fact, int] = {}
        """How many letters to one recipient there were with this fact: most are alike, and are added up together."""

    def note(self, letter: Sequence[Fact]) -> None:
        """Count one letter. Cheap, waits for nobody, raises nothing."""
        if len(letter) == 1:
            fact = letter[0]
            self._alike[fact] = self._alike.get(fact, 0) + 1
        else:
            self._gathered.add(letter)
        if len(letter) > 1 or len(self._alike) >= FACTS_GATHERED_MAX:
            self._add_up()

    def _add_up(self) -> None:
        alike, self._alike = self._alike, {}
        for fact, letters in alike.items():
            self._gathered.add([fact], letters)
        if len(self._gathered.sources) > 2 * SOURCES_GATHERED_MAX:
            self._gathered.bound(SOURCES_GATHERED_MAX, DAYS_GATHERED_MAX)

    async def flush(self) -> bool:
        """Write down what has gathered; False where the state does not answer, and then it waits for the next time."""
        self._add_up()
        if not self._gathered:
            return True
        # Letters that are answered meanwhile are counted apart. A flush that is cancelled is carried out all the same
        # (`storage.groupcommit`): to keep its figures as well would count them twice.
        figures, self._gathered = self._gathered, Figures()
        figures.bound(SOURCES_GATHERED_MAX, DAYS_GATHERED_MAX)
        try:
            await self._book.add(figures)
        except Unavailable:
            figures.merge(self._gathered)
            figures.bound(SOURCES_GATHERED_MAX, DAYS_GATHERED_MAX)
            self._gathered = figures
            return False
        return True

    async def run(self, pause_seconds: float) -> None:
        """Write down what gathers, time and again; runs until it is cancelled, and then `flush` once more."""
        while True:
            await asyncio.sleep(pause_seconds)
            await self.flush()
