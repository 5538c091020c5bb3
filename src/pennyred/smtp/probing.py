"""Ask a mail server what it would do for a stranger, without sending anything: for `pennyred check`."""

from dataclasses import dataclass

from pennyred.failures import lasts
from pennyred.postage.errors import Unavailable
from pennyred.smtp import replies
from pennyred.smtp.connection import Connection, Refused, connect
from pennyred.smtp.dialogue import OWN_SESSION, unavailable
from pennyred.smtp.identity import ClientIdentity
from pennyred.smtp.upstream import UpstreamOptions

STRANGER = ClientIdentity("192.0.2.1", helo="stranger.example.net")
"""TEST-NET-1 (RFC 5737) and a reserved name (RFC 2606): nobody's neighbour."""
_ERROR_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found; with `error` nothing else is known."""

    error: str = ""
    is_lasting: bool = False
    """Whether that will be so until somebody mends it."""
    can_be_told: bool = False
    """Whether it offers the gate the way that is set to name its clients."""
    is_open_relay: bool = False


async def probe_upstream(options: UpstreamOptions, foreign_recipient: str) -> Probe:
    """Come as the gate comes for a stranger, and ask for a foreign recipient; DATA is never said."""
    try:
        connection = await connect(options)
        try:
            return await _ask(connection, foreign_recipient)
        finally:
            connection.quit()
            await connection.wait_closed()
    except Unavailable as error:
        text = "".join(character if character.isprintable() else "?" for character in str(error))
        return Probe(text[:_ERROR_CHARACTERS_MAX], is_lasting=lasts(error) or OWN_SESSION in text)


async def _ask(connection: Connection, foreign_recipient: str) -> Probe:
    try:
        await connection.open(STRANGER)
        if not connection.capabilities.can_be_told(connection.options.identity):
            return Probe()
        await connection.tell(STRANGER)
    except Refused:
        return Probe(can_be_told=True)
    # A bounce: whoever the sender was, its domain might be refused, which says nothing of recipients.
    lines = [b"MAIL FROM:<>", b"RCPT TO:<%s>" % foreign_recipient.encode("ascii")]
    *_, answer = await connection.begin(STRANGER, lines)
    if replies.is_closing(answer):
        raise unavailable(answer.text)
    return Probe(can_be_told=True, is_open_relay=replies.is_success(answer))
