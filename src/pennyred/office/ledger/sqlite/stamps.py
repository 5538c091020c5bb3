"""The stamps a ledger remembers: open holds in one small table, all others in one table per expiry day.

The table of a day is made with its first stamp and dropped whole: so tables stay small enough to be fast however many
stamps there ever were, and forgetting a day costs no deletes. A held stamp may have an older record in its day's table,
of a hold that was voided; what is held counts. Functions of a connection inside a transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import apsw

from pennyred.postage.ledger_rules import StampRecord, StampState
from pennyred.postage.stamp import StampKey

_HELD = int(StampState.HELD)
_DAY_MAX = 1_000_000
"""The last day that a table is made for: days come from outside."""

_TABLE = """
CREATE TABLE stamp_{day} (
  account TEXT NOT NULL,
  serial BLOB NOT NULL,
  state INTEGER NOT NULL,
  receiver TEXT NOT NULL,
  domain TEXT NOT NULL,
  letter BLOB NOT NULL,
  price INTEGER NOT NULL,
  cap_day INTEGER NOT NULL,
  settled_at INTEGER NOT NULL,
  place INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account, serial)
) STRICT, WITHOUT ROWID
"""
_SELECT = (
    "SELECT account, {day}, serial, state, receiver, domain, letter, x'', price, cap_day, 0, settled_at, place"
    " FROM stamp_{day} WHERE account = ?1 AND serial = ?2"
)
_SELECT_PLACED = (
    "SELECT account, {day}, serial, state, receiver, domain, letter, x'', price, cap_day, 0, settled_at, place"
    " FROM stamp_{day} WHERE place <> 0 ORDER BY place"
)
_UPSERT = (
    "INSERT INTO stamp_{day}"
    " (account, serial, state, receiver, domain, letter, price, cap_day, settled_at, place)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state,"
    " receiver = excluded.receiver, domain = excluded.domain, letter = excluded.letter, price = excluded.price,"
    " cap_day = excluded.cap_day, settled_at = excluded.settled_at, place = excluded.place"
)
# All SELECTs answer with a key and the fields of a `StampRecord`; 1 is `StampState.HELD`.
_HOLD = "account, expiry_day, serial, 1, receiver, domain, letter, tx, price, cap_day, lease_until, 0, 0"
_SELECT_HOLD = f"SELECT {_HOLD} FROM hold WHERE account = ?1 AND expiry_day = {{day}} AND serial = ?2"  # noqa: S608 - ours
_SELECT_BOTH = f"{_SELECT_HOLD} UNION ALL {_SELECT}"
_SELECT_OVERDUE = (
    f"SELECT {_HOLD} FROM hold WHERE lease_until < ?"  # noqa: S608
    " ORDER BY lease_until, account, expiry_day, serial LIMIT ?"
)
_UPSERT_HOLD = (
    "INSERT OR REPLACE INTO hold"
    " (account, expiry_day, serial, receiver, domain, letter, tx, price, cap_day, lease_until)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE_HOLD = "DELETE FROM hold WHERE account = ? AND expiry_day = ? AND serial = ?"


def load(connection: apsw.Connection, keys: Collection[StampKey]) -> dict[StampKey, StampRecord]:
    """The records of these stamps, as far as they have been seen."""
    by_day: dict[int, list[tuple[str, bytes]]] = {}
    for account, day, serial in keys:
        if day in by_day:
            by_day[day].append((account, serial))
        elif 0 <= day <= _DAY_MAX:
            by_day[day] = [(account, serial)]
    found: dict[StampKey, StampRecord] = {}
    with_table = _with_table(connection, by_day)
    for day, its_keys in by_day.items():
        select = _SELECT_BOTH if day in with_table else _SELECT_HOLD
        rows: Iterable[Any] = connection.executemany(select.format(day=day), its_keys)
        for row in rows:
            if row[:3] not in found or row[3] == _HELD:
                found[row[:3]] = StampRecord._make(row[3:])
    return found


def store(
    connection: apsw.Connection,
    records: Mapping[StampKey, StampRecord],
    *,
    unheld: Collection[StampKey] | None = None,
) -> None:
    """Write these records, making the tables of new days.

    `unheld` are those whose open hold in the file is to go. None: whether there is one is not known.
    """
    held: list[tuple[object, ...]] = []
    by_day: dict[int, list[tuple[object, ...]]] = {}
    for key, (state, receiver, domain, letter, tx, price, cap_day, lease_until, settled_at, place) in records.items():
        if state == _HELD:
            held.append((*key, receiver, domain, letter, tx, price, cap_day, lease_until))
            continue
        account, day, serial = key
        row = (account, serial, state, receiver, domain, letter, price, cap_day, settled_at, place)
        if day in by_day:
            by_day[day].append(row)
        else:
            by_day[day] = [row]
    if unheld is None:
        unheld = [key for key, record in records.items() if record.state != _HELD]
    if held:
        connection.executemany(_UPSERT_HOLD, held)
    if unheld:
        connection.executemany(_DELETE_HOLD, unheld)
    for day in by_day.keys() - _with_table(connection, by_day):
        connection.execute(_TABLE.format(day=day))
        connection.execute("INSERT INTO stamp_day (day, settled, refunded) VALUES (?, 0, 0)", (day,))
    for day, rows in by_day.items():
        connection.executemany(_UPSERT.format(day=day), rows)


def days(connection: apsw.Connection) -> list[int]:
    """The expiry days that have a table, oldest first."""
    return [int(day) for (day,) in connection.execute("SELECT day FROM stamp_day ORDER BY day")]


def placed(connection: apsw.Connection, day: int) -> Iterator[tuple[StampKey, StampRecord]]:
    """The stamps of a day that have a place in the journal's chain, in that order."""
    rows: Iterator[Any] = connection.execute(_SELECT_PLACED.format(day=day))
    for row in rows:
        yield row[:3], StampRecord._make(row[3:])


