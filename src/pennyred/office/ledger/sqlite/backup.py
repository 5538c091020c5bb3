"""A copy of a ledger's file, made while it is used, and put back. A copy is one whole file, or is not there at all."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from pennyred.failures import told
from pennyred.office.ledger.sqlite.moved import require_here
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import private
from pennyred.storage.database import WORLD_ERRORS, open_database
from pennyred.storage.migrations import SchemaError

PAGES_PER_STEP = 2000
COMPANIONS = ("-wal", "-shm", "-journal")
"""Files that SQLite keeps beside a database. It would take them for those of a database put in its place."""


def back_up(
    source: Path,
    target: Path,
    *,
    note: Callable[[float], object] = lambda _: None,
    prepare: Callable[[Path], object] = lambda _: None,
) -> None:
    """Copy the ledger as it is at this moment, while others go on writing. `note` is told the share that is done.

    `prepare` is given the copy before the copy has its name. Where it raises, nothing is left behind. Raises
    FileExistsError where the target exists, SchemaError for a ledger that has moved, `Unavailable`, OSError.
    """
    try:
        open_database(source, is_reader=True).close()  # what is no ledger is named before what is in the way
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{source}: {told(error)}") from error
    _require_absent(target)
    partial = target.with_name(target.name + ".partial")
    with _claimed(partial):
        try:
            _copy(source, partial, note)
            prepare(partial)
            _publish(partial, target)
        except WORLD_ERRORS as error:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{source}: {told(error)}") from error
        finally:
            for one in (partial, *companions(partial)):
                one.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(partial: Path) -> Iterator[None]:
    """The file that is written first, new and ours. Raises FileExistsError where another copy is under way."""
    descriptor = _claim(partial)
    try:
        for one in companions(partial):
            one.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _claim(partial: Path) -> int:
    """Make the file and lock it. Returns its descriptor.

    A file that a killed copy has left there is never written over; only this name of it is removed. If that copy was
    killed just after it was published, the file has its other name too, and may be the ledger by now.
    """
    while True:
        try:
            descriptor, is_new = private.create(partial), True
        except FileExistsError:
            descriptor, is_new = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(descriptor), partial.lstat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if is_ours and is_new:
            return descriptor
        if is_ours:
            partial.unlink()
        os.close(descriptor)
        if not is_ours:
            raise FileExistsError(f"another copy to {partial} is under way")


def _copy(source: Path, target: Path, note: Callable[[float], object]) -> None:
    reading = open_database(source, is_reader=True)
    writing = apsw.Connection(str(target))
    try:
        # One snapshot: without it every write of somebody else's would make the copy begin again.
        reading.execute("BEGIN")
        reading.execute("SELECT 1 FROM sqlite_schema").fetchall()
        require_here(reading)
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(PAGES_PER_STEP)
                note(1 - copying.remaining / max(1, copying.page_count))
        writing.execute("PRAGMA journal_mode=DELETE").fetchall()
    finally:
        writing.close()
        reading.close()


def _publish(partial: Path, target: Path) -> None:
    """Give the copy its name, once it is on the disk."""
    _flush(partial, os.O_RDONLY)
    os.link(partial, target)  # unlike a rename, never over another
    _flush(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def companions(path: Path) -> list[Path]:
    """The files that may stand beside a ledger's."""
    return [path.with_name(path.name + end) for end in COMPANIONS]


def require_no_rest(path: Path) -> None:
    """Raise `SchemaError` where a ledger's file is gone and the files beside it are not: a new ledger would delete
    those.
    """
    if not path.exists() and (rest := [one for one in companions(path) if one.exists()]):
        raise SchemaError(
            f"{path} is not there, and {rest[0]} is: put the ledger back (or a backup of it), or move that away first"
        )


def _require_absent(path: Path) -> None:
    for one in (path, *companions(path)):
        if one.exists():
            raise FileExistsError(f"{one} exists; move it away first")
