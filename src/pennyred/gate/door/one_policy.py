"""One policy class in each transaction: free recipients are kept apart from those that need a stamp.

A letter is refused as a whole if one recipient has no stamp. Nobody should lose mail by another recipient's rule. So a
RCPT of another class than the first accepted one is answered "too many recipients" (RFC 5321 section 4.5.3.1.10), and
the client comes again for the rest. A recipient whose class cannot be known now (the DNS is silent) goes alone. This
should be off behind a proxy that has the whole letter before it asks for recipients (Haraka's smtp_forward, Postfix's
`speed_adjust`). Such a proxy cannot come again for a part: it gives the letter up, each time its own client tries. A
client that does so is noticed, and not divided the third time.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pennyred.gate.letterbox import GateDesk
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.seldom import Seldom

TIMES = 2
"""Letters given up before a client is no longer divided: one may be an accident, such as a broken connection."""
GIVEN_UP_MAX = 10_000
"""Entries in one worker's memory. Beyond, the oldest is forgotten, and that client is divided again."""

Recipient = tuple[bytes, bytes] | bytes
"""A RCPT for the mail server (line and mailbox), or the gate's own reply, with which the mail server is not asked."""


class OneClass:
    """Keeps one transaction to the policy class of its first accepted recipient."""

    __slots__ = ("_desk", "_free", "_given_up", "_is_alike", "_sender", "_source_ip", "put_off")

    def __init__(self, desk: GateDesk, sender: bytes, source_ip: str, given_up: "GivenUp") -> None:
        self._desk = desk
        self._given_up = given_up
        self._sender = sender
        self._source_ip = source_ip
        self._free: dict[bytes, bool | None] = {}  # None: nobody knows now
        self._is_alike = False  # True once all recipients have one class for this sender
        self.put_off: list[bytes] = []
        """Mailboxes that were answered "too many recipients", to be named again in the next transaction."""

    async def ready(
        self, recipients: Sequence[Recipient], accepted: Sequence[bytes]
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Two parts: recipients to ask for or to answer now, and those that wait for the answers to the first part.

        `accepted` are the mailboxes that the mail server has taken so far in this transaction.
        """
        await self._learn([*accepted[:1], *(item[1] for item in recipients if isinstance(item, tuple))])
        if self._is_alike:
            return recipients, ()
        if not accepted:
            return self._of_one_kind(recipients)
        return [self._put_off(item, accepted[0]) for item in recipients], ()

    def give_up(self) -> None:
        """Note that the client has ended the transaction without a letter, though some recipients were accepted."""
        self._given_up.note(self._source_ip, self._sender, self.put_off)

    def _goes_with(self, mailbox: bytes, first: bytes) -> bool:
        """Whether both are known to be of one class."""
        is_free = self._free[first]
        return mailbox == first or (is_free is not None and self._free[mailbox] is is_free)

    def _put_off(self, item: Recipient, first: bytes) -> Recipient:
        if not isinstance(item, tuple) or self._goes_with(item[1], first):
            return item
        if self._given_up.has(self._source_ip, self._sender, item[1]):
            return item
        self.put_off.append(item[1])
        return replies.OTHER_CLASS

    async def _learn(self, mailboxes: Sequence[bytes]) -> None:
        asked = [] if self._is_alike else [mailbox for mailbox in mailboxes if mailbox not in self._free]
        if asked:
            free = await self._desk.free_recipients(self._sender, self._source_ip, asked)
            self._is_alike = free is None
            self._free.update(zip(asked, free or (), strict=free is not None))

    def _of_one_kind(self, recipients: Sequence[Recipient]) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Cut before the first recipient of another class: which class counts is known when one is accepted."""
        first: bytes | None = None
        for place, item in enumerate(recipients):
            if isinstance(item, tuple):
                if first is None:
                    first = item[1]
                elif not self._goes_with(item[1], first):
                    return recipients[:place], recipients[place:]
        return recipients, ()


class GivenUp:
    """Remembers, for one worker, who has given whole letters up because some recipients were put off.

    An entry is of a source, a sender and a recipient, so that nobody can change how another's letter is judged.
    """

    def __init__(self, log: Any) -> None:
        self._times: dict[int, int] = {}  # by a keyed hash: names may be long, and need not be kept
        self._seldom = Seldom(log, "smtp.split_given_up")

    def has(self, source_ip: str, sender: bytes, mailbox: bytes) -> bool:
        """Whether letters of these three were given up at least `TIMES` times: no accident."""
        return self._times.get(hash((source_ip, sender, mailbox)), 0) >= TIMES

    def note(self, source_ip: str, sender: bytes, mailboxes: Iterable[bytes]) -> None:
        """Count a letter that was given up after these mailboxes had been put off."""
        for mailbox in mailboxes:
            name = hash((source_ip, sender, mailbox))
            self._times[name] = self._times.pop(name, 0) + 1
        while len(self._times) > GIVEN_UP_MAX:
            del self._times[next(iter(self._times))]

    def warn(self, front: str) -> None:
        """Log that a trusted front gives letters up, so that its admin sets `mixed = "reject"`."""
        self._seldom.note(front=front, set='mixed = "reject"')
