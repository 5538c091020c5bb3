"""Takes a letter as it comes: header section apart, body hashed, in memory up to a limit and then in a file.

Whatever a letter looks like (no header, no body, no empty line) its bytes come out as they went in. A letter that
cannot be kept is taken to its end all the same, without being stored, and `Spool.problem` says why.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import IO

from pennyred.postage.canonical import BodyHasher
from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import HEADER_BYTES_MAX, HeaderSection, parse_header

_READ_BYTES = 256 * 1024


class Problem(Enum):
    """Why a letter was not kept."""

    TOO_BIG = auto()
    HEADER_TOO_BIG = auto()


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """What a letter may cost while it waits."""

    letter_bytes_max: int
    memory_bytes_max: int = 1024 * 1024
    """Of the body; beyond, it goes to a file."""
    header_bytes_max: int = HEADER_BYTES_MAX
    directory: Path | None = None
    """For the files; None: the system's folder for temporary ones."""


@dataclass(frozen=True, slots=True)
class ReceivedLetter:
    """A letter, readable as often as needed until it is closed (implements `letterbox.Letter`)."""

    header: HeaderSection
    body_hash: bytes
    size: int
    milliseconds: int
    separator: bytes
    """The empty line between header and body, empty where the letter has none."""
    chunks: tuple[bytes, ...] = field(repr=False)
    file: IO[bytes] | None = field(default=None, repr=False)

    def body(self) -> Iterator[bytes]:
        """The bytes below the header section, its empty line first."""
        if self.separator:
            yield self.separator
        if self.file is None:
            yield from self.chunks
            return
        self.file.seek(0)
        while chunk := self.file.read(_READ_BYTES):
            yield chunk

    def close(self) -> None:
        """Forget the letter."""
        if self.file is not None:
            self.file.close()


class Spool:
    """One letter in the making: `write` pieces, then `finish`; or `discard`."""

    __slots__ = (
        "_body",
        "_file",
        "_hasher",
        "_header",
        "_in_body",
        "_limits",
        "_separator",
        "problem",
        "size",
    )

    def __init__(self, limits: SpoolLimits) -> None:
        self._limits = limits
        self._header = bytearray()
        self._in_body = False
        self._separator = b""
        self._hasher = BodyHasher()
        self._body = bytearray()  # not a list of pieces: a client may send them octet by octet
        self._file: IO[bytes] | None = None
        self.problem: Problem | None = None
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes (CRLF newlines only). Raises OSError where the file cannot be written."""
        self.size += len(piece)
        if self.size > self._limits.letter_bytes_max:
            self._refuse(Problem.TOO_BIG)
        if self.problem is not None or not piece:
            return
        if self._in_body:
            self._write_body(piece)
        else:
            self._write_header(piece)

    def finish(self, milliseconds: int) -> ReceivedLetter | Problem:
        """The letter, or why it cannot be taken. Raises OSError where the file cannot be written."""
        if self.problem is not None:
            return self.problem
        if self._file is not None:
            self._file.flush()  # now, and not when half of the letter has gone to the mail server
        try:
            header = parse_header(bytes(self._header))
        except MalformedLetter:
            self._refuse(Problem.HEADER_TOO_BIG)
            return Problem.HEADER_TOO_BIG
        chunks = (bytes(self._body),) if self._body else ()
        letter = ReceivedLetter(
            header, self._hasher.digest(), self.size, milliseconds, self._separator, chunks, self._file
        )
        self._file = None
        return letter

    def discard(self) -> None:
        """Forget what has come so far."""
        self._body.clear()
        self._header.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing writes what is left in its buffer, and the disk may be full
                self._file.close()
            self._file = None

    def _refuse(self, problem: Problem) -> None:
        if self.problem is None:
            self.problem = problem
        self.discard()

    def _write_header(self, piece: bytes) -> None:
        header = self._header
        looked_at = max(0, len(header) - 3)
        header += piece
        if header.startswith(b"\r\n"):
            end = 0
        else:
            found = header.find(b"\r\n\r\n", looked_at)
            end = found + 2 if found >= 0 else -1
        if end > self._limits.header_bytes_max or (end < 0 and len(header) > self._limits.header_bytes_max):
            self._refuse(Problem.HEADER_TOO_BIG)
        elif end >= 0:
            body = bytes(header[end + 2 :])
            del header[end:]
            self._in_body = True
            self._separator = b"\r\n"
            if body:
                self._write_body(body)

    def _write_body(self, piece: bytes) -> None:
        self._hasher.update(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._body += piece
        if len(self._body) > self._limits.memory_bytes_max:
            file = tempfile.TemporaryFile(dir=self._limits.directory, buffering=_READ_BYTES)  # noqa: SIM115
            self._file = file
            file.write(self._body)
            self._body.clear()
