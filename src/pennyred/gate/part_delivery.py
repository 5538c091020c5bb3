"""A retry after answers that differed (LMTP) goes to those only who have not had the letter, stamped or not.

Where a stamp was spent, the office knows. Else the gate remembers it, or the others would be given a copy with every
retry, for days. Where its memory does not answer, they are: a copy too many is better than a letter that waits for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from msgspec import Struct

from pennyred.gate.judging.standing import Standing
from pennyred.gate.letterbox import Fate
from pennyred.gate.ports import PartDeliveryBook
from pennyred.postage.errors import Unavailable

_COMES_AGAIN = (Fate.REFUSED_TEMPORARY, Fate.IN_DOUBT, Fate.NOT_SENT)


class PartDelivery(Struct, frozen=True):
    """Who has had one letter, among the recipients that no stamp answers for. For mail servers that answer for each."""

    book: PartDeliveryBook
    free: Sequence[Standing]
    had: frozenset[int]
    """Indexes of those whom an earlier attempt has reached."""

    @classmethod
    async def look(cls, book: PartDeliveryBook, free: Sequence[Standing]) -> Self:
        """Find out whom an earlier attempt has reached; nobody, where the book does not answer."""
        letters = [one.letter_hash for one in free if one.letter_hash]
        found: frozenset[bytes] = frozenset()
        if letters:
            with suppress(Unavailable):
                found = await book.had(letters)
        return cls(book, free, frozenset(one.index for one in free if one.letter_hash in found))

    async def note(self, going: Sequence[int], fates: Sequence[Fate], *, day: int) -> None:
        """What has become of the letter for those it was sent to: if it will come again, note who has it by now."""
        if not any(fate in _COMES_AGAIN for fate in fates):
            return
        reached = {index for index, fate in zip(going, fates, strict=True) if fate is Fate.ACCEPTED} | self.had
        letters = [one.letter_hash for one in self.free if one.index in reached and one.letter_hash]
        if letters:
            with suppress(Unavailable):
                await self.book.add(day, letters)
