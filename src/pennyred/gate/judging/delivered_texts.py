"""Which text each stamp has paid for here: so that an honest letter that comes by two paths is told so (`resent`).

A path may give a letter another Message-ID. Then it is another letter to an office, and its stamp is spent. The sender
would go and look for a thief. So the gate remembers a digest of the text, and when it was delivered. The digest is
salted with the stamp's salt, which no office and no state knows. It is written once a second, not once a letter: what
a kill loses is told as `spent`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from pennyred.gate.judging.standing import Judgement, Ruling, Standing
from pennyred.postage.alteration import text_digest
from pennyred.postage.digest import SignedParts
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import StampKey
from pennyred.postage.verification import Verdict

GATHERED_MAX = 10_000
"""The most that waits to be written, about 3 MiB; beyond, the oldest go first."""
_WRITTEN_AT_ONCE = 1_000

Name = tuple[str, StampKey]
"""What a stamp is known by, its office included."""


class DeliveredText(NamedTuple):
    """What a stamp has paid for."""

    text: bytes
    """`alteration.text_digest`, 16 bytes."""
    at: int
    """When it was delivered, seconds since 1970-01-01 UTC."""


class TextBook(Protocol):
    """Where it is written down; each method may raise `Unavailable`."""

    async def of(self, stamps: Sequence[Name]) -> Sequence[DeliveredText | None]:
        """The first text that each stamp has paid for here; None where that is not known."""
        ...

    async def add(self, delivered: Mapping[Name, DeliveredText]) -> None:
        """Note what these stamps have paid for; what is known of a stamp stays."""
        ...


class DeliveredTexts:
    """What one worker knows of delivered texts. For one event loop."""

    def __init__(self, book: TextBook) -> None:
        self._book = book
        self._gathered: dict[Name, DeliveredText] = {}

    def note(self, paid: Sequence[Standing], parts: SignedParts, now: int) -> None:
        """Remember recipients who have had their letter, and for each of whom a stamp was taken. Waits for nobody."""
        for one in paid:
            stamp, recipient = one.paid_by, one.recipient
            if stamp is not None and recipient is not None:
                verdict = one.verdict if one.verdict is not None and one.verdict.stamp is stamp else None
                text = text_digest(stamp, parts, recipient, verdict.row if verdict else None)
                self._gathered.setdefault((stamp.issuer, stamp.key), DeliveredText(text, now))
        self._bound()

    async def recall(self, judgement: Judgement, spent: Mapping[int, Verdict]) -> list[Ruling]:
        """Which of the recipients whose stamps are spent, by index, have had this text by them.

        Where the state does not answer, it is not known: the stamp is spent all the same.
        """
        asked = [
            (one, one.recipient, spent[one.index])
            for one in judgement.standings
            if one.reason is Reason.SPENT and one.index in spent and one.recipient is not None
        ]
        names = [(verdict.stamp.issuer, verdict.stamp.key) for _, _, verdict in asked]
        try:
            written = await self._book.of(names) if names else ()
        except Unavailable:
            written = [None] * len(names)
        rulings = []
        for (standing, recipient, verdict), name, known in zip(asked, names, written, strict=True):
            first = known or self._gathered.get(name)
            if first is not None and first.text == text_digest(verdict.stamp, judgement.parts, recipient, verdict.row):
                rulings.append(Ruling(standing.index, Reason.RESENT, delivered_at=first.at))
        return rulings

    async def flush(self) -> None:
        """Write down what has gathered. Where the state does not answer, it waits for the next time."""
        while self._gathered:
            some = dict(islice(self._gathered.items(), _WRITTEN_AT_ONCE))
            try:
                await self._book.add(some)
            except Unavailable:
                return
            for name in some:  # until now a letter that comes again would not be known by anybody
                self._gathered.pop(name, None)

    async def run(self, pause_seconds: float) -> None:
        """Write down what gathers, time and again; runs until it is cancelled, and then `flush` once more."""
        while True:
            await asyncio.sleep(pause_seconds)
            await self.flush()

    def _bound(self) -> None:
        while len(self._gathered) > GATHERED_MAX:
            del self._gathered[next(iter(self._gathered))]
