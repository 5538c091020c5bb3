"""A gate's state moves from its file to PostgreSQL: all rows, and the salt in which correspondents are hashed.

Without the move, the gates that share the new state know nobody. In mode `require` they refuse mail that was wanted a
moment ago.
"""

from pathlib import Path
from typing import Any

import apsw
from asyncpg import Connection

from pennyred.failures import told
from pennyred.gate.memory.shared import APPLICATION
from pennyred.gate.memory.store import GateState
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import WORLD_ERRORS
from pennyred.storage.postgres import connect, is_world, shown, unavailable

_MADE_ANEW = frozenset({"schema_migration", "passed_clock", "sqlite_sequence"})
"""Tables whose rows say something of this one database, or of the processes that have it open."""
_ALWAYS_THERE = frozenset({"secret", "passed_time"})
"""Tables that have a row in a new state, too. The row that is copied takes its place."""
_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND is_identity = 'NO' ORDER BY table_name, ordinal_position
"""
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()
"""


class NotAState(PennyRedError):  # noqa: N818 - what the file is
    """The file is not a gate's state."""


class NotEmpty(PennyRedError):  # noqa: N818 - a state of the database
    """The database to copy to has something in it already."""


class InUse(PennyRedError):  # noqa: N818 - a state of the two
    """A gate has one of the two open: what it notes from now on would be lost, or hashed with another salt."""


async def move(path: Path, url: str, *, now: int) -> dict[str, int]:
    """Copy the state in the file to the database, which has to be new. Answers the number of rows of each table.

    Tables without rows are left out of the answer. All of it is one transaction: where it breaks off, the database is
    as empty as before. The file is left as it is.

    Raises NotAState, NotEmpty, InUse, SchemaError, and Unavailable where one of the two does not answer.
    """
    try:
        _require_state(path)
        await GateState.open(path, now=now).close()  # brought up to date
        source = _alone(path)
        try:
            await GateState.open(url, now=now).close()  # has its tables
            return await _copied(source, url)
        finally:
            source.close()
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.STATE_UNAVAILABLE, f"{path}: {told(error)}") from error
    except Exception as error:
        raise (unavailable(Reason.STATE_UNAVAILABLE, url, error) if is_world(error) else error) from error


def _require_state(path: Path) -> None:
    """Raise NotAState before anything is brought up to date: no other program's database must be given our tables."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    finally:
        connection.close()
    if not {"counter", "schema_migration"} <= tables:
        raise NotAState(f"{path} is no gate's state ([gate] state, by default gate.db)")


def _alone(path: Path) -> apsw.Connection:
    """Open the file so that nobody else has it open as long as this connection lives. Raises InUse."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        # Before the first look at a file in WAL mode: then SQLite asks for it whole, at once.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError as error:
        connection.close()
        raise InUse(f"{path} is in use: stop the gate (systemctl stop pennyred)") from error
    except BaseException:
        connection.close()
        raise
    return connection


async def _copied(source: apsw.Connection, url: str) -> dict[str, int]:
    connection = await connect(url, application=APPLICATION)
    try:
        async with connection.transaction():
            if await connection.fetchval(_OTHERS, APPLICATION):
                raise InUse(f"{shown(url)} is in use: stop the gates that have it open")
            tables = await _tables(connection)
            for table in tables:
                await _require_empty(connection, table, url)
            return {
                table: count for table in tables if (count := await _copy(source, connection, table, tables[table]))
            }
    finally:
        await connection.close()


async def _tables(connection: Connection) -> dict[str, list[str]]:
    """What is to be copied: each table with its columns, without numbers that the database gives by itself."""
    tables: dict[str, list[str]] = {}
    for table, column in await connection.fetch(_COLUMNS):
        if table not in _MADE_ANEW:
            tables.setdefault(table, []).append(column)
    return tables


async def _require_empty(connection: Connection, table: str, url: str) -> None:
    """Raise NotEmpty, or take away what a new state begins with."""
    if table in _ALWAYS_THERE:
        await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - ours
    elif await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):  # noqa: S608 - ours
        raise NotEmpty(f"{shown(url)} knows something already ({table}); give the copy a new, empty database")


async def _copy(source: apsw.Connection, connection: Connection, table: str, columns: list[str]) -> int:
    names = ", ".join(f'"{column}"' for column in columns)
    rows: list[tuple[Any, ...]] = source.execute(f"SELECT {names} FROM {table}").fetchall()  # noqa: S608 - ours
    await connection.copy_records_to_table(table, records=rows, columns=columns, timeout=None)
    return len(rows)
