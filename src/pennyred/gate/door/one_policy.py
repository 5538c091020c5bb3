"""One policy class a transaction: recipients that are free apart from those that need a stamp.

A letter is refused whole where one recipient has no stamp. So that nobody loses mail by another's rule, a RCPT of
another class than the first accepted recipient's is answered "too many recipients" (RFC 5321 section 4.5.3.1.10), and
the client comes again for the rest. A recipient whose class cannot be known now (the DNS is silent) goes alone. Behind
a proxy that has the whole letter before it asks for recipients (Haraka's smtp_forward, Postfix's `speed_adjust`) this
should be off: it cannot come again for a part, gives the letter up, and would hear the same as often as its own client
tries. Whoever does that is noticed, and not divided the third time.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pennyred.gate.letterbox import GateDesk
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.seldom import Seldom

TIMES = 2
"""Once may be an accident: a connection that broke."""
GIVEN_UP_MAX = 10_000
"""Of one worker's memory; beyond, the oldest is forgotten, and hears once more what it heard before."""

Recipient = tuple[bytes, bytes] | bytes
"""A RCPT to be asked for (line and mailbox), or the reply that spares the mail server the question."""


class OneClass:
    """Holds one transaction to the class of its first accepted recipient."""

    __slots__ = ("_desk", "_free", "_given_up", "_is_alike", "_sender", "_source_ip", "put_off")

    def __init__(self, desk: GateDesk, sender: bytes, source_ip: str, given_up: "GivenUp") -> None:
        self._desk = desk
        self._given_up = given_up
        self._sender = sender
        self._source_ip = source_ip
        self._free: dict[bytes, bool | None] = {}  # None: nobody knows now
        self._is_alike = False  # to this sender all recipients are
        self.put_off: list[bytes] = []
        """Mailboxes that were told to come again."""

    async def ready(
        self, recipients: Sequence[Recipient], accepted: Sequence[bytes]
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Those that can be asked for, or answered, now; and those that wait for what is said of the first ones.

        `accepted` are the mailboxes the mail server has taken so far in this transaction.
        """
        await self._learn([*accepted[:1], *(item[1] for item in recipients if isinstance(item, tuple))])
        if self._is_alike:
            return recipients, ()
        if not accepted:
            return self._of_one_kind(recipients)
        return [self._put_off(item, accepted[0]) for item in recipients], ()

    def give_up(self) -> None:
        """The client has ended the transaction without a letter, though some of its recipients were accepted."""
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
        """Cut before the first recipient of another class: nobody knows yet which class it will be."""
        first: bytes | None = None
        for place, item in enumerate(recipients):
            if isinstance(item, tuple):
                if first is None:
                    first = item[1]
                elif not self._goes_with(item[1], first):
                    return recipients[:place], recipients[place:]
        return recipients, ()


class GivenUp:
    """Those who have given whole letters up because a part of them was told to come again, as far as a worker knows.

    They are named by source, sender and recipient, so that nobody can have another's letter judged whole.
    """

    def __init__(self, log: Any) -> None:
        self._times: dict[int, int] = {}  # by a keyed hash: names may be long, and are nobody's business
        self._seldom = Seldom(log, "smtp.split_given_up")

    def has(self, source_ip: str, sender: bytes, mailbox: bytes) -> bool:
        """Whether this one was, often enough to be no accident."""
        return self._times.get(hash((source_ip, sender, mailbox)), 0) >= TIMES

    def note(self, source_ip: str, sender: bytes, mailboxes: Iterable[bytes]) -> None:
        """These were told to come again, and the letter was given up."""
        for mailbox in mailboxes:
            name = hash((source_ip, sender, mailbox))
            self._times[name] = self._times.pop(name, 0) + 1
        while len(self._times) > GIVEN_UP_MAX:
            del self._times[next(iter(self._times))]

    def warn(self, front: str) -> None:
        """It was a front: its admin has to know that it takes whole letters."""
        self._seldom.note(front=front, set='mixed = "reject"')
