"""Numbered migrations: applied once, in order, whole or not at all, by whoever comes first."""

import threading

import apsw
import pytest

from pennyred.storage.database import open_database
from pennyred.storage.migrations import (
    Migration,
    MigrationAltered,
    SchemaTooNew,
    SchemaTooOld,
    is_empty,
    load_migrations,
    migrate,
    require_current,
)

FIRST = Migration(1, "first", "CREATE TABLE one (x); INSERT INTO one VALUES (1);")
SECOND = Migration(2, "second", "CREATE TABLE two (x);")
BROKEN = Migration(2, "broken", "CREATE TABLE two (x); CREATE TABLE one (x);")


@pytest.fixture
def connection(tmp_path):
    opened = open_database(tmp_path / "x.db")
    yield opened
    opened.close()


def test_what_is_missing_is_applied_once_and_in_order(connection):
    assert is_empty(connection)
    assert migrate(connection, [FIRST], now=5) == [1]
    assert migrate(connection, [FIRST, SECOND], now=6) == [2]
    assert migrate(connection, [FIRST, SECOND], now=7) == []
    assert not is_empty(connection)
    assert connection.execute("SELECT number, name, applied_at FROM schema_migration").fetchall() == [
        (1, "first", 5),
        (2, "second", 6),
    ]
    assert connection.execute("SELECT * FROM one").fetchall() == [(1,)]
    require_current(connection, [FIRST, SECOND])


def test_a_migration_that_fails_leaves_nothing_behind(connection):
    with pytest.raises(apsw.SQLError):
        migrate(connection, [FIRST, BROKEN], now=1)

    assert is_empty(connection)
    assert migrate(connection, [FIRST, SECOND], now=1) == [1, 2]


def test_a_missing_migration_is_named_with_the_command_that_helps(connection):
    migrate(connection, [FIRST], now=1)

    with pytest.raises(SchemaTooOld, match=r"lacks migration 0002 .* `pennyred ledger migrate`"):
        require_current(connection, [FIRST, SECOND])


def test_a_database_of_a_later_version_is_left_alone(connection):
    migrate(connection, [FIRST, SECOND], now=1)

    for refuse in (lambda: migrate(connection, [FIRST], now=1), lambda: require_current(connection, [FIRST])):
        with pytest.raises(SchemaTooNew, match="0002"):
            refuse()


def test_an_altered_migration_is_noticed(connection):
    migrate(connection, [FIRST], now=1)
    altered = Migration(1, "first", FIRST.sql + "-- a harmless comment")

    for refuse in (
        lambda: migrate(connection, [altered, SECOND], now=1),
        lambda: require_current(connection, [altered]),
    ):
        with pytest.raises(MigrationAltered, match="0001_first"):
            refuse()
    assert not connection.table_exists(None, "two")


def test_line_ends_do_not_alter_a_migration():
    assert Migration(1, "x", "a\r\nb").checksum == Migration(1, "x", "a\nb").checksum


def test_programs_that_migrate_at_once_take_turns(tmp_path):
    at_once = threading.Barrier(6)
    applied = []

    def program() -> None:
        at_once.wait()
        own = open_database(tmp_path / "x.db")
        applied.append(migrate(own, [FIRST, SECOND], now=1))
        own.close()

    threads = [threading.Thread(target=program) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied) == [[]] * 5 + [[1, 2]]


def test_what_another_program_has_made_meanwhile_is_seen(tmp_path):
    """By a connection that has read the schema before: findings/sqlite-table-exists-asks-a-stale-schema.sh."""
    here, there = (open_database(tmp_path / "x.db") for _ in range(2))
    assert is_empty(here)
    migrate(there, [FIRST], now=1)
    require_current(here, [FIRST])
    there.execute("DROP TABLE schema_migration")
    with pytest.raises(SchemaTooOld):
        require_current(here, [FIRST])
    for opened in (here, there):
        opened.close()


@pytest.mark.parametrize("package", ["pennyred.office.ledger", "pennyred.gate.memory"])
def test_the_migrations_of_the_house_are_found_and_numbered(package):
    migrations = load_migrations(package, "migrations/sqlite")

    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert migrations


def test_a_gap_in_the_numbers_is_a_mistake(tmp_path, monkeypatch):
    folder = tmp_path / "gappy" / "sql"
    folder.mkdir(parents=True)
    (tmp_path / "gappy" / "__init__.py").touch()
    (folder / "0002_second.sql").write_text("SELECT 1")
    (folder / "README").write_text("no migration")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ValueError, match="without a gap"):
        load_migrations("gappy", "sql")
