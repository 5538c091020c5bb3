"""Between the desk and the quarantine: makes plain values of a letter and its envelope, and has them written down."""

import hashlib
from collections.abc import Callable, Sequence

from pennyred.gate.letterbox import Envelope, Letter
from pennyred.gate.ports import Refused
from pennyred.gate.quarantine.folder import Copy, Quarantine
from pennyred.gate.quarantine.keptletter import Origin
from pennyred.postage.digest import signed_parts

_CONTEXT = b"pennyred/1 refused\0"


class KeptRefusals:
    """Puts refused letters into the quarantine. Implements `ports.Refusals`."""

    def __init__(
        self,
        quarantine: Quarantine,
        *,
        clock: Callable[[], int],
        note_left_out: Callable[[int, int, int], object] | None = None,
    ) -> None:
        """`note_left_out` hears how many copies of a letter found no room, how long it is, and what one may take."""
        self._quarantine = quarantine
        self._clock = clock
        self._note_left_out = note_left_out

    async def keep(
        self, letter: Letter, envelope: Envelope, refused: Sequence[Refused], *, authenticated: str = ""
    ) -> int:
        """Keep a copy for each refused recipient, as `ports.Refusals` says."""
        origin = Origin(
            envelope.sender,
            envelope.source_ip,
            self._clock(),
            client_name=envelope.client_name,
            helo=envelope.helo,
            authenticated=authenticated,
        )
        copies = [
            Copy(mailbox, one.reason.value, one.letter_hash or _hash_of(letter, mailbox))
            for one in refused
            for mailbox in (envelope.recipients[one.index],)
        ]
        left_out = await self._quarantine.keep(origin, copies, letter.header.raw, letter.body(), letter.size)
        if left_out and self._note_left_out is not None:
            self._note_left_out(left_out, letter.size, self._quarantine.letter_bytes_max)
        return left_out


def _hash_of(letter: Letter, mailbox: bytes) -> bytes:
    """Stands in for the letter hash (STAMP.md 5), which only canonical recipients have."""
    parts = signed_parts(letter.header, letter.body_hash)
    return hashlib.sha256(_CONTEXT + parts.header_hash + parts.body + mailbox).digest()
