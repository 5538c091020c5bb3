"""Aliases that were taken away. A stamp made out to one may have paid for a letter that comes again.

The names that stamps have paid under are remembered for some weeks. A stamp for such a name does not pay any more. But
it is bound to the letter all the same, so its office is asked whether it has paid for it (`holding`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from pennyred.gate.judging.stamps import Examiner
from pennyred.gate.judging.standing import Judgement, Ruling, Standing
from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import recipient_hash
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

NOTED_MAX = 10_000


class NameBook(Protocol):
    """Where the names are written down; each method may raise `Unavailable`."""

    async def of(self, recipients: Sequence[str]) -> Sequence[Sequence[str]]:
        """The other names under which each recipient was paid for lately, all canonical."""
        ...

    async def add(self, day: int, pairs: Sequence[tuple[str, str]]) -> None:
        """Note recipients, and the name each was paid for under, on a day since 1970-01-01 UTC."""
        ...


class FormerNames:
    """What one worker knows of former aliases."""

    def __init__(self, book: NameBook) -> None:
        self._book = book
        self._noted: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def recall(self, judgement: Judgement, examiner: Examiner) -> list[Ruling]:
        """Find stamps that are made out to a former alias of their recipient.

        Only for recipients whose stamps are all made out to names that nobody here has now.
        """
        asked = [
            (one, one.recipient)
            for one in judgement.standings
            if one.reason is Reason.WRONG_RECIPIENT and one.recipient is not None and not one.is_watched
        ]
        if not asked:
            return []
        try:
            names = await self._book.of([recipient.canonical for _, recipient in asked])
        except Unavailable:
            return [Ruling(standing.index, doubt=Reason.STATE_UNAVAILABLE) for standing, _ in asked]
        if not any(names):
            return []
        recipients = [recipient for _, recipient in asked]
        known = [
            (recipient, *map(canonical_recipient, former)) for recipient, former in zip(recipients, names, strict=True)
        ]
        candidates = find_candidates(examiner.letter.header, recipients, known)
        rulings = []
        for (standing, _), own, offered in zip(asked, known, candidates, strict=True):
            found = examiner.examine(offered.stamps, own, standing.price, Reason.WRONG_RECIPIENT)
            good = [replace(one, reason=Reason.WRONG_RECIPIENT) for one in found.good]
            rulings.append(Ruling(standing.index, stamps=(*good, *found.flawed), verdict=found.verdict, names=own))
        return rulings

    async def note(self, paid: Sequence[Standing], day: int) -> None:
        """Remember the names under which these were paid for. A state that does not answer is passed over.

        Their letters have been delivered, so nothing may fail any more.
        """
        if all(len(one.names) < 2 for one in paid):
            return
        pairs = [(one.names[0].canonical, name.canonical) for one in paid if (name := _alias_of(one)) is not None]
        new = [pair for pair in pairs if self._noted.get(pair) != day]
        if not new:
            return
        with suppress(Unavailable):
            await self._book.add(day, new)
            self._noted.update(dict.fromkeys(new, day))
            while len(self._noted) > NOTED_MAX:
                self._noted.popitem(last=False)


def _alias_of(standing: Standing) -> Recipient | None:
    """The alias that the stamp which pays is made out to; None where it is made out to the recipient itself."""
    stamp = standing.paid_by
    if len(standing.names) < 2 or stamp is None or stamp.salt is None:
        return None
    salt, made_out_to = stamp.salt, stamp.recipient_hash
    if recipient_hash(salt, standing.names[0]) == made_out_to:
        return None
    return next((name for name in standing.names[1:] if recipient_hash(salt, name) == made_out_to), None)
