"""The desk of outgoing mail: letters go on as they came, and teach whom our users write to.

What has left is delivered or not by others; whatever goes wrong in learning keeps no letter from going on.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.gate.letterbox import Answer, Delivery, Envelope, Fate, Letter, Relay
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.rules.claims import author_of, is_automatic, message_ids
from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.gate.rules.grants import is_bounce_address, users_of
from pennyred.postage.address import Recipient
from pennyred.postage.errors import Unavailable

RECIPIENTS_LEARNED_MAX = 100
"""Of one letter. Whoever writes to more at once does not know them all."""
_AHEAD_SECONDS = DAY_SECONDS
"""Before which the final dot must be out: nothing is held for outgoing mail."""


class CorrespondentBook(Protocol):
    """Where it is written down whom our users write to."""

    async def note(
        self,
        *,
        day: int,
        users: tuple[str, ...],
        others: tuple[str, ...],
        message_ids: tuple[bytes, ...],
        bounces_to: str = "",
    ) -> None:
        """These users have written to these others, in a letter with these Message-IDs, on a day since 1970-01-01.

        `bounces_to` is the MAIL FROM it left with, where that is made to be bounced to.
        """
        ...


class OutgoingDesk:
    """Passes mail on and learns from it. Implements `letterbox.GateDesk`."""

    def __init__(
        self,
        book: CorrespondentBook,
        *,
        domains: Sequence[str],
        delimiter: str,
        clock: Callable[[], int],
        log: LetterLog,
    ) -> None:
        """`domains`: whose users are ours; none: whoever sends this way."""
        self._book = book
        self._domains = frozenset(domains)
        self.delimiter = delimiter
        """May be replaced."""
        self._clock = clock
        self._log = log

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        """Send the letter on, whole and untouched; learn from it what the next server has taken."""
        latest = asyncio.get_running_loop().time() + _AHEAD_SECONDS
        everyone = range(len(envelope.recipients))
        delivered = await delivery.send(everyone, b"", letter.header.raw, dot_before=latest)
        taken = [
            mailbox for mailbox, fate in zip(envelope.recipients, delivered.fates, strict=True) if fate is Fate.ACCEPTED
        ]
        try:
            await self._learn(letter, envelope, taken)
        except Unavailable as trouble:
            self._log.unlearned(str(trouble))
        except Exception as error:  # noqa: BLE001 - the letter is on its way: what becomes of it is not ours to change
            self._log.unlearned(repr(error))
        answer = Relay(delivered)
        self._log.went_out(letter, envelope, answer)
        return answer

    async def free_recipients(
        self, sender: bytes, source_ip: str, mailboxes: Sequence[bytes]
    ) -> Sequence[bool | None] | None:
        """Nobody needs a stamp here."""

    async def _learn(self, letter: Letter, envelope: Envelope, taken: Sequence[bytes]) -> None:
        """Only of what our user has written himself, in MAIL FROM and From alike: automatic answers, lists and
        redirected letters are begun by strangers, and would make friends of them. But whatever left with an address
        of ours that is made to be bounced to may come back to it.
        """
        sender = canonical_or_none(envelope.sender) if envelope.sender else None
        user = self._user(sender) if sender is not None and taken else ""
        if sender is None or not user:
            return
        bounces_to = {"bounces_to": sender.canonical} if is_bounce_address(sender, self.delimiter) else {}
        day = utc_day(self._clock())
        author = author_of(letter.header)
        if is_automatic(letter.header) or author is None or self._user(author) != user:
            if bounces_to:
                await self._book.note(day=day, users=(), others=(), message_ids=(), **bounces_to)
            return
        others = [canonical_or_none(mailbox) for mailbox in taken[:RECIPIENTS_LEARNED_MAX]]
        await self._book.note(
            day=day,
            users=(user,),
            others=tuple(dict.fromkeys(other.canonical for other in others if other is not None)),
            message_ids=tuple(message_ids(letter.header, b"message-id")[:1]),
            **bounces_to,
        )

    def _user(self, mailbox: Recipient) -> str:
        """Ours, without its tag: what is answered comes to either; empty for a stranger's."""
        is_ours = not self._domains or mailbox.domain in self._domains
        return users_of(mailbox, self.delimiter)[-1] if is_ours else ""
