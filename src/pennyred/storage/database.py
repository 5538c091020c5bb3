"""Open an SQLite file, and tell errors of the world outside (disk, other programs) from mistakes of ours.

apsw brings its own SQLite: the one of Debian 12's Python can corrupt a WAL database that several connections share. WAL
lets readers read while one writes; with synchronous=FULL a commit survives a power cut.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from pennyred.storage import private

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a transaction waits for another process before it gives up."""
_STATEMENTS_CACHED = 512
_PAGE_CACHE_KIB = 32 * 1024
_BUSY_PAUSE_SECONDS = 0.0005
_CHECKPOINT_PAGES = 4000

WORLD_ERRORS: tuple[type[BaseException], ...] = (
    apsw.BusyError,
    apsw.IOError,
    apsw.FullError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.NoMemError,
)
"""What apsw raises if the disk, the file or another process is the cause; all other errors are mistakes of ours."""


def open_database(
    path: Path, *, is_reader: bool = False, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
) -> apsw.Connection:
    """Open the database file at `path`, or create it unless `is_reader`; other users may not read a created file.

    The connection may be given to another thread, but only one may use it at a time. Raises one of `WORLD_ERRORS`.
    """
    if not _is_utf8(path):
        raise apsw.CantOpenError("SQLite opens only what has a name in UTF-8")
    if not is_reader:
        _create(path)
    flags = apsw.SQLITE_OPEN_READWRITE | (0 if is_reader else apsw.SQLITE_OPEN_CREATE)
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS_CACHED)
    try:
        connection.set_busy_handler(_patience(busy_timeout_seconds))
        # Plans must not depend on bound values; without this, SQLite prepares some statements again each time.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        _enter_wal(connection, busy_timeout_seconds)
        connection.execute(
            f"PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
            f"PRAGMA cache_size=-{_PAGE_CACHE_KIB}; PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES};"
            f"PRAGMA query_only={int(is_reader)}"
        ).fetchall()  # apsw runs the next statement only after the rows of the one before are read
    except BaseException:
        connection.close()
        raise
    return connection


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _create(path: Path) -> None:
    """Create the file ourselves: SQLite would make it readable for all. Its other files get the same mode and owner."""
    with contextlib.suppress(OSError):  # SQLite says why it cannot be opened
        private.ensure(path)


def _patience(seconds: float) -> Callable[[int], bool]:
    """A busy handler that tries again every half millisecond, for `seconds`.

    SQLite's own handler sleeps up to 100 ms between two tries, but another process's transaction takes only a few. With
    several workers, most of the time would be spent asleep.
    """
    began = 0.0

    def wait(tries: int) -> bool:
        nonlocal began
        now = time.monotonic()
        if tries == 0:
            began = now
        time.sleep(_BUSY_PAUSE_SECONDS)
        return now - began < seconds

    return wait


def _enter_wal(connection: apsw.Connection, busy_timeout_seconds: float) -> None:
    """Switch to WAL. SQLite does not always wait for its turn here, so try again: two programs may start together."""
    deadline = time.monotonic() + busy_timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def is_world(error: BaseException) -> bool:
    """Whether an error has its cause outside this program."""
    return isinstance(error, WORLD_ERRORS)
