"""The stamps a ledger remembers are written here: holds into two small tables (`lookup`), all others into a partition
for each expiry day.

Functions of a connection inside a transaction that has locked the senders' accounts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from asyncpg import Connection

from pennyred.office.ledger.postgresql import literals
from pennyred.office.ledger.postgresql.lookup import Found
from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX
from pennyred.postage.ledger_rules import StampRecord, StampState
from pennyred.postage.stamp import StampKey

_COPIED_MIN = 20
"""So many rows are copied into their table, which costs half of what inserting them does; for fewer it costs more."""

PLACED = """
SELECT account, expiry_day, serial, state, receiver, domain, letter, ''::bytea, price, cap_day, 0::bigint, settled_at,
  place
FROM stamp WHERE expiry_day = $1 AND place <> 0 ORDER BY place
"""
"""The stamps of a day that have a place in the journal's chain, in that order: a key and the fields of a record."""
_OVERDUE = """
SELECT account, expiry_day, serial FROM hold WHERE lease_until < $1
ORDER BY lease_until, account, expiry_day, serial LIMIT $2
"""
_KEY = ("account", "expiry_day", "serial")
_HOLD = (*_KEY, "receiver", "domain", "letter", "tx", "price", "cap_day", "lease_until")
_OPEN_HOLD = (*_HOLD, "is_first")
_STAMP = (*_KEY, "state", "receiver", "domain", "letter", "price", "cap_day", "settled_at", "place")
_TYPES = {
    "account": "text", "expiry_day": "integer", "serial": "bytea", "receiver": "text", "domain": "text",
    "letter": "bytea", "tx": "bytea", "price": "bigint", "cap_day": "integer", "lease_until": "bigint",
    "is_first": "boolean", "state": "smallint", "settled_at": "bigint", "place": "bigint",
}  # fmt: skip


def _upsert(table: str, names: Sequence[str]) -> str:
    arrays = ", ".join(f"${place}::{_TYPES[name]}[]" for place, name in enumerate(names, 1))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) ON CONFLICT ({', '.join(_KEY)})"  # noqa: S608 - ours
        f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[len(_KEY) :])}"
    )


_COLUMNS = {"open_hold": _OPEN_HOLD, "hold": _HOLD, "stamp": _STAMP}
_UPSERTS = {table: _upsert(table, names) for table, names in _COLUMNS.items()}
# The rows stay where they were read: whoever writes holds of an account has locked it.
_DELETE = "DELETE FROM {table} WHERE ctid = ANY ($1::text::tid[])"


async def open_holds(connection: Connection) -> list[StampKey]:
    """Open holds, in no order, at most a sweep's worth."""
    rows = await connection.fetch("SELECT account, expiry_day, serial FROM open_hold LIMIT $1", HOLDS_PER_SWEEP_MAX)
    return [tuple(row) for row in rows]


async def overdue_holds(connection: Connection, lease_before: int, limit: int) -> list[StampKey]:
    """The holds whose lease ended before a time, earliest first."""
    return [tuple(row) for row in await connection.fetch(_OVERDUE, lease_before, limit)]


async def store(
    connection: Connection, found: Found, changed: Mapping[StampKey, StampRecord], left: Mapping[StampKey, StampRecord]
) -> None:
    """Write the records that were changed, and open holds that are left so; `found` says where they were before.

    The partitions of their days are there (`days.make`).
    """
    held: list[tuple[Any, ...]] = []
    not_held: list[tuple[Any, ...]] = []
    for key, record in changed.items():
        if record.state == StampState.HELD:
            held.append(_hold_row(key, record))
            continue
        state, receiver, domain, letter, _, price, cap_day, _, settled_at, place = record
        not_held.append((*key, int(state), receiver, domain, letter, price, cap_day, settled_at, place))
    closed = [found.open[key] for key in changed if key in found.open]
    given_back = [found.written[row[:3]] for row in not_held if row[:3] in found.written]
    for table, places in (("open_hold", closed), ("hold", given_back)):
        if places:
            await connection.execute(_DELETE.format(table=table), literals.texts(places))
    open_rows = [(*_hold_row(key, record), key not in found.older) for key, record in left.items()]
    await _put(connection, "open_hold", open_rows, found.open)
    await _put(connection, "hold", held, None)
    await _put(connection, "stamp", not_held, found.older)


async def _put(
    connection: Connection, table: str, rows: list[tuple[Any, ...]], there: Collection[StampKey] | None
) -> None:
    """Write rows, which replace those of the keys that are `there`; None: any may be."""
    if there is not None and len(rows) >= _COPIED_MIN:
        new = [row for row in rows if row[:3] not in there] if there else rows
        if new:
            await connection.copy_records_to_table(table, records=new, columns=_COLUMNS[table])
        rows = [row for row in rows if row[:3] in there] if there else []
    if rows:
        await connection.execute(_UPSERTS[table], *map(list, zip(*rows, strict=True)))


def _hold_row(key: StampKey, record: StampRecord) -> tuple[Any, ...]:
    _, receiver, domain, letter, tx, price, cap_day, lease_until, _, _ = record
    return (*key, receiver, domain, letter, tx, price, cap_day, lease_until)


def as_records(rows: Iterable[Any]) -> dict[StampKey, StampRecord]:
    """Make keys and records of rows that begin with a key and go on as a record does."""
    return {tuple(row[:3]): StampRecord._make(row[3:]) for row in rows}
