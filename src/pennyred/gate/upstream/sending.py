"""Two ways to send a letter: by DATA, up to a final dot, or in chunks by BDAT (RFC 3030). Both keep its end back.

The end is the dot, or the chunk that is called LAST: with it, and not before, the letter is the mail server's. A letter
of usual length is all end, and goes out in one write.
"""

from collections.abc import Iterable

from pennyred.gate.smtp.letter_end import ended, stuffed
from pennyred.gate.upstream.connection import Connection

WRITE_BYTES = 128 * 1024
"""A letter up to this size is sent in one write, together with its end."""


async def by_data(connection: Connection, pieces: Iterable[bytes]) -> bytes:
    """Send a letter after the 354, except its end, and return that. Raises `Unavailable`."""
    pending: list[bytes] = []
    octets = 0
    for piece in stuffed(pieces):
        if octets > WRITE_BYTES:
            await connection.write_letter(b"".join(pending))
            pending, octets = [], 0
        pending.append(piece)
        octets += len(piece)
    last = b"".join(pending)
    if octets > WRITE_BYTES:
        # The kernel takes all but the dot first: the deadline is checked when the dot can really go out.
        await connection.write_letter(last[:-3])
        last = last[-3:]
    return last


async def in_chunks(connection: Connection, pieces: Iterable[bytes]) -> bytes:
    """Send a letter in chunks, except the last, and return that with its command.

    Each chunk goes out when the one before has been answered with yes: nothing follows one that is refused, and LAST
    cannot end half a letter. Raises `Refused` or `Unavailable`.
    """
    pending: list[bytes] = []
    octets = 0
    for piece in ended(pieces):
        if octets > WRITE_BYTES:
            await _send(connection, b"".join(pending))
            pending, octets = [], 0
        pending.append(piece)
        octets += len(piece)
    if octets > WRITE_BYTES:
        # As above: the mail server has all but the end first.
        last = b"".join(pending)
        await _send(connection, last[:-2])
        pending, octets = [last[-2:]], 2
    elif octets and connection.address.knows_chunks is None:
        pending = [await _first_line_sent(connection, b"".join(pending))]
        octets = len(pending[0])
    return b"".join([b"BDAT %d LAST\r\n" % octets, *pending])


async def _send(connection: Connection, octets: bytes) -> None:
    if connection.address.knows_chunks is None:
        octets = await _first_line_sent(connection, octets)
    if octets:  # some servers refuse a chunk of nothing
        await connection.send_chunk(octets)


async def _first_line_sent(connection: Connection, octets: bytes) -> bytes:
    """Send the first line as a chunk of its own; returns the others.

    A mail server, or a filter before it, that offers CHUNKING and does not know BDAT would take what follows for
    commands, and the letter's author would speak with the gate's voice. One line can do nothing.
    """
    end = octets.find(b"\r\n") + 2
    await connection.send_chunk(octets[:end])
    return octets[end:]
