"""How a database file is opened."""

import apsw
import pytest

from pennyred.storage.database import WORLD_ERRORS, open_database


def test_a_commit_survives_a_power_cut_and_readers_go_on_beside_a_writer(tmp_path):
    connection = open_database(tmp_path / "x.db")

    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2, "FULL"
    assert connection.pragma("foreign_keys") == 1
    connection.close()


def test_the_sqlite_inside_has_no_wal_reset_bug():
    assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) >= (3, 51, 3)


def test_a_reader_cannot_write_and_makes_no_file(tmp_path):
    open_database(tmp_path / "x.db").close()
    reader = open_database(tmp_path / "x.db", is_reader=True)

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("CREATE TABLE t (x)")
    with pytest.raises(apsw.CantOpenError):
        open_database(tmp_path / "y.db", is_reader=True)
    assert not (tmp_path / "y.db").exists()
    reader.close()


def test_a_mistake_in_sql_is_not_the_worlds():
    connection = apsw.Connection(":memory:")

    with pytest.raises(apsw.SQLError) as caught:
        connection.execute("SELEKT 1")

    assert not isinstance(caught.value, WORLD_ERRORS)
    connection.close()
