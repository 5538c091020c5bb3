#!/usr/bin/env bash
# Guess: whether a table exists is a question like any other: inside a transaction, and certainly after BEGIN IMMEDIATE, which holds the
#   write lock, the answer is what is in the database now.
# Reality: apsw's Connection.table_exists() and column_metadata(), which are sqlite3_table_column_metadata(), look into the schema that
#   the connection read last, and read nothing. A table that another connection has made since is not there, outside a transaction and
#   inside one of either kind; one that it has dropped still is; a new column is missing. The next SELECT of any table notices that the
#   schema has changed, and from then on the answer is right. SELECT ... FROM sqlite_schema is always right.
# Version: apsw 3.54.1.0 (SQLite 3.54.1).
# Source: sqlite3.c, sqlite3_table_column_metadata: sqlite3Init(), then sqlite3FindTable() in memory; no schema cookie is compared,
#   as sqlite3VdbeExec() does in OP_Transaction. The documentation (c3ref/table_column_metadata.html) does not mention it.
# Why it matters: a ledger that several processes open looks whether it has its tables, has been upgraded, or has been moved elsewhere.
#   Taking the write lock first and asking then is the pattern against races, and it is the one that this question breaks: two
#   processes both find nothing and both set out to make the tables.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check apsw==3.54.1.0
"$folder/venv/bin/python" - "$folder/ledger.db" <<'PYTHON'
import sys

import apsw

assert (apsw.apsw_version(), apsw.sqlite_lib_version()) == ("3.54.1.0", "3.54.1"), apsw.apsw_version()
print("apsw", apsw.apsw_version(), "SQLite", apsw.sqlite_lib_version())

one = apsw.Connection(sys.argv[1])
one.pragma("journal_mode", "wal")
one.execute("CREATE TABLE account (id INTEGER)")
two = apsw.Connection(sys.argv[1])


def by_schema(name):
    return two.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None


def is_there(name):
    return two.table_exists(None, name)


assert is_there("account"), "what was there before is seen"

for begin in ("BEGIN", "BEGIN IMMEDIATE"):
    name = begin.lower().replace(" ", "_")
    one.execute(f"CREATE TABLE {name} (id INTEGER)")
    two.execute(begin)
    before = is_there(name)
    really = by_schema(name)
    after = is_there(name)
    two.execute("ROLLBACK")
    print(f"{begin}: table_exists {before}, sqlite_schema {really}, table_exists afterwards {after}")
    assert (before, really, after) == (False, True, True)

one.execute("ALTER TABLE account ADD COLUMN name TEXT")
try:
    two.column_metadata(None, "account", "name")
except apsw.SQLError as error:
    print("a new column:", error)
    assert "no such table column" in str(error)
else:
    raise AssertionError("the new column was seen")

one.execute("DROP TABLE account")
dropped = is_there("account"), by_schema("account"), is_there("account")
print("dropped: table_exists {}, sqlite_schema {}, table_exists afterwards {}".format(*dropped))
assert dropped == (True, False, False)
print("as described")
PYTHON
