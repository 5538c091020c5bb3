"""A letter in chunks (BDAT, RFC 3030): octets are counted, nothing ends them early, and no dot is doubled.

Taken as DATA is: newlines become CRLF and NULs are dropped, wherever the chunks are cut, so that the same letter has
the same hash whichever way it came; and it goes on to the mail server by DATA, with its dots doubled. BINARYMIME is not
offered, for such a letter could not go on so.

A chunk is always taken to its last octet, whatever its answer: what follows must not be taken for a command.
"""

import asyncio
import re
from dataclasses import dataclass

from pennyred.gate.door.gatehouse import Gatehouse
from pennyred.gate.door.reception import LetterSink
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.letter_end import LetterStream, last_crs
from pennyred.gate.smtp.sources import Source
from pennyred.gate.smtp.spool import ReceivedLetter

OCTETS_SMALL = 512
"""A chunk of fewer hardly brings a letter nearer, unless it is the last: it is counted with NOOP and the like."""
_CHUNK = re.compile(rb"([0-9]{1,20})(?:[ ]+(LAST))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What BDAT announces."""

    octets: int
    is_last: bool


def parse_chunk(argument: bytes) -> Chunk | None:
    """Read what follows `BDAT `; None where it is not RFC 3030's."""
    found = _CHUNK.fullmatch(argument)
    return None if found is None else Chunk(int(found[1]), found[2] is not None)


class ChunkStream(LetterStream):
    """The letter out of its chunks, cut anywhere."""

    __slots__ = ("_tail", "is_last")

    def __init__(self) -> None:
        super().__init__()
        self._held = b""
        self._tail = b""
        self.is_last = False
        """Whether nothing comes after what is fed next."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece off the wire; give back what is certain of the letter so far."""
        raw = self._held + data
        # CRs may be a part of a line end, though the cut goes through it.
        held = 0 if self.is_last else last_crs(raw, len(raw))
        self._held = raw[len(raw) - held :]
        piece = self._normal(raw[: len(raw) - held])
        self._tail = (self._tail + piece[-2:])[-2:]
        if self.is_last and self._tail not in (b"", b"\r\n"):
            piece += b"\r\n"  # what is sent on ends so, and that is what is judged
        return piece


class ChunkedLetter:
    """One letter in the making, chunk by chunk (implements `occupant.Sink`). What is refused is heard and not kept."""

    __slots__ = ("_left", "_octets", "_octets_max", "_sink", "_stream", "_unpin", "begun", "refusal")

    def __init__(self, house: Gatehouse, source: Source, begun: float) -> None:
        self.begun = begun
        """When its first chunk was announced, by the loop's clock."""
        self.refusal: bytes | None = None
        """What its chunks are answered, where it is not taken."""
        self._octets = self._left = 0
        self._octets_max = house.options.spool.letter_bytes_max
        self._stream = ChunkStream()
        self._sink = LetterSink(house, self._stream, source)
        self._unpin: asyncio.TimerHandle | None = None

    def unpin_later(self, timer: asyncio.TimerHandle) -> None:
        """Something that is to happen while the letter comes in, if that takes long, and not after."""
        self._unpin = timer

    def expect(self, chunk: Chunk) -> None:
        """A chunk has been announced."""
        self._left = chunk.octets
        self._octets += chunk.octets
        if self._octets > self._octets_max and self.refusal is None:
            self.refuse(replies.TOO_BIG)

    def take(self, data: bytes) -> bytes | None:
        """Take a piece; see `occupant.Sink`."""
        own = data[: self._left]
        self._left -= len(own)
        if self.refusal is None:
            self._sink.take(own)
            self.refusal = self._sink.refusal
        return None if self._left else data[len(own) :]

    def refuse(self, reply: bytes) -> None:
        """Take no more of it."""
        self.refusal = reply
        self._sink.discard()

    def finish(self, milliseconds: int) -> ReceivedLetter | bytes:
        """The letter, or the reply that refuses it."""
        if self.refusal is not None:
            return self.refusal
        self._stream.is_last = True
        self._sink.take(b"")
        return self._sink.finish(milliseconds)

    def discard(self) -> None:
        """Forget what has come, unless it was finished."""
        if self._unpin is not None:
            self._unpin.cancel()
        self._sink.discard()
