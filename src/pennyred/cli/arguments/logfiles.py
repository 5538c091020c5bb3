"""Read log files: plain, compressed by logrotate, or on standard input; in lines of bounded length."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pennyred.cli.common import progress
from pennyred.gate.maillogs.reading import LINE_CHARACTERS_MAX
from pennyred.postage.errors import Malformed

STANDARD_INPUT = Path("-")

_LINES_BETWEEN = 5_000
"""After how many lines the progress is shown again."""
_PEEK_BYTES = 8
_ZSTD = b"\x28\xb5\x2f\xfd"


def _gunzip(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw))


def _unxz(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", lzma.LZMAFile(raw))


def _bunzip2(raw: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", bz2.BZ2File(raw))


_PACKED: dict[str, tuple[bytes, Callable[[BinaryIO], BinaryIO]]] = {
    ".gz": (b"\x1f\x8b", _gunzip),
    ".xz": (b"\xfd7zXZ\0", _unxz),
    ".bz2": (b"BZh", _bunzip2),
}
"""For each ending of a file name: the first bytes of such a file, and what unpacks it."""


@contextmanager
def log_lines(file: Path, *, is_quiet: bool) -> Iterator[Iterator[str]]:
    """The lines of a file, or of standard input for `-`; octets that are no UTF-8 are replaced.

    Only LF ends a line. A longer line is cut, and its rest is dropped, so nothing inside a line can look like the
    beginning of another. Raises OSError, and `Malformed` for a compressed file that is damaged.
    """
    if file == STANDARD_INPUT:
        with _unpacked(file, sys.stdin.buffer) as plain:
            yield _lines(plain, lambda _: None)
        return
    size = file.stat().st_size
    with (
        file.open("rb") as raw,
        progress(file.name, size, is_quiet=is_quiet) as advance,
        _unpacked(file, raw) as plain,
    ):
        yield _lines(plain, lambda _: advance(raw.tell()))


@contextmanager
def _unpacked(file: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    packed = io.BufferedReader(cast("io.RawIOBase", raw))
    beginning = packed.peek(_PEEK_BYTES)[:_PEEK_BYTES]
    if file.suffix in (".zst", ".zstd") or beginning.startswith(_ZSTD):
        raise Malformed(f"{file}: Python cannot unpack zstd; try: zstdcat FILE | pennyred correspondents import -")
    unpack = next(
        (one for end, (magic, one) in _PACKED.items() if end == file.suffix or beginning.startswith(magic)), None
    )
    try:
        yield unpack(packed) if unpack else packed
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the disk, not of unpacking
            raise
        raise Malformed(f"{file}: the packed file is broken: {error}") from error
    finally:
        packed.detach()  # whoever opened the stream closes it


def _lines(plain: BinaryIO, advance: Callable[[int], object]) -> Iterator[str]:
    number = 0
    while line := plain.readline(LINE_CHARACTERS_MAX):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = plain.readline(LINE_CHARACTERS_MAX)
        if number % _LINES_BETWEEN == 0:
            advance(number)
        number += 1
        yield line.decode("utf-8", "replace")
