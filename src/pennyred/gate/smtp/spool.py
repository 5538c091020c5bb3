"""Takes a letter as it comes: keeps its header section, hashes its body, and moves to a file beyond a limit.

A letter's bytes come out as they went in, even if it has no header, no body or no empty line. A letter that cannot be
kept is read to its end without being stored, and `Spool.problem` says why.
"""

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import IO

from pennyred.gate.smtp.disk_budget import DiskShare, unlimited
from pennyred.gate.smtp.memory_budget import BY_RIGHT_OCTETS, Share, octets_of_header, unbounded
from pennyred.postage.canonical import BodyHasher
from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX, HeaderSection, parse_header

_READ_BYTES = 256 * 1024
_BUFFER_BYTES = 16 * 1024
"""The buffer of a file. Pieces off the wire are larger, and are written without it."""
_TAIL_OCTETS = 3
"""How many octets of a header section stay in memory: they may begin the empty line."""
_NOBODYS = unbounded()
_NO_DISK = unlimited()


class Problem(Enum):
    """Why a letter was not kept, though it was read to its end."""

    TOO_BIG = auto()
    HEADER_TOO_BIG = auto()
    NO_MEMORY = auto()
    """The header section needs more memory than is free now."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """The limits of a letter's size, memory and disk."""

    letter_bytes_max: int
    memory_bytes_max: int = 1024 * 1024
    """The most of a body that is kept in memory. A longer one goes to a file; it goes sooner if memory is short."""
    header_bytes_max: int = HEADER_BYTES_MAX
    directory: Path | None = None
    """The folder for the files; None: the system's folder for temporary files."""


@dataclass(frozen=True, slots=True)
class ReceivedLetter:
    """A letter that can be read any number of times until it is closed (implements `letterbox.Letter`)."""

    header: HeaderSection
    body_hash: bytes
    relaxed_hash: bytes
    size: int
    milliseconds: int
    separator: bytes
    """The empty line between header and body (CRLF); empty if the letter has none."""
    chunks: tuple[bytes, ...] = field(repr=False)
    file: IO[bytes] | None = field(default=None, repr=False)
    file_offset: int = 0
    """The octet of the file at which the body begins."""
    share: Share | None = field(default=None, repr=False)
    disk: DiskShare | None = field(default=None, repr=False)

    def body(self) -> Iterator[bytes]:
        """The bytes below the header section, in pieces; the empty line comes first."""
        if self.separator:
            yield self.separator
        if self.file is None:
            yield from self.chunks
            return
        self.file.seek(self.file_offset)
        while chunk := self.file.read(_READ_BYTES):
            yield chunk

    def close(self) -> None:
        """Delete the letter and give back its memory and disk space."""
        if self.file is not None:
            self.file.close()
        if self.share is not None:
            self.share.release()
        if self.disk is not None:
            self.disk.release()


class Spool:
    """Takes one letter: `write` each piece, then `finish`, or else `discard`.

    `share` counts what it has in memory, `disk` what it has in its file.
    """

    __slots__ = (
        "_body", "_disk", "_file", "_hasher", "_header", "_in_body", "_limits", "_lines", "_separator", "_share",
        "_written", "problem", "size",
    )  # fmt: skip

    def __init__(self, limits: SpoolLimits, share: Share | None = None, disk: DiskShare | None = None) -> None:
        self._limits = limits
        self._share = unbounded() if share is None else share
        self._disk = unlimited() if disk is None else disk
        self._header = bytearray()  # the part of the header section that is in memory
        self._written = 0  # octets of the header section that are in the file already
        self._lines = 0  # line ends in that part
        self._in_body = False
        self._separator = b""
        self._hasher = BodyHasher()
        self._body = bytearray()  # no list of pieces: a client may send single octets
        self._file: IO[bytes] | None = None
        self.problem: Problem | None = None
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes (newlines are CRLF only). Raises OSError if the file cannot be written."""
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
        """The letter, or why it cannot be taken. Raises OSError if the file cannot be written or read."""
        if self.problem is not None:
            return self.problem
        octets = self._written + len(self._header)
        lines = min(self._lines + self._header.count(b"\n"), HEADER_FIELDS_MAX)
        needed = octets_of_header(octets, lines)
        if not self._share.hold(needed + len(self._body)):
            self._spill_body()
            if not self._share.hold(needed):
                self._refuse(Problem.NO_MEMORY)
                return Problem.NO_MEMORY
        section = bytes(self._header)
        if self._file is not None:
            self._file.flush()  # so that an error comes now, not when half of the letter is sent
            if self._written:
                self._file.seek(0)
                section = self._file.read(self._written) + section
        try:
            header = parse_header(section)
        except MalformedLetter:
            self._refuse(Problem.HEADER_TOO_BIG)
            return Problem.HEADER_TOO_BIG
        chunks = (bytes(self._body),) if self._body else ()
        letter = ReceivedLetter(
            header, *self._hasher.digests(), self.size, milliseconds, self._separator, chunks, self._file,
            self._written, self._share, self._disk,
        )  # fmt: skip
        self._file, self._share, self._disk = None, _NOBODYS, _NO_DISK  # the letter owns them now
        return letter

    def discard(self) -> None:
        """Forget what has come so far."""
        self._body.clear()
        self._header.clear()
        self._share.release()
        self._disk.release()
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing writes its buffer, and the disk may be full
                self._file.close()
            self._file = None

    def _refuse(self, problem: Problem) -> None:
        if self.problem is None:
            self.problem = problem
        self.discard()

    def _write_header(self, piece: bytes) -> None:
        header = self._header
        before = len(header)
        looked_at = max(0, before - _TAIL_OCTETS)
        header += piece
        if not self._written and header.startswith(b"\r\n"):
            end = 0
        else:
            found = header.find(b"\r\n\r\n", looked_at)
            end = found + 2 if found >= 0 else -1
        if self._written + (len(header) if end < 0 else end) > self._limits.header_bytes_max:
            self._refuse(Problem.HEADER_TOO_BIG)
        elif end >= 0:
            body = piece[end + 2 - before :]  # the empty line ends in this piece
            del header[end:]
            self._in_body = True
            self._separator = b"\r\n"
            if self._written or len(header) > BY_RIGHT_OCTETS:
                self._spill(len(header))
            if body:
                self._write_body(body)
        elif len(header) > BY_RIGHT_OCTETS:
            # A client that sends a long header section slowly takes disk space, not memory.
            self._spill(len(header) - _TAIL_OCTETS)
        self._share.hold(len(header) + len(self._body))  # never refused: it is by right, or the body held it before

    def _spill(self, octets: int) -> None:
        """Write so many octets of the header section, the oldest in memory, to the file."""
        first = bytes(self._header[:octets])
        self._keep(first)
        self._written += octets
        self._lines += first.count(b"\n")
        del self._header[:octets]

    def _write_body(self, piece: bytes) -> None:
        self._hasher.update(piece)
        if self._file is not None:
            self._keep(piece)
            return
        self._body += piece
        size = len(self._body)
        if size > self._limits.memory_bytes_max or not self._share.hold(len(self._header) + size):
            self._spill_body()
            self._share.hold(len(self._header))

    def _spill_body(self) -> None:
        if self._body:
            self._keep(self._body)
            self._body.clear()

    def _keep(self, octets: bytes | bytearray) -> None:
        """Write these octets to the file, which is made if needed; raises OSError."""
        if not self._disk.hold(self._disk.held + len(octets)):
            raise OSError(errno.ENOSPC, "letters of that network have a quarter of the disk already")
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._limits.directory, buffering=_BUFFER_BYTES)  # noqa: SIM115
        self._file.write(octets)
