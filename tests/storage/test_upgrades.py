"""A database of any earlier schema, with a row in each of its tables, is brought up to date and loses none of them."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.support.postgres import any_version

from pennyred.storage import postgres
from pennyred.storage import postgres_migrations as in_postgres
from pennyred.storage.database import open_database
from pennyred.storage.migrations import Migration, load_migrations, migrate

PACKAGES = ("pennyred.office.ledger", "pennyred.gate.memory")
NOT_OURS = ("schema_migration", "sqlite_sequence")


def earlier(package: str, folder: str) -> list[tuple[Migration, ...]]:
    """The migrations that each earlier schema had."""
    all_of_them = load_migrations(package, f"migrations/{folder}")
    return [all_of_them[:count] for count in range(1, len(all_of_them))]


def every_earlier(folder: str) -> list[object]:
    return [
        pytest.param(package, some, id=f"{package.rpartition('.')[2]}-{some[-1].number}")
        for package in PACKAGES
        for some in earlier(package, folder)
    ]


@pytest.mark.parametrize(("package", "some"), every_earlier("sqlite"))
def test_in_sqlite(tmp_path, package, some: Sequence[Migration]):
    connection = open_database(tmp_path / "x.db")
    migrate(connection, some, now=1)
    connection.execute("PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = 0")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    filled = {name: _rows_in_sqlite(connection, name) for name in tables if name not in NOT_OURS}
    assert all(filled.values())
    numbers = [one.number for one in load_migrations(package, "migrations/sqlite")]
    assert migrate(connection, load_migrations(package, "migrations/sqlite"), now=2) == numbers[len(some) :]
    left = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for name in left & {*filled}:
        rows = connection.execute(f"SELECT * FROM {name}").fetchall()
        assert [row[: len(filled[name][0])] for row in rows] == filled[name]
    connection.close()


def _rows_in_sqlite(connection, table: str) -> list[tuple]:
    """What stands in a table once there is a row in it."""
    everything = f"SELECT * FROM {table}"
    if not connection.execute(everything).fetchall():
        values = {"INTEGER": 1, "TEXT": "x", "BLOB": b"x" * 32, "ANY": 1}
        kinds = [kind for _, _, kind, *_ in connection.execute(f"PRAGMA table_info({table})")]
        marks = ", ".join("?" for _ in kinds)
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", [values[kind] for kind in kinds])
    return connection.execute(everything).fetchall()


@pytest.mark.parametrize(("package", "some"), every_earlier("postgresql"))
def test_in_postgresql(postgres_database, package, some: Sequence[Migration]):
    url = postgres_database(any_version())

    async def story():
        connection = await postgres.connect(url, application="test")
        await in_postgres.migrate(connection, some, now=1)
        tables = await _tables_in_postgresql(connection)
        for name in tables:
            await _without_rules(connection, name)
        filled = {name: await _rows_in_postgresql(connection, name) for name in tables}
        assert all(filled.values())
        whole = load_migrations(package, "migrations/postgresql")
        applied = await in_postgres.migrate(connection, whole, now=2)
        assert applied == [one.number for one in whole][len(some) :]
        for name in {*filled}.intersection(await _tables_in_postgresql(connection)):
            rows = [tuple(row) for row in await connection.fetch(f"SELECT * FROM {name}")]
            assert [row[: len(filled[name][0])] for row in rows] == filled[name]
        await connection.close()

    asyncio.run(story())


async def _tables_in_postgresql(connection) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    return [name for (name,) in await connection.fetch(f"{query} AND NOT relispartition") if name not in NOT_OURS]


async def _without_rules(connection, table: str) -> None:
    """Any row may stand in it: without checks and references, and in a partition where it is made of those."""
    rules = "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('c', 'f')"
    for (rule,) in await connection.fetch(rules, table):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {rule}")
    if await connection.fetchval("SELECT relkind = 'p' FROM pg_class WHERE oid = $1::text::regclass", table):
        await connection.execute(f"CREATE TABLE {table}_of_a_test PARTITION OF {table} DEFAULT")


async def _rows_in_postgresql(connection, table: str) -> list[tuple]:
    """What stands in a table once there is a row in it."""
    if not await connection.fetch(f"SELECT * FROM {table}"):
        columns = "SELECT data_type FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position"
        values = {"text": "'x'", "bytea": r"'\x0102'", "boolean": "true", "ARRAY": "'{}'"}
        kinds = [kind for (kind,) in await connection.fetch(columns, table)]
        row = ", ".join(values.get(kind, "1") for kind in kinds)
        await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({row})")
    return [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
