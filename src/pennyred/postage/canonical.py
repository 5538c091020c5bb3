"""The forms in which fields and bodies are hashed (STAMP.md 5.1, 5.2; RFC 6376 section 3.4.4), in linear time.

A body may come in chunks of any size; the result does not depend on how it was cut.
"""

import hashlib
import re
from collections.abc import Callable

_SPACES = re.compile(rb"  +")
"""A run of spaces. Two literal spaces first are found at the speed of memory; ` {2,}` takes four times as long."""
_BEHIND_TEXT = re.compile(rb"(?<!\r\n) (?=\r\n)")
"""A space at the end of a line that has something else in it."""
_PIECE_BYTES = 32 * 1024
_BLANK_LINES = b"\r\n" * 4096


def plain_field(raw: bytes, key: bytes) -> bytes:
    """A header field however it is folded: its name, a colon, its words with single spaces, CRLF (STAMP.md 5.1)."""
    return b"%s:%s\r\n" % (key, b" ".join(raw.partition(b":")[2].split()))


class _Body:
    """The common part of both body forms: CRLFs at the end are held back until something follows them."""

    __slots__ = ("_blank_lines", "_carry", "_is_empty", "_sink")

    def __init__(self, sink: Callable[[bytes], object], blank_lines: int = 0, *, is_empty: bool = True) -> None:
        self._sink = sink
        """Takes the canonical bytes, in pieces of bounded size."""
        self._carry = b""
        """A space, CR or both at the end of the last chunk: what they mean depends on the next chunk."""
        self._blank_lines = blank_lines
        """CRLFs not passed on yet: they count only if something follows."""
        self._is_empty = is_empty

    def pass_on(self, data: bytes) -> None:
        """Give the data to the sink, but only count the CRLFs at its end."""
        end = _end_of_text(data)
        if end:
            if self._blank_lines:
                self._pass_blank_lines()
            self._sink(data[:end])
            self._is_empty = False
        self._blank_lines += (len(data) - end) // 2

    def end(self) -> None:
        """Give the last line its CRLF."""
        if not self._is_empty:
            self._sink(b"\r\n")

    def _pass_carry(self) -> None:
        if self._carry:
            self.pass_on(self._carry)
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
    it keeps four bytes and the number of blank lines that are waiting.

    `branch`, where it is given, is asked once, when the first line comes that has nothing but white space in it. It
    gives another sink, for the same body with one space left in such lines: what has come before is the same in both.
    """

    __slots__ = ("_branch", "_last", "_marked")

    def __init__(
        self, sink: Callable[[bytes], object], branch: Callable[[], Callable[[bytes], object]] | None = None
    ) -> None:
        super().__init__(sink)
        self._branch = branch
        self._marked: _Body | None = None
        self._last = b"\r\n"
        """The last two octets that were passed on: whether a line begins."""

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body, of any size."""
        if len(chunk) > _PIECE_BYTES:
            for start in range(0, len(chunk), _PIECE_BYTES):
                self.update(chunk[start : start + _PIECE_BYTES])
            return
        data = (self._carry + chunk).replace(b"\t", b" ")
        has_blanks = b" " in data  # one octet is found at the speed of memory, and base64 has no blanks
        if has_blanks and b"  " in data:
            # Many write two blanks after a full stop: an expression would stop at each of them.
            data = _SPACES.sub(b" ", data) if b"   " in data else data.replace(b"  ", b" ")
        keep = 1 if data.endswith(b"\r") else 0
        keep += data.endswith(b" ", 0, len(data) - keep)
        self._carry = data[len(data) - keep :]
        data = data[: len(data) - keep]
        relaxed = data.replace(b" \r\n", b"\r\n") if has_blanks else data
        if self._branch is not None:
            if self._marked is not None or len(relaxed) != len(data):
                self._mark(data)
            self._last = (self._last + data[-2:])[-2:]
        self.pass_on(relaxed)

    def finish(self) -> None:
        """End the body, and give the rest to the sinks; call it once, after the last `update`."""
        if self._marked is not None:
            self._marked.pass_on(self._carry)
            self._marked.end()
        self._pass_carry()
        self.end()

    def _mark(self, data: bytes) -> None:
        """Give the other sink the data, too, once there is a line of white space: before that there is none."""
        begun = self._last + data
        if self._marked is None:
            if b"\r\n \r\n" not in begun:
                return
            assert self._branch is not None
            self._marked = _Body(self._branch(), self._blank_lines, is_empty=self._is_empty)
        self._marked.pass_on(_BEHIND_TEXT.sub(b"", begun)[2:])


class SimpleBody(_Body):
    """Turns a body into simple form (RFC 6376 section 3.4.3), chunk by chunk: it ends with one CRLF, even if empty."""

    __slots__ = ()

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body, of any size."""
        data = self._carry + chunk
        keep = 1 if data.endswith(b"\r") else 0
        self._carry = data[len(data) - keep :]
        self.pass_on(data[: len(data) - keep])

    def finish(self) -> None:
        """End the body, and give the rest to the sink; call it once, after the last `update`."""
        self._pass_carry()
        self._sink(b"\r\n")


class BodyHasher:
    """Computes the SHA-256 of a body in both forms: as stamps bind it, and as DKIM does.

    They differ where a line has white space in it and nothing else. At such a line some readers do not end the header
    of a part: then the text below it, down to the next empty line, is not shown. DKIM cannot tell it from an empty one.
    """

    __slots__ = ("_body", "_is_done", "_marked", "_relaxed")

    def __init__(self) -> None:
        self._relaxed = hashlib.sha256()
        self._marked = self._relaxed
        self._body = RelaxedBody(self._relaxed.update, self._branch)
        self._is_done = False

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        self._body.update(chunk)

    def digests(self) -> tuple[bytes, bytes]:
        """The body hash (STAMP.md 5.7), and DKIM's `bh` with `c=*/relaxed` and without `l`, 32 bytes each; no `update`
        may follow.
        """
        if not self._is_done:
            self._body.finish()
            self._is_done = True
        return self._marked.digest(), self._relaxed.digest()

    def _branch(self) -> Callable[[bytes], object]:
        self._marked = self._relaxed.copy()
        return self._marked.update


def body_hashes(body: bytes) -> tuple[bytes, bytes]:
    """The hashes of a whole body, 32 bytes each, as `BodyHasher` computes them."""
    hasher = BodyHasher()
    hasher.update(body)
    return hasher.digests()


def body_hash(body: bytes) -> bytes:
    """The body hash (STAMP.md 5.7), 32 bytes."""
    return body_hashes(body)[0]


def _end_of_text(data: bytes) -> int:
    """The index where the CRLFs at the end begin: the longest ending that is nothing but CRLFs."""
    if not data.endswith(b"\r\n"):
        return len(data)
    if len(data) > 2 and data[-3] not in b"\r\n":  # as most ends
        return len(data) - 2
    start = len(data.rstrip(b"\r\n"))
    # A lone CR or LF among them is text: after the last such one, CR and LF alternate to the end.
    start = max(start, data.rfind(b"\r\r", start) + 1, data.rfind(b"\n\n", start) + 1)
    return start + data.startswith(b"\n", start)
