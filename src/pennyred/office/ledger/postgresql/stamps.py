"""The stamps a ledger remembers: open holds in one small table, all others in a partition for each expiry day.

A held stamp may have an older record in its day's partition, of a hold that was voided; what is held counts. Functions
of a connection inside a transaction that has locked the senders' accounts.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from asyncpg import Connection

from pennyred.postage.ledger_rules import StampRecord, StampState
from pennyred.postage.stamp import StampKey

DAY_MAX = 1_000_000
"""The last day that a partition is made for: days come from outside."""

# Both SELECTs answer with a key and the fields of a `StampRecord`; 1 is `StampState.HELD`.
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
FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS key (account, expiry_day, serial) CROSS JOIN LATERAL (
  SELECT {columns} FROM {table}
  WHERE account = key.account AND expiry_day = key.expiry_day AND serial = key.serial LIMIT 1
) AS found
"""
_LOAD_HELD = "SELECT found.*" + _EACH.format(columns=_HOLD, table="hold")
_LOAD_OTHERS = "SELECT found.*" + _EACH.format(columns=_STAMP, table="stamp")
PLACED = f"SELECT {_STAMP} FROM stamp WHERE expiry_day = $1 AND place <> 0 ORDER BY place"  # noqa: S608
"""The stamps of a day that have a place in the journal's chain, in that order."""
_OVERDUE = """
SELECT account, expiry_day, serial FROM hold WHERE lease_until < $1
ORDER BY lease_until, account, expiry_day, serial LIMIT $2
"""
_STORE_HELD = """
INSERT INTO hold (account, expiry_day, serial, receiver, domain, letter, tx, price, cap_day, lease_until)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::text[], $5::text[], $6::bytea[],
  $7::bytea[], $8::bigint[], $9::integer[], $10::bigint[])
ON CONFLICT (account, expiry_day, serial) DO UPDATE SET receiver = excluded.receiver, domain = excluded.domain,
  letter = excluded.letter, tx = excluded.tx, price = excluded.price, cap_day = excluded.cap_day,
  lease_until = excluded.lease_until
"""
# The rows stay where they are meanwhile: whoever writes holds of an account has locked it.
_STORE_NOT_HELD = f"""
WITH gone AS (
  DELETE FROM hold WHERE ctid = ANY (ARRAY(SELECT found.place {_EACH.format(columns="ctid AS place", table="hold")}))
)
INSERT INTO stamp
  (account, expiry_day, serial, state, receiver, domain, letter, price, cap_day, settled_at, place)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::smallint[], $5::text[], $6::text[],
  $7::bytea[], $8::bigint[], $9::integer[], $10::bigint[], $11::bigint[])
ON CONFLICT (account, expiry_day, serial) DO UPDATE SET state = excluded.state, receiver = excluded.receiver,
  domain = excluded.domain, letter = excluded.letter, price = excluded.price, cap_day = excluded.cap_day,
  settled_at = excluded.settled_at, place = excluded.place
"""  # noqa: S608


async def load(connection: Connection, keys: Collection[StampKey]) -> dict[StampKey, StampRecord]:
    """The records of these stamps, as far as they have been seen."""
    keys = [key for key in keys if 0 <= key[1] <= DAY_MAX]
    found: dict[StampKey, StampRecord] = {}
    for statement in (_LOAD_HELD, _LOAD_OTHERS):  # to look into the partitions costs more, and settles need it seldom
        if keys:
            found |= as_records(await connection.fetch(statement, *_columns(keys, 3)))
            keys = [key for key in keys if key not in found]
    return found


async def overdue_holds(connection: Connection, lease_before: int, limit: int) -> list[StampKey]:
    """The holds whose lease ended before a time, earliest first."""
    return [tuple(row) for row in await connection.fetch(_OVERDUE, lease_before, limit)]


async def store(connection: Connection, records: Mapping[StampKey, StampRecord]) -> None:
    """Write these records; the partitions of their days are there (`days.make`)."""
    held: list[tuple[Any, ...]] = []
    not_held: list[tuple[Any, ...]] = []
    for key, (state, receiver, domain, letter, tx, price, cap_day, lease_until, settled_at, place) in records.items():
        if state == StampState.HELD:
            held.append((*key, receiver, domain, letter, tx, price, cap_day, lease_until))
        else:
            not_held.append((*key, int(state), receiver, domain, letter, price, cap_day, settled_at, place))
    if held:
        await connection.execute(_STORE_HELD, *_columns(held, 10))
    if not_held:
        await connection.execute(_STORE_NOT_HELD, *_columns(not_held, 11))


def as_records(rows: Iterable[Any]) -> dict[StampKey, StampRecord]:
    """Make keys and records of rows that begin with a key and go on as a record does."""
    return {tuple(row[:3]): StampRecord._make(row[3:]) for row in rows}


def _columns(rows: Collection[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """What `unnest` takes: a list for each column, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
