"""A letter in chunks (BDAT, RFC 3030): its octets are counted, so no end mark is searched for and no dot is doubled.

Newlines become CRLF and NULs are dropped, as for DATA, wherever the chunks are cut. So a letter has the same hash by
either way. It goes on to the mail server by DATA, with its dots doubled. BINARYMIME is not offered, because such a
letter cannot go on by DATA.

A chunk is always read to its last octet, even if it is refused: otherwise its rest would be read as commands.
"""

import re
from dataclasses import dataclass

from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.reception import LetterSink
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.letter_end import LetterStream, last_crs
from pennyred.gate.smtp.sources import Source
from pennyred.gate.smtp.spool import ReceivedLetter

OCTETS_SMALL = 512
"""A smaller chunk that is not the last is counted as an idle command, like NOOP: it hardly brings a letter nearer."""
_CHUNK = re.compile(rb"([0-9]{1,20})(?:[ ]+(LAST))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The arguments of BDAT: how many octets follow, and whether they end the letter."""

    octets: int
    is_last: bool


def parse_chunk(argument: bytes) -> Chunk | None:
    """Read the argument of BDAT; None if it does not have the form of RFC 3030 section 2."""
    found = _CHUNK.fullmatch(argument)
    return None if found is None else Chunk(int(found[1]), found[2] is not None)


class ChunkStream(LetterStream):
    """Makes the letter's bytes out of chunks, which may be cut anywhere."""

    __slots__ = ("_tail", "is_last")

    def __init__(self) -> None:
        super().__init__()
        self._held = b""
        self._tail = b""
        self.is_last = False
        """Set to True before the last piece is fed."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece off the wire; return the bytes of the letter that are certain by now."""
        raw = self._held + data
        # CRs at the end are held back: the next piece may begin with the LF of the same line end.
        held = 0 if self.is_last else last_crs(raw, len(raw))
        self._held = raw[len(raw) - held :]
        piece = self._normal(raw[: len(raw) - held])
        self._tail = (self._tail + piece[-2:])[-2:]
        if self.is_last and self._tail not in (b"", b"\r\n"):
            piece += b"\r\n"  # the letter is sent on with a CRLF at its end, so it is judged and hashed with it
        return piece


class ChunkedLetter:
    """One letter that comes in chunk by chunk (implements `occupant.Sink`). A refused one is read and not kept."""

    __slots__ = ("_left", "_octets", "_octets_max", "_sink", "_stream", "begun", "refusal")

    def __init__(self, house: Gatehouse, source: Source, begun: float) -> None:
        self.begun = begun
        """When the first chunk was announced, in seconds of the event loop's clock."""
        self.refusal: bytes | None = None
        """The reply to each of its chunks if the letter is refused; None while it is not."""
        self._octets = self._left = 0
        self._octets_max = house.options.spool.letter_bytes_max
        self._stream = ChunkStream()
        self._sink = LetterSink(house, self._stream, source)

    def expect(self, chunk: Chunk) -> None:
        """Count an announced chunk; the letter is refused once it is longer than the limit."""
        self._left = chunk.octets
        self._octets += chunk.octets
        if self._octets > self._octets_max and self.refusal is None:
            self.refuse(replies.TOO_BIG)

    def take(self, data: bytes) -> bytes | None:
        """Take a piece of the chunk, as `occupant.Sink.take` says."""
        own = data[: self._left]
        self._left -= len(own)
        if self.refusal is None:
            self._sink.take(own)
            self.refusal = self._sink.refusal
        return None if self._left else data[len(own) :]

    def refuse(self, reply: bytes) -> None:
        """Refuse the letter with this reply, and forget what has come of it."""
        self.refusal = reply
        self._sink.discard()

    def finish(self, milliseconds: int) -> ReceivedLetter | bytes:
        """The whole letter, or the reply that refuses it; `milliseconds` is how long it took to come."""
        if self.refusal is not None:
            return self.refusal
        self._stream.is_last = True
        self._sink.take(b"")
        return self._sink.finish(milliseconds)

    def discard(self) -> None:
        """Forget what has come, unless `finish` has given it away."""
        self._sink.discard()
