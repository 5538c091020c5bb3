"""The forms in which fields and bodies are hashed (STAMP.md 5.1, 5.2; RFC 6376 section 3.4.4), in linear time.

A body may come in chunks of any size; the result does not depend on how it was cut.
"""

import hashlib
import re
from collections.abc import Callable

from pennyred.postage.letter import Field

_SPACES = re.compile(rb"  +")
"""A run of spaces. Two literal spaces first are found at the speed of memory; ` {2,}` takes four times as long."""
_PIECE_BYTES = 32 * 1024
_BLANK_LINES = b"\r\n" * 4096


def plain_field(field: Field) -> bytes:
    """A header field however it is folded: its name, a colon, its words with single spaces, CRLF (STAMP.md 5.1)."""
    return b"%s:%s\r\n" % (field.key, b" ".join(field.raw.partition(b":")[2].split()))


class _Body:
    """The common part of both body forms: CRLFs at the end are held back until something follows them."""

    __slots__ = ("_blank_lines", "_carry", "_is_empty", "_sink")

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        """Takes the canonical bytes, in pieces of bounded size."""
        self._carry = b""
        """A space, CR or both at the end of the last chunk: what they mean depends on the next chunk."""
        self._blank_lines = 0
        """CRLFs not passed on yet: they count only if something follows."""
        self._is_empty = True

    def _pass_on(self, data: bytes) -> None:
        """Give the data to the sink, but only count the CRLFs at its end."""
        end = _end_of_text(data)
        if end:
            if self._blank_lines:
                self._pass_blank_lines()
            self._sink(data[:end])
            self._is_empty = False
        self._blank_lines += (len(data) - end) // 2

    def _pass_carry(self) -> None:
        if self._carry:
            self._pass_on(self._carry)
            self._carry = b""

    def _pass_blank_lines(self) -> None:
        blocks, rest = divmod(self._blank_lines, len(_BLANK_LINES) // 2)
        for _ in range(blocks):
            self._sink(_BLANK_LINES)
        self._sink(_BLANK_LINES[: 2 * rest])
        self._blank_lines = 0


class RelaxedBody(_Body):
    """Turns a body into relaxed form (RFC 6376 section 3.4.4), chunk by chunk.

    A run of white space becomes one space, and none is left before CRLF. Empty lines at the end are dropped; a body
    that is not empty ends with CRLF. It works on whole buffers, several times as fast as line by line. Between chunks
    it keeps two bytes and the number of blank lines that are waiting.
    """

    __slots__ = ()

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body, of any size."""
        if len(chunk) > _PIECE_BYTES:
            for start in range(0, len(chunk), _PIECE_BYTES):
                self.update(chunk[start : start + _PIECE_BYTES])
            return
        data = (self._carry + chunk).replace(b"\t", b" ")
        has_blanks = b" " in data  # one octet is found at the speed of memory, and base64 has no blanks
        if has_blanks and b"  " in data:
            data = _SPACES.sub(b" ", data)
        keep = 1 if data.endswith(b"\r") else 0
        keep += data.endswith(b" ", 0, len(data) - keep)
        self._carry = data[len(data) - keep :]
        data = data[: len(data) - keep]
        self._pass_on(data.replace(b" \r\n", b"\r\n") if has_blanks else data)

    def finish(self) -> None:
        """End the body, and give the rest to the sink; call it once, after the last `update`."""
        self._pass_carry()
        if not self._is_empty:
            self._sink(b"\r\n")


class SimpleBody(_Body):
    """Turns a body into simple form (RFC 6376 section 3.4.3), chunk by chunk: it ends with one CRLF, even if empty."""

    __slots__ = ()

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body, of any size."""
        data = self._carry + chunk
        keep = 1 if data.endswith(b"\r") else 0
        self._carry = data[len(data) - keep :]
        self._pass_on(data[: len(data) - keep])

    def finish(self) -> None:
        """End the body, and give the rest to the sink; call it once, after the last `update`."""
        self._pass_carry()
        self._sink(b"\r\n")


class BodyHasher:
    """Computes the SHA-256 of a body in relaxed form: DKIM's `bh` with `c=*/relaxed` and without `l`."""

    __slots__ = ("_body", "_digest", "_hash")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._body = RelaxedBody(self._hash.update)
        self._digest = b""

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        self._body.update(chunk)

    def digest(self) -> bytes:
        """The hash of the whole body, 32 bytes; no `update` may follow."""
        if not self._digest:
            self._body.finish()
            self._digest = self._hash.digest()
        return self._digest


def body_hash(body: bytes) -> bytes:
    """The hash of a whole body, 32 bytes, as `BodyHasher` computes it."""
    hasher = BodyHasher()
    hasher.update(body)
    return hasher.digest()


def _end_of_text(data: bytes) -> int:
    """The index where the CRLFs at the end begin: the longest ending that is nothing but CRLFs."""
    if not data.endswith(b"\r\n"):
        return len(data)
    start = len(data.rstrip(b"\r\n"))
    # A lone CR or LF among them is text: after the last such one, CR and LF alternate to the end.
    start = max(start, data.rfind(b"\r\r", start) + 1, data.rfind(b"\n\n", start) + 1)
    return start + data.startswith(b"\n", start)
