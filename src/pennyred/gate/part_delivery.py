"""A retry after answers that differed (LMTP) goes to those only who have not had the letter, stamped or not.

Where a stamp was spent, the office knows. Else the gate remembers it, or the others would be given a copy with every
retry, for days. Where its memory does not answer, they are: a copy too many is better than a letter that waits for it.
"""

from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from pennyred.gate.judging.standing import Standing
from pennyred.gate.letterbox import Delivery, Fate
from pennyred.gate.ports import PartDeliveryBook
from pennyred.postage.errors import Unavailable

_COMES_AGAIN = (Fate.REFUSED_TEMPORARY, Fate.IN_DOUBT, Fate.NOT_SENT)


class PartDelivery(Struct):
    """Who has had one letter, among the recipients that no stamp answers for."""

    book: PartDeliveryBook
    delivery: Delivery
    free: Sequence[Standing]
    had: frozenset[int] = frozenset()
    """Indexes of those whom an earlier attempt has reached."""

    async def look(self) -> frozenset[int]:
        """Find out whom an earlier attempt has reached; with a mail server that has one answer for all, nobody."""
        letters = [one.letter_hash for one in self.free if one.letter_hash] if self.delivery.answers_each else []
        if letters:
            with suppress(Unavailable):
                found = await self.book.had(letters)
                self.had = frozenset(one.index for one in self.free if one.letter_hash in found)
        return self.had

    async def note(self, going: Sequence[int], fates: Sequence[Fate], *, day: int) -> None:
        """What has become of the letter for those it was sent to: if it will come again, note who has it by now."""
        if not self.delivery.answers_each or not any(fate in _COMES_AGAIN for fate in fates):
            return
        reached = {index for index, fate in zip(going, fates, strict=True) if fate is Fate.ACCEPTED} | self.had
        letters = [one.letter_hash for one in self.free if one.index in reached and one.letter_hash]
        if letters:
            with suppress(Unavailable):
                await self.book.add(day, letters)
