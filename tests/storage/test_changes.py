"""Whether an SQLite file has changed: seen of every writer, and never waited for."""

import subprocess
import sys

import apsw
import pytest

from pennyred.storage.changes import ChangeWatch
from pennyred.storage.database import open_database

WRITE = "INSERT INTO word VALUES ('tea')"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "words.db"
    connection = open_database(path)
    connection.execute("CREATE TABLE word (text TEXT)")
    connection.close()
    return path


@pytest.fixture
def watch(file):
    opened = ChangeWatch.open(file)
    yield opened
    opened.close()


@pytest.fixture
def writer(file):
    opened = open_database(file)
    yield opened
    opened.close()


def test_what_another_connection_has_committed_makes_another_version(watch, writer):
    seen = [watch.version(), watch.version()]
    writer.execute(WRITE)
    seen += [watch.version(), watch.version()]
    assert seen[0] == seen[1] != seen[2] == seen[3]


def test_so_does_what_another_program_has_committed(watch, file):
    before = watch.version()
    program = f"import sqlite3; one = sqlite3.connect({str(file)!r}); one.execute({WRITE!r}); one.commit()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert watch.version() != before


def test_what_is_being_written_is_not_waited_for_and_counts_once_it_is_committed(watch, writer):
    before = watch.version()
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(WRITE)
    assert watch.version() == before
    writer.execute("COMMIT")
    assert watch.version() != before


def test_what_was_rolled_back_makes_no_version(watch, writer):
    before = watch.version()
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(WRITE)
    writer.execute("ROLLBACK")
    assert watch.version() == before


def test_a_checkpoint_that_begins_the_log_anew_hides_no_commit(watch, writer):
    seen = {watch.version()}
    for _ in range(3):
        writer.execute(WRITE)
        seen.add(watch.version())
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert len(seen) == 4


def test_a_file_that_somebody_keeps_to_himself_has_no_version_just_now(file, writer):
    writer.execute("PRAGMA journal_mode=DELETE").fetchall()
    watch = ChangeWatch(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE))
    before = watch.version()
    writer.execute("BEGIN EXCLUSIVE")
    kept = watch.version()
    writer.execute("COMMIT")
    assert (before is None, kept, watch.version()) == (False, None, before)
    watch.close()


def test_what_is_closed_has_none_for_good(watch):
    watch.close()
    assert watch.version() is None
