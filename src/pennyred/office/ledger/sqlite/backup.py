"""A ledger's file copied while it is used, and put back: one file, whole or not there at all."""

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
"""Files that SQLite keeps beside a database, and would take for those of another one put in its place."""


def back_up(
    source: Path,
    target: Path,
    *,
    note: Callable[[float], object] = lambda _: None,
    prepare: Callable[[Path], object] = lambda _: None,
) -> None:
    """Copy the ledger as it stands at this moment; others go on writing meanwhile. `note` is told the share done.

    `prepare` is given the copy before it has its name: what it raises leaves nothing behind. Raises FileExistsError
    where there is something, SchemaError for a ledger that has moved, `Unavailable`, OSError.
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
    """Make the file and lock it; returns its descriptor.

    What a copy that was killed has left there loses this name, and is never written over: killed just after it was
    published, it has its other name too, and may be the ledger by now.
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
    """Give it its name once it is on the disk."""
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
    """Raise `SchemaError` where a ledger is gone and what stood beside it is not: a new one would delete that."""
    if not path.exists() and (rest := [one for one in companions(path) if one.exists()]):
        raise SchemaError(
            f"{path} is not there, and {rest[0]} is: put the ledger back (or a backup of it), or move that away first"
        )


def _require_absent(path: Path) -> None:
    for one in (path, *companions(path)):
        if one.exists():
            raise FileExistsError(f"{one} exists; move it away first")
