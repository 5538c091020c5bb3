"""Ask a mail server what it would do for a stranger, without sending anything: for `pennyred check`."""

from dataclasses import dataclass

from pennyred.postage.errors import Unavailable
from pennyred.smtp import replies
from pennyred.smtp.connection import Connection, Refused, connect, unavailable
from pennyred.smtp.identity import ClientIdentity
from pennyred.smtp.upstream import IdentityMode, UpstreamOptions

STRANGER = ClientIdentity("192.0.2.1")
"""TEST-NET-1 (RFC 5737): nobody's neighbour."""
_ERROR_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found; with `error` nothing else is known."""

    error: str = ""
    offers_xclient: bool = False
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
        return Probe(text[:_ERROR_CHARACTERS_MAX])


async def _ask(connection: Connection, foreign_recipient: str) -> Probe:
    await connection.open(STRANGER)
    offers_xclient = "ADDR" in connection.capabilities.xclient
    if connection.options.identity is IdentityMode.XCLIENT and not offers_xclient:
        return Probe()
    try:
        await connection.tell(STRANGER)
    except Refused:
        return Probe(offers_xclient=offers_xclient)
    # A bounce: whoever the sender was, its domain might be refused, which says nothing of recipients.
    *_, answer = await connection.exchange([b"MAIL FROM:<>", b"RCPT TO:<%s>" % foreign_recipient.encode("ascii")])
    if replies.is_closing(answer):
        raise unavailable(answer.text)
    return Probe(offers_xclient=offers_xclient, is_open_relay=replies.is_success(answer))
