"""Numbered SQL files for PostgreSQL, like `migrations` for SQLite: each is applied once, in order, as a whole.

Each is a transaction of its own. It waits only shortly for locks and then tries again, because programs that serve
would have to wait in line behind it.
"""

import asyncio
from collections.abc import Sequence

import asyncpg

from pennyred.storage.migrations import Migration, SchemaTooOld, refuse_strangers
from pennyred.storage.postgres import Connection

_LOCK = 0x7065656E6E79
"""The number of the advisory lock with which programs that migrate at the same time take turns."""
_LOCK_PATIENCE = "2s"
_TRIES_MAX = 30
_RECORD_TABLE = """CREATE TABLE IF NOT EXISTS schema_migration (
  number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at bigint NOT NULL
)"""


async def migrate(connection: Connection, migrations: Sequence[Migration], *, now: int) -> list[int]:
    """Apply the missing migrations and return their numbers; raises `SchemaTooNew` or `MigrationAltered`."""
    done = []
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_RECORD_TABLE)
        applied = await _applied(connection)
        refuse_strangers(applied, migrations)
        for migration in migrations:
            if migration.number not in applied:
                await _apply(connection, migration, now=now)
                done.append(migration.number)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return done


async def require_current(connection: Connection, migrations: Sequence[Migration], *, place: str) -> None:
    """Raise the right `SchemaError` unless exactly these migrations have been applied; `place` is for its text."""
    applied = await _applied(connection)
    refuse_strangers(applied, migrations)
    if missing := [migration.number for migration in migrations if migration.number not in applied]:
        raise SchemaTooOld(
            f"{place}: the schema lacks migration {missing[0]:04} of {migrations[-1].number:04};"
            " run `pennyred ledger migrate`"
        )


async def is_empty(connection: Connection) -> bool:
    """Whether the database has no table of migrations: then nothing of ours was ever created there."""
    return not await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")


async def _apply(connection: Connection, migration: Migration, *, now: int) -> None:
    for tries_left in reversed(range(_TRIES_MAX)):
        try:
            async with connection.transaction():
                await connection.execute(
                    f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE}'; SET LOCAL statement_timeout = 0"
                )
                await connection.execute(migration.sql, timeout=3600)
                await connection.execute(
                    "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
                    migration.number, migration.name, migration.checksum, now,
                )  # fmt: skip
        except asyncpg.LockNotAvailableError:
            if not tries_left:
                raise
            await asyncio.sleep(1.0)
        else:
            return


async def _applied(connection: Connection) -> dict[int, str]:
    if await is_empty(connection):
        return {}
    rows = await connection.fetch("SELECT number, checksum FROM schema_migration")
    return {row["number"]: row["checksum"] for row in rows}
