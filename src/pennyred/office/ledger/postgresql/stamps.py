"""The stamps a ledger remembers: holds in two small tables, all others in a partition for each expiry day.

A hold is in `open_hold` while it need not last (`openholds`), else in `hold`; never in both. A held stamp may have an
older record in its day's partition, of a hold that was voided; what is held counts. Functions of a connection inside a
transaction that has locked the senders' accounts.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from asyncpg import Connection

from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX
from pennyred.postage.ledger_rules import StampRecord, StampState
from pennyred.postage.stamp import StampKey

DAY_MAX = 1_000_000
"""The last day that a partition is made for: days come from outside."""

# All SELECTs answer with a key and the fields of a `StampRecord`; 1 is `StampState.HELD`.
_HOLD = (
    "account, expiry_day, serial, 1::smallint, receiver, domain, letter, tx, price, cap_day, lease_until,"
    " 0::bigint, 0::bigint"
)
_STAMP = (
    "account, expiry_day, serial, state, receiver, domain, letter, ''::bytea, price, cap_day, 0::bigint,"
    " settled_at, place"
)
# LATERAL and LIMIT: each row is looked up by its key. The open holds are sometimes a thousand and sometimes none, and a
# planner that has last seen none would read all of them for each key.
_EACH = """
SELECT found.* FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS key (account, expiry_day, serial)
CROSS JOIN LATERAL ({selects} LIMIT 1) AS found
"""
_OF_KEY = "WHERE account = key.account AND expiry_day = key.expiry_day AND serial = key.serial"
_LOAD_HELD = _EACH.format(
    selects=f"SELECT {_HOLD}, ctid, true FROM open_hold {_OF_KEY}"  # noqa: S608 - ours
    f" UNION ALL SELECT {_HOLD}, ctid, false FROM hold {_OF_KEY}"
)
_LOAD_OTHERS = _EACH.format(selects=f"SELECT {_STAMP} FROM stamp {_OF_KEY}")  # noqa: S608 - ours
PLACED = f"SELECT {_STAMP} FROM stamp WHERE expiry_day = $1 AND place <> 0 ORDER BY place"  # noqa: S608
"""The stamps of a day that have a place in the journal's chain, in that order."""
_OVERDUE = """
SELECT account, expiry_day, serial FROM hold WHERE lease_until < $1
ORDER BY lease_until, account, expiry_day, serial LIMIT $2
"""
_STORE_HELD = """
INSERT INTO {table} (account, expiry_day, serial, receiver, domain, letter, tx, price, cap_day, lease_until)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::text[], $5::text[], $6::bytea[],
  $7::bytea[], $8::bigint[], $9::integer[], $10::bigint[])
ON CONFLICT (account, expiry_day, serial) DO UPDATE SET receiver = excluded.receiver, domain = excluded.domain,
  letter = excluded.letter, tx = excluded.tx, price = excluded.price, cap_day = excluded.cap_day,
  lease_until = excluded.lease_until
"""
_STORE_NOT_HELD = """
INSERT INTO stamp
  (account, expiry_day, serial, state, receiver, domain, letter, price, cap_day, settled_at, place)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::smallint[], $5::text[], $6::text[],
  $7::bytea[], $8::bigint[], $9::integer[], $10::bigint[], $11::bigint[])
ON CONFLICT (account, expiry_day, serial) DO UPDATE SET state = excluded.state, receiver = excluded.receiver,
  domain = excluded.domain, letter = excluded.letter, price = excluded.price, cap_day = excluded.cap_day,
  settled_at = excluded.settled_at, place = excluded.place
"""
# The rows stay where they were read: whoever writes holds of an account has locked it.
_DELETE = "DELETE FROM {table} WHERE ctid = ANY ($1::tid[])"


class Found(NamedTuple):
    """The records of some stamps, as far as they have been seen, and where the rows of those on hold are."""

    records: dict[StampKey, StampRecord]
    open: dict[StampKey, Any]
    """Rows in `open_hold`."""
    written: dict[StampKey, Any]
    """Rows in `hold`."""

    @property
    def open_records(self) -> dict[StampKey, StampRecord]:
        """Those that are open holds."""
        return {key: self.records[key] for key in self.open}


async def load(connection: Connection, keys: Collection[StampKey]) -> Found:
    """The records of these stamps."""
    keys = [key for key in keys if 0 <= key[1] <= DAY_MAX]
    found = Found({}, {}, {})
    if not keys:
        return found
    for row in await connection.fetch(_LOAD_HELD, *_columns(keys, 3)):
        *columns, place, is_open = row
        key = tuple(columns[:3])
        found.records[key] = StampRecord._make(columns[3:])
        (found.open if is_open else found.written)[key] = place
    keys = [key for key in keys if key not in found.records]
    if keys:  # to look into the partitions costs more, and settles need it seldom
        found.records.update(as_records(await connection.fetch(_LOAD_OTHERS, *_columns(keys, 3))))
    return found


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
            await connection.execute(_DELETE.format(table=table), places)
    for table, rows in (("open_hold", [_hold_row(key, record) for key, record in left.items()]), ("hold", held)):
        if rows:
            await connection.execute(_STORE_HELD.format(table=table), *_columns(rows, 10))
    if not_held:
        await connection.execute(_STORE_NOT_HELD, *_columns(not_held, 11))


def _hold_row(key: StampKey, record: StampRecord) -> tuple[Any, ...]:
    _, receiver, domain, letter, tx, price, cap_day, lease_until, _, _ = record
    return (*key, receiver, domain, letter, tx, price, cap_day, lease_until)


def as_records(rows: Iterable[Any]) -> dict[StampKey, StampRecord]:
    """Make keys and records of rows that begin with a key and go on as a record does."""
    return {tuple(row[:3]): StampRecord._make(row[3:]) for row in rows}


def _columns(rows: Collection[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """What `unnest` takes: a list for each column, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
