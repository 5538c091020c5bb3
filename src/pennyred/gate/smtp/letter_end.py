"""Letters on the wire: where they end, their dots, their newlines (RFC 5321 sections 2.3.8 and 4.5.2).

Inward, a letter ends at CRLF.CRLF and nowhere else. Every line end becomes CRLF; a CR that belongs to none becomes a
blank (`postage.lineends`). A dot at the start of a line goes, however the line before has ended. NULs are dropped. So
what is judged, hashed and sent on has one kind of newline, and nothing at which a program in C would stop. Outward, a
dot is doubled at every line start, or the octets are counted (BDAT) and dots stay as they are. So no program behind the
gate can see another end than the gate ("SMTP smuggling").
"""

from collections.abc import Iterable, Iterator
from io import IncrementalNewlineDecoder

from pennyred.postage.lineends import CR_RUN_MAX, with_crlf

_END = b"\r\n.\r\n"


class LetterStream:
    """Makes the letter's bytes out of the client's input after the 354 reply, cut anywhere.

    `feed` returns the next bytes of the letter: dots unstuffed, newlines CRLF only, no NUL. When `is_complete` is true,
    `rest` holds what came after the end: the next command.
    """

    __slots__ = ("_held", "_virtual", "has_bare_newline", "has_nul", "is_complete", "rest")

    def __init__(self) -> None:
        self._held = b"\r\n"  # the line end of DATA itself: a letter may be empty
        self._virtual = 2
        self.has_bare_newline = False
        self.has_nul = False
        self.is_complete = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece off the wire; return the bytes of the letter that are certain by now."""
        raw = self._held + data
        # One octet is found at the speed of memory, and base64 has no dots. In most letters the first dot at the start
        # of a line is that of the end.
        first = raw.find(b".")
        dot = raw.find(b"\n.", max(0, first - 1)) if first >= 0 else -1
        end = raw.find(_END, max(0, dot - 1)) if dot >= 0 else -1
        if end >= 0:
            self.is_complete = True
            self.rest = raw[end + len(_END) :]
            piece = raw[: end + 2]
        else:
            held = _held_back(raw)
            self._held = raw[len(raw) - held :]
            piece = raw[: len(raw) - held]
        if 0 <= dot < len(piece) - 1:
            # After any LF, as in Postfix: a client with such line ends doubles the dots of these lines too.
            piece = piece.replace(b"\n.", b"\n")
        if self._virtual and piece:
            piece = piece[self._virtual :]
            self._virtual = 0
        return self._normal(piece)

    def _normal(self, piece: bytes) -> bytes:
        # CRs that may belong to a line end are held back, so each piece can be looked at by itself.
        if _has_bare_newline(piece):
            self.has_bare_newline = True
            piece = with_crlf(piece)
        if b"\0" in piece:
            # NULs go last: CR and LF with a NUL between them must not become a line end.
            self.has_nul = True
            piece = piece.replace(b"\0", b"")
        return piece


def _has_bare_newline(piece: bytes) -> bool:
    """Whether it has a CR or LF that is no CRLF. To count them, or to take the CRLFs out, would take twice as long."""
    seen = IncrementalNewlineDecoder(None, translate=False)
    seen.decode(piece.decode("latin-1"), final=True)
    return seen.newlines not in (None, "\r\n")


def _held_back(raw: bytes) -> int:
    """How many of the last bytes to hold back: they may begin the letter's end mark, or a line end."""
    for length in range(min(len(_END) - 1, len(raw)), 0, -1):
        if raw.endswith(_END[:length]):
            return length + last_crs(raw, len(raw) - length)
    return int(raw.endswith(b"\n"))  # a dot may follow


def last_crs(raw: bytes, end: int) -> int:
    """How many CRs stand directly before `end`. The next bytes decide whether they belong to a line end."""
    if end == 0 or raw[end - 1] != 13:
        return 0
    window = raw[max(0, end - CR_RUN_MAX) : end]
    return len(window) - len(window.rstrip(b"\r"))


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The letter as it goes over the wire, with doubled dots. The last item is the end mark by itself.

    The chunks may be cut anywhere, but must have no bare CR or LF. A CRLF is added if the letter does not end with one.
    """
    tail = b"\r\n"
    for chunk in chunks:
        if not chunk:
            continue
        piece = chunk.replace(b"\r\n.", b"\r\n..") if b"." in chunk else chunk
        # A line start across the cut: the line end, or its CR, is in the chunk before.
        at = (tail + chunk[:2]).find(b"\r\n.")
        yield piece if at < 0 else piece[:at] + b"." + piece[at:]
        tail = (tail + chunk[-2:])[-2:]
    yield b".\r\n" if tail == b"\r\n" else b"\r\n.\r\n"


def ended(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The letter as its octets are counted (RFC 3030): nothing is doubled, and no end mark follows.

    As with `stuffed`, a CRLF is added if the letter does not end with one.
    """
    tail = b"\r\n"
    for chunk in chunks:
        if chunk:
            yield chunk
            tail = (tail + chunk[-2:])[-2:]
    if tail != b"\r\n":
        yield b"\r\n"
