"""A Maildir for each recipient, as mail programs and other workers may read and change it at any moment.

A file is written in `tmp`, flushed to the disk, and renamed into `new`; mail programs move it to `cur` and put flags
behind its name (https://cr.yp.to/proto/maildir.html). What several recipients have is one file under several names. A
name begins with 64 hexadecimal digits, and may say behind `,n=` which network the letter came from; whatever is named
otherwise is somebody else's, neither read nor removed. Functions block, and raise OSError.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote_to_bytes

from pennyred.gate.rules.exemptions import canonical_or_none
from pennyred.storage import private

T = TypeVar("T")

_PLACES = ("tmp", "new", "cur")
_NAME_BYTES_MAX = 150
_ODD = re.compile(rb"[^a-z0-9@._+-]|\A\.")
_OURS = re.compile(r"([0-9a-f]{64})(?:,n=([0-9a-f]{1,12}))?(?:[,:;!].{0,180})?", re.DOTALL)
_NOT_LINKED = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
"""The errors of a file system that gives no second name to a file: never, not in that folder, or no more names."""
_WRITE_BYTES = 256 * 1024
_BLOCK_BYTES = 4096
_TRIES = 5
_TEMPORARY_SECONDS = 36 * 3600
"""After that nobody writes to a file in `tmp` any more (as Maildir's own description says)."""

_FRESH_SECONDS = 3600
"""How long an empty folder stays: another worker may just have begun to write in it."""


@dataclass(frozen=True, order=True, slots=True)
class Found:
    """One kept letter, as its file's name and place tell it."""

    at: int
    """Its time, in seconds since 1970-01-01 UTC."""
    name: str
    """Its name in the quarantine: 64 hexadecimal digits."""
    path: Path
    disk_bytes: int
    """What it takes on the disk, about; under all its names together."""
    file: tuple[int, int]
    """Device and inode: which file has this name."""
    network: str | None
    """Where it came from, as the name says it; None: it does not."""


Place = tuple[Path, str]
"""A recipient's folder, and the name of a file in it."""


def folder_name(mailbox: bytes) -> str:
    """The recipient's folder: readable, one for each canonical recipient, and never a way to somewhere else.

    What is not of `a-z0-9@._+-`, and a dot in front, is percent-encoded; what is too long ends in a hash, behind a `=`.
    """
    recipient = canonical_or_none(mailbox)
    name = recipient.canonical.encode() if recipient else mailbox.lower()
    safe = _ODD.sub(lambda odd: b"%%%02X" % odd[0][0], name).decode("ascii") or "%"
    if len(safe) <= _NAME_BYTES_MAX:
        return safe
    return f"{safe[:_NAME_BYTES_MAX]}={hashlib.sha256(name).hexdigest()[:32]}"


def mailbox_of(folder: str) -> bytes:
    """The recipient whose folder has this name, as it is written there; empty where the name does not tell."""
    return b"" if "=" in folder else unquote_to_bytes(folder)


def on_disk(size: int) -> int:
    """The bytes that a file of `size` takes: whole blocks. So a limit on bytes also limits the number of files."""
    return -(-max(size, 1) // _BLOCK_BYTES) * _BLOCK_BYTES


def deliver(places: Sequence[Place], pieces: Iterable[bytes], *, at: int, size: int) -> BinaryIO:
    """Write a file of `size` bytes, as if at `at`, so that it is there whole or not at all; returns it open.

    All `places` (at least one) have the same file; where the file system cannot do that, copies of it. When this
    returns, it survives a crash.
    """
    (folder, name), *others = places
    path, file = _temporary(folder, name)
    try:
        for piece in pieces:
            file.write(piece)
        file.flush()
        _check_size(file, size)
        os.utime(path, (at, at))
        os.fsync(file.fileno())
        for place in others:
            _link(path, file, place, at=at, size=size)
        _again_if_swept(folder, lambda: path.replace(folder / "new" / name))
        _sync_new(folder)
    except BaseException:
        with contextlib.suppress(OSError):  # closing writes the rest of its buffer, and the disk may be full
            file.close()
        path.unlink(missing_ok=True)
        raise
    return file


def read_from(file: BinaryIO, offset: int) -> Iterator[bytes]:
    """What is in an open file from there on, wherever others read in it."""
    while piece := os.pread(file.fileno(), _WRITE_BYTES, offset):
        yield piece
        offset += len(piece)


def holds(folder: Path, name: str) -> bool:
    """Whether the folder has this letter: a file of this name, or one whose name begins with the same digits.

    The end of the name differs for a letter that was read, that an earlier version has kept, or that came from another
    network before, as retries of big senders do.
    """
    if (folder / "new" / name).exists() or (folder / "new" / name[:64]).exists():
        return True
    for place in ("new", "cur"):
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / place) as entries:
            if any(entry.name.startswith(name[:64]) for entry in entries):
                return True
    return False


def files_in(folder: Path) -> Iterator[Found]:
    """Our files in one recipient's folder. A file that vanishes meanwhile, or cannot be looked at, is passed over."""
    for place in ("new", "cur"):
        with contextlib.suppress(OSError), os.scandir(folder / place) as entries:
            for entry in entries:
                ours = _OURS.fullmatch(entry.name)
                if ours is not None and (found := _found(entry, *ours.groups())) is not None:
                    yield found


def folders_in(top: Path) -> list[Path]:
    """The recipients' folders; none where nothing was ever kept."""
    try:
        with os.scandir(top) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file. Raises OSError for a link, or for a pipe that would make us wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return os.fdopen(descriptor, "rb")


def tidy(folder: Path, now: int) -> None:
    """Remove files that nobody finished writing, and a folder that has been empty for a while."""
    with contextlib.suppress(OSError), os.scandir(folder / "tmp") as entries:
        for entry in entries:
            ours = _OURS.fullmatch(entry.name)
            if ours is not None and entry.stat(follow_symlinks=False).st_mtime < now - _TEMPORARY_SECONDS:
                os.unlink(entry.path)  # noqa: PTH108 - it is no Path yet
    with contextlib.suppress(OSError):  # the first that is not empty ends it; `tmp` first, for there letters begin
        if (folder / "tmp").stat().st_mtime > now - _FRESH_SECONDS:
            return
        for place in _PLACES:
            (folder / place).rmdir()
        folder.rmdir()


def _check_size(file: BinaryIO, size: int) -> None:
    if file.tell() != size:
        raise OSError(f"{file.tell()} bytes came instead of {size}")


def _temporary(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    path = folder / "tmp" / f"{name},{os.getpid()}.{secrets.token_hex(8)}"
    descriptor = _again_if_swept(folder, lambda: private.create(path))
    return path, os.fdopen(descriptor, "w+b", buffering=_WRITE_BYTES)


def _again_if_swept(folder: Path, work: Callable[[], T]) -> T:
    """Do the work; where the folder is missing, make it and try again. Another worker may have removed it as empty."""
    for _ in range(_TRIES):
        try:
            return work()
        except FileNotFoundError:
            _make(folder)
    return work()


def _make(folder: Path) -> None:
    private.make_folder(folder.parent)
    for one in (folder, *(folder / place for place in _PLACES)):
        # It is there, or swept again: then the caller comes back. Not `exist_ok`, which looks twice and may see both.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            private.make_folder_in(one)
    with contextlib.suppress(FileNotFoundError):
        _sync(folder)
    _sync(folder.parent)


def _link(path: Path, file: BinaryIO, place: Place, *, at: int, size: int) -> None:
    """Give a file that is whole a second name, in another recipient's folder."""
    folder, name = place
    try:
        with contextlib.suppress(FileExistsError):  # another worker has kept the same letter
            _again_if_swept(folder, lambda: os.link(path, folder / "new" / name))
        _sync_new(folder)
    except OSError as error:
        if error.errno not in _NOT_LINKED:
            raise
        deliver([place], read_from(file, 0), at=at, size=size).close()


def _sync_new(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # swept already, and the empty folder with it
        _sync(folder / "new")


def _sync(folder: Path) -> None:
    """Have the disk keep a folder's new entries."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _found(entry: os.DirEntry[str], name: str, network: str | None) -> Found | None:
    try:
        known = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(known.st_mode):
        return None
    file = known.st_dev, known.st_ino
    return Found(int(known.st_mtime), name, Path(entry.path), on_disk(known.st_size), file, network)
