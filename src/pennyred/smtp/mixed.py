"""One policy class a transaction: recipients that are free apart from those that need a stamp.

A letter is refused whole where one recipient has no stamp. So that nobody loses mail by another's rule, a RCPT of
another class than the first accepted recipient's is answered "too many recipients" (RFC 5321 section 4.5.3.1.10), and
the client comes again for the rest. Behind a proxy that gives the whole letter before it asks for recipients (Postfix's
`speed_adjust`) this must be off: it cannot come again for a part.
"""

from collections.abc import Callable, Sequence

from pennyred.services.letterbox import GateDesk
from pennyred.smtp import replies

Recipient = tuple[bytes, bytes] | bytes
"""A RCPT to be asked for (line and mailbox), or the reply that spares the mail server the question."""


class OneClass:
    """Holds one transaction to the class of its first accepted recipient."""

    __slots__ = ("_is_first_free", "_is_free")

    def __init__(self, desk: GateDesk, sender: bytes, source_ip: str) -> None:
        self._is_free: Callable[[bytes], bool] | None = desk.free_recipients(sender, source_ip)
        self._is_first_free: bool | None = None

    def ready(
        self, recipients: Sequence[Recipient], accepted: Sequence[bytes]
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Those that can be asked for, or answered, now; and those that wait for what is said of the first ones.

        `accepted` are the mailboxes the mail server has taken so far in this transaction.
        """
        if self._is_free is None:
            return recipients, ()
        if not accepted:
            return self._alike(recipients, self._is_free)
        if self._is_first_free is None:
            self._is_first_free = self._is_free(accepted[0])
        return [
            replies.OTHER_CLASS
            if isinstance(item, tuple) and self._is_free(item[1]) is not self._is_first_free
            else item
            for item in recipients
        ], ()

    def _alike(
        self, recipients: Sequence[Recipient], is_free: Callable[[bytes], bool]
    ) -> tuple[Sequence[Recipient], Sequence[Recipient]]:
        """Cut before the first recipient of another class: nobody knows yet which class it will be."""
        first: bool | None = None
        for place, item in enumerate(recipients):
            if isinstance(item, tuple):
                is_this_free = is_free(item[1])
                if first is None:
                    first = is_this_free
                elif is_this_free is not first:
                    return recipients[:place], recipients[place:]
        return recipients, ()
