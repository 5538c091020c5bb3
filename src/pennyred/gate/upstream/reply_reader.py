"""Cuts what a mail server sends into replies (RFC 5321 section 4.2.1), within limits."""

import re
from collections.abc import Sequence

from pennyred.gate.letterbox import Reply

LINE_OCTETS_MAX = 4096
REPLY_LINES_MAX = 128
_ONE_LINE = re.compile(rb"([2-5][0-9]{2}) ([^\r\n]*)\r\n")
_ONE_LINE_EACH = re.compile(rb"(?:[2-5][0-9]{2} [^\r\n]*\r\n)+")
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class NotSmtp(Exception):  # noqa: N818 - what was said, for the log
    """The mail server has sent what is no reply, or a reply longer than the limit; the text says what."""


class ReplyReader:
    """Takes input, cut anywhere, and gives whole replies. After `NotSmtp` it must not be used again."""

    __slots__ = ("_code", "_input", "_lines")

    def __init__(self) -> None:
        self._input = bytearray()
        self._lines: list[bytes] = []
        self._code = 0

    @property
    def is_empty(self) -> bool:
        """Whether no part of a further reply has come."""
        return not self._input and not self._lines

    def whole(self, data: bytes) -> Sequence[Reply]:
        """The replies that this piece of input is, if each is of one line and no part of a reply has come before them,
        as nearly always. Else none; then `feed` takes the piece.
        """
        if self._input or self._lines or len(data) > LINE_OCTETS_MAX:
            return ()
        if (found := _ONE_LINE.fullmatch(data)) is not None:
            return (Reply(int(found[1]), (found[2],)),)
        if _ONE_LINE_EACH.fullmatch(data) is not None:
            return [Reply(int(code), (text,)) for code, text in _ONE_LINE.findall(data)]
        return ()

    def feed(self, data: bytes) -> None:
        """Take a piece of input."""
        self._input += data

    def next(self) -> Reply | None:
        """The next whole reply; None if there is none yet. Raises `NotSmtp`."""
        while True:
            end = self._input.find(b"\n")
            if end < 0 and len(self._input) <= LINE_OCTETS_MAX:
                return None
            if end < 0 or end > LINE_OCTETS_MAX:
                raise NotSmtp("reply line too long")
            # A CR within the text is taken out: some clients would end the line there, and read a second reply.
            line = bytes(self._input[:end]).rstrip(b"\r").replace(b"\r", b" ")
            del self._input[: end + 1]
            if (reply := self._take(line)) is not None:
                return reply

    def _take(self, line: bytes) -> Reply | None:
        found = _LINE.fullmatch(line)
        code = int(found[1]) if found else 0
        if found is None or (self._lines and code != self._code) or len(self._lines) >= REPLY_LINES_MAX:
            raise NotSmtp("reply is not SMTP")
        self._code, text = code, found[3] or b""
        if found[2] == b"-":
            self._lines.append(text)
            return None
        lines, self._lines = (*self._lines, text), []
        return Reply(code, lines)
