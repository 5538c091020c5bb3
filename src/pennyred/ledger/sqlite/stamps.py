"""The stamps a ledger remembers: one table per expiry day, made with the day's first stamp and dropped whole.

Tables of a day stay small enough to be fast however many stamps there ever were, and forgetting a day costs no deletes.
Functions of a connection inside a transaction.
"""

from collections.abc import Iterable, Mapping

import apsw

from pennyred.ledger.batch import StampKey
from pennyred.postage.ledger_rules import StampRecord, StampState

_DAY_MAX = 1_000_000
"""Days come from outside; no table has a name beyond."""

_TABLE = """
CREATE TABLE stamp_{day} (
  account TEXT NOT NULL, serial BLOB NOT NULL,
  state INTEGER NOT NULL, receiver TEXT NOT NULL, domain TEXT NOT NULL, letter BLOB NOT NULL, tx BLOB NOT NULL,
  price INTEGER NOT NULL, cap_day INTEGER NOT NULL, lease_until INTEGER NOT NULL, settled_at INTEGER NOT NULL,
  PRIMARY KEY (account, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX stamp_{day}_open ON stamp_{day} (lease_until) WHERE state = {held};
"""
_COLUMNS = "account, serial, state, receiver, domain, letter, tx, price, cap_day, lease_until, settled_at"
_SELECT = f"SELECT {_COLUMNS} FROM stamp_{{day}} WHERE account = ? AND serial = ?"  # noqa: S608 - a constant of ours
_SELECT_OPEN = (
    f"SELECT {_COLUMNS} FROM stamp_{{day}} WHERE state = {{held}} AND lease_until < ?"  # noqa: S608
    " ORDER BY lease_until, account, serial LIMIT ?"
)
_UPSERT = (
    "INSERT INTO stamp_{day} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " state = excluded.state, receiver = excluded.receiver, domain = excluded.domain, letter = excluded.letter,"
    " tx = excluded.tx, price = excluded.price, cap_day = excluded.cap_day, lease_until = excluded.lease_until,"
    " settled_at = excluded.settled_at"
)


def load(connection: apsw.Connection, keys: Iterable[StampKey]) -> dict[StampKey, StampRecord]:
    """The records of those stamps that have been seen."""
    by_day: dict[int, list[tuple[str, bytes]]] = {}
    for account, day, serial in keys:
        by_day.setdefault(day, []).append((account, serial))
    found: dict[StampKey, StampRecord] = {}
    for day, bindings in by_day.items():
        if has_table(connection, day):
            for account, serial, *record in connection.executemany(_SELECT.format(day=day), bindings):
                found[account, day, serial] = StampRecord._make(record)
    return found


def store(connection: apsw.Connection, records: Mapping[StampKey, StampRecord]) -> None:
    """Write these records, making the tables of new days."""
    by_day: dict[int, list[tuple[object, ...]]] = {}
    for (account, day, serial), record in records.items():
        by_day.setdefault(day, []).append((account, serial, *record))
    for day, rows in by_day.items():
        if not has_table(connection, day):
            connection.execute(_TABLE.format(day=day, held=StampState.HELD.value))
            connection.execute("INSERT INTO stamp_day VALUES (?, 0, 0)", (day,))
        connection.executemany(_UPSERT.format(day=day), rows)


def has_table(connection: apsw.Connection, day: int) -> bool:
    """Whether a stamp of that expiry day is remembered. Asked each time: another process may make or drop it."""
    if not 0 <= day <= _DAY_MAX:
        return False
    return connection.execute("SELECT 1 FROM stamp_day WHERE day = ?", (day,)).fetchone() is not None


def days(connection: apsw.Connection) -> list[int]:
    """The expiry days that have a table, oldest first."""
    return [day for (day,) in connection.execute("SELECT day FROM stamp_day ORDER BY day")]


def open_holds(connection: apsw.Connection, day: int, lease_before: int, limit: int) -> dict[StampKey, StampRecord]:
    """The holds of a day whose lease ended before a time, earliest first."""
    rows = connection.execute(_SELECT_OPEN.format(day=day, held=StampState.HELD.value), (lease_before, limit))
    return {(account, day, serial): StampRecord._make(record) for account, serial, *record in rows}


def has_open_holds(connection: apsw.Connection, day: int) -> bool:
    """Whether anything is held on that day."""
    return bool(open_holds(connection, day, 1 << 62, 1))


def drop(connection: apsw.Connection, day: int) -> None:
    """Forget a day: its table goes, the floor rises to it and its totals are kept, in this transaction."""
    connection.execute(
        "UPDATE floor SET day = max(floor.day, stamp_day.day), settled = floor.settled + stamp_day.settled,"
        " refunded = floor.refunded + stamp_day.refunded FROM stamp_day WHERE stamp_day.day = ?",
        (day,),
    )
    connection.execute("DELETE FROM stamp_day WHERE day = ?", (day,))
    connection.execute(f"DROP TABLE stamp_{day}")