def add_places(connection: apsw.Connection) -> None:
    """Add the column for places in the chain to tables of days that are older than the chain."""
    for day in days(connection):
        columns = connection.execute(f"PRAGMA table_info(stamp_{day})").fetchall()
        if not any(column[1] == "place" for column in columns):
            connection.execute(f"ALTER TABLE stamp_{day} ADD COLUMN place INTEGER NOT NULL DEFAULT 0")


def overdue_holds(connection: apsw.Connection, lease_before: int, limit: int) -> dict[StampKey, StampRecord]:
    """The holds whose lease ended before a time, earliest first."""
    return _as_records(connection.execute(_SELECT_OVERDUE, (lease_before, limit)))


def oldest_open_day(connection: apsw.Connection) -> int | None:
    """The earliest expiry day of an open hold. Looks at all of them."""
    ((day,),) = connection.execute("SELECT min(expiry_day) FROM hold")
    return None if day is None else int(day)


def floor_day(connection: apsw.Connection) -> int:
    """The last day whose stamps were forgotten."""
    ((day,),) = connection.execute("SELECT day FROM floor")
    return int(day)


def drop(connection: apsw.Connection, day: int) -> None:
    """Forget a day, in this transaction: drop its table, raise the floor to it, and keep its totals."""
    connection.execute(
        "UPDATE floor SET day = max(floor.day, stamp_day.day), settled = floor.settled + stamp_day.settled,"
        " refunded = floor.refunded + stamp_day.refunded FROM stamp_day WHERE stamp_day.day = ?",
        (day,),
    )
    connection.execute("DELETE FROM stamp_day WHERE day = ?", (day,))
    connection.execute(f"DROP TABLE stamp_{day}")


def _as_records(rows: Iterable[tuple[Any, ...]]) -> dict[StampKey, StampRecord]:
    """Make keys and records of rows that begin with a key and go on as a record does."""
    return {row[:3]: StampRecord._make(row[3:]) for row in rows}


def _with_table(connection: apsw.Connection, wanted: Collection[int]) -> set[int]:
    """Which of these days have a table. Asked each time: another process may have made or dropped one."""
    if not wanted:
        return set()
    rows = connection.execute("SELECT day FROM stamp_day WHERE day BETWEEN ? AND ?", (min(wanted), max(wanted)))
    return {int(day) for (day,) in rows}.intersection(wanted)
