"""A letter on the wire and a letter as bytes: where it ends, its dots, its newlines (RFC 5321 sections 2.3.8, 4.5.2).

Inward, a letter ends at CRLF.CRLF and nowhere else; every line end becomes CRLF, a CR that belongs to none a blank
(`postage.lineends`), the dot that a line begins with goes, however the line before has ended, and NULs are dropped, so
that what is judged, hashed and sent on has one newline only and nothing that a reader in C would pass over or stop at.
Outward, a dot is doubled at every line start. So nobody behind the gate, however lax, can see an end where the gate saw
none, and the other way round ("SMTP smuggling").
"""

from collections.abc import Iterable, Iterator

from pennyred.postage.lineends import CR_RUN_MAX, with_crlf

_END = b"\r\n.\r\n"


class LetterStream:
    """The letter out of what follows the 354, fed in whatever pieces the network makes.

    `feed` returns the next bytes of the letter: dots unstuffed, newlines CRLF only, no NUL. When `is_complete` is true,
    `rest` holds what came after the end: the next command.
    """

    __slots__ = ("_held", "_virtual", "has_bare_newline", "has_nul", "is_complete", "rest")

    def __init__(self) -> None:
        self._held = b"\r\n"  # the line end of DATA itself: a letter may consist of nothing but the end
        self._virtual = 2
        self.has_bare_newline = False
        self.has_nul = False
        self.is_complete = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece off the wire; give back what is certain of the letter so far."""
        raw = self._held + data
        end = raw.find(_END)
        if end >= 0:
            self.is_complete = True
            self.rest = raw[end + len(_END) :]
            piece = raw[: end + 2]
        else:
            held = _held_back(raw)
            self._held = raw[len(raw) - held :]
            piece = raw[: len(raw) - held]
        # At any LF, as Postfix has it: who ends lines so doubles the dots of such lines as well.
        piece = piece.replace(b"\n.", b"\n")
        if self._virtual and piece:
            piece = piece[self._virtual :]
            self._virtual = 0
        return self._normal(piece)

    def _normal(self, piece: bytes) -> bytes:
        # CRs that may belong to a line end are never the last bytes fed in, so each piece can be looked at alone.
        pairs = piece.count(b"\r\n")
        if pairs != piece.count(b"\n") or pairs != piece.count(b"\r"):
            self.has_bare_newline = True
            piece = with_crlf(piece)
        if b"\0" in piece:
            # Only now: with a NUL between them, CR and LF are no pair, whoever reads it otherwise.
            self.has_nul = True
            piece = piece.replace(b"\0", b"")
        return piece


def _held_back(raw: bytes) -> int:
    """How many of the last bytes might be the beginning of the end, or of a line end."""
    for length in range(min(len(_END) - 1, len(raw)), 0, -1):
        if raw.endswith(_END[:length]):
            return length + last_crs(raw, len(raw) - length)
    return int(raw.endswith(b"\n"))  # a dot may follow


def last_crs(raw: bytes, end: int) -> int:
    """How many CRs stand directly before `end`, of which what follows decides what they are."""
    if end == 0 or raw[end - 1] != 13:
        return 0
    window = raw[max(0, end - CR_RUN_MAX) : end]
    return len(window) - len(window.rstrip(b"\r"))


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The letter as it goes over the wire, with doubled dots and, as the last item alone, the end.

    Chunks must have no bare CR or LF; they may be cut anywhere. Where the letter does not end with CRLF, one is added.
    """
    tail = b"\r\n"
    for chunk in chunks:
        if not chunk:
            continue
        # With the tail in front, a line start across the cut is found like any other.
        yield (tail + chunk).replace(b"\r\n.", b"\r\n..")[len(tail) :]
        tail = (tail + chunk)[-2:]
    yield b".\r\n" if tail == b"\r\n" else b"\r\n.\r\n"
