"""One policy class a transaction: recipients that are free apart from those that need a stamp.

A letter is refused whole where one recipient has no stamp. So that nobody loses mail by another's rule, a RCPT of
another class than the first accepted recipient's is answered "too many recipients" (RFC 5321 section 4.5.3.1.10), and
the client comes again for the rest. Behind a proxy that gives the whole letter before it asks for recipients (Postfix's
`speed_adjust`) this must be off: it cannot come again for a part.
"""

from collections.abc import Sequence

from pennyred.services.letterbox import GateDesk
from pennyred.smtp import replies

Recipient = tuple[bytes, bytes] | bytes
"""A RCPT to be asked for (line and mailbox), or the reply that spares the mail server the question."""


class OneClass:
    """Holds one transaction to the class of its first accepted recipient."""

    __slots__ = ("_desk", "_free", "_is_alike", "_sender", "_source_ip")

    def __init__(self, desk: GateDesk, sender: bytes, source_ip: str) -> None:
        self._desk = desk
        self._sender = sender
        self._source_ip = source_ip
        self._free: dict[bytes, bool] = {}
        self._is_alike = False  # to this sender all recipients are

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
        is_first_free = self._free[accepted[0]]
        return [
            replies.OTHER_CLASS if isinstance(item, tuple) and self._free[item[1]] is not is_first_free else item
            for item in recipients
        ], ()

    async def _learn(self, mailboxes: Sequence[bytes]) -> None:
        asked = [] if self._is_alike else [mailbox for mailbox in mailboxes if mailbox not in self._free]
        if asked:
            free = await self._desk.free_recipients(self._sender, self._source_ip, asked)
            self._is_alike = free is None
            self._free.update(zip(asked, free or (), strict=free is not None))

    def _of_one_kind(self, recipients: Sequence[Recipient]) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Cut before the first recipient of another class: nobody knows yet which class it will be."""
        first: bool | None = None
        for place, item in enumerate(recipients):
            if isinstance(item, tuple):
                is_free = self._free[item[1]]
                if first is None:
                    first = is_free
                elif is_free is not first:
                    return recipients[:place], recipients[place:]
        return recipients, ()
