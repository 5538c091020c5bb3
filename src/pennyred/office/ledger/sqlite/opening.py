"""Opens a ledger's file: to bring its schema up to date, to write in it, to read beside whoever writes."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import apsw

from pennyred.failures import told
from pennyred.office.ledger.protocol import Audit
from pennyred.office.ledger.sqlite import audit, chain, stamps
from pennyred.office.ledger.sqlite.backup import require_no_rest
from pennyred.office.ledger.sqlite.moved import require_here, require_still_here
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.migrations import Migration, is_empty, load_migrations, migrate, require_current

T = TypeVar("T")


def migrate_ledger(path: Path, *, now: int) -> list[int]:
    """Bring the schema of the ledger at `path` up to date; the numbers of the migrations applied.

    Raises SchemaError, or Unavailable when the file does not answer.
    """
    require_no_rest(path)
    try:
        connection = open_database(path)
        try:
            require_here(connection)
            return _migrate(connection, now=now)
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise unavailable(path, error) from error


def open_here(path: Path, *, now: int, busy_timeout_seconds: float) -> apsw.Connection:
    """Open the ledger at `path` for writing; a new file is given its schema.

    Raises SchemaTooOld where `migrate_ledger` has to come first, another SchemaError where that would not help, and
    Unavailable when the file does not answer.
    """
    with ExitStack() as opened:
        try:
            connection = open_database(path, busy_timeout_seconds=busy_timeout_seconds)
            opened.callback(connection.close)
            if is_empty(connection):
                _migrate(connection, now=now)
            require_here(connection)
            require_current(connection, _migrations())
        except WORLD_ERRORS as error:
            raise unavailable(path, error) from error
        opened.pop_all()
    return connection


def require_ready(path: Path) -> None:
    """Raise the right SchemaError where the file is not the ledger any more, or not one of this version of the program;
    `Unavailable` where it does not answer.
    """
    try:
        connection = open_database(path, is_reader=True)
        try:
            require_here(connection)
            require_current(connection, _migrations())
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise unavailable(path, error) from error


def read_beside(
    path: Path, work: Callable[[apsw.Connection], T], *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
) -> T:
    """Read in one snapshot of the file, on a connection of its own, beside whoever writes. Raises `Unavailable`."""
    try:
        connection = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
        try:
            require_still_here(connection)
            connection.execute("BEGIN")
            return work(connection)
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise unavailable(path, error) from error


def audit_file(path: Path) -> Audit:
    """Audit a ledger beside whoever writes in it. Raises `Unavailable`."""
    return read_beside(path, audit.audit)


def begin_anew(path: Path, epoch_id: bytes, *, now: int) -> Audit:
    """Bring the copy of a backup, which nobody else uses, up to date, audit it, and begin a new epoch if it balances.

    Raises what `migrate_ledger` raises.
    """
    migrate_ledger(path, now=now)
    try:
        connection = open_database(path)
        try:
            with connection:
                found = audit.audit(connection)
                if found.balanced:
                    chain.begin_epoch(connection, epoch_id, None, now)
            return found
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise unavailable(path, error) from error


def unavailable(path: Path, error: BaseException) -> Unavailable:
    """What to raise where the file does not answer."""
    return Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}")


def _migrate(connection: apsw.Connection, *, now: int) -> list[int]:
    """Apply the numbered steps, and what no fixed text can say: tables of days, and a chain for an older journal."""
    applied = migrate(connection, _migrations(), now=now)
    with connection:
        stamps.add_places(connection)
        chain.begin(connection, now=now)
    return applied


def _migrations() -> tuple[Migration, ...]:
    return load_migrations("pennyred.office.ledger", "migrations/sqlite")
