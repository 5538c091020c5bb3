"""What time does to a ledger: holds nobody came back for, days to be forgotten, counters nobody reads any more.

A bounded piece of work a call. Several offices may sweep at the same time. Functions of a connection inside a
transaction.
"""

from collections.abc import Collection
from typing import Any

from asyncpg import Connection

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Pair
from pennyred.office.ledger.postgresql import days, journal, lookup, stamps
from pennyred.office.ledger.postgresql.redemption import write
from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX, EntryKind
from pennyred.postage.ledger_rules import (
    IN_DOUBT_DAYS,
    SWEEP_AFTER_SECONDS,
    StampState,
    droppable_days,
    is_to_be_swept,
    oldest_day_kept,
)
from pennyred.storage import passing
from pennyred.storage.blocking import translated
from pennyred.storage.passing import Looker, Passed

_ROWS_FORGOTTEN_MAX = 1000
_USAGE = """
SELECT account, receiver, sum(holds)::bigint, sum(in_doubt)::bigint FROM pair_use
JOIN unnest($1::text[], $2::text[]) AS pair (account, receiver) USING (account, receiver)
WHERE day > $3 GROUP BY account, receiver
"""
_FORGET = (
    (
        "DELETE FROM daily_use WHERE (account, day) IN"
        " (SELECT account, day FROM daily_use WHERE day <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"
    ),
    (
        "DELETE FROM pair_use WHERE (account, receiver, day) IN"
        " (SELECT account, receiver, day FROM pair_use WHERE day <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"
    ),
)


async def look(connection: Connection, looker: Looker) -> tuple[Passed, Any]:
    """How much time has passed (`storage.passing`), and what the looker keeps once this is committed."""
    own = looker.clock()
    believed, last_clock = (await connection.fetch(f"{passing.BELIEVED} FOR UPDATE"))[0]  # one after the other
    await connection.execute(translated(passing.TELL), looker.name, own)
    clocks = [tuple(row) for row in await connection.fetch(passing.CLOCKS)]
    found, memory, gone = looker.weigh(clocks, believed, last_clock, own)
    if gone:
        await connection.executemany(translated(passing.FORGET_LOOKER), [(name,) for name in gone])
    await connection.execute(translated(passing.BELIEVE), found.believed, found.until, found.clock)
    return found, memory


async def sweep_holds(
    connection: Connection, known_days: Collection[int], *, now: int, until: int
) -> tuple[int, int, bool]:
    """Void or settle holds left in doubt by `until`. Answers how many of each, and whether there may be more."""
    overdue = await stamps.overdue_holds(connection, until - SWEEP_AFTER_SECONDS, HOLDS_PER_SWEEP_MAX)
    today = utc_day(now)
    figures = await journal.locked_figures(connection, {key[0] for key in overdue})
    found = await lookup.load(connection, overdue)  # under the locks: somebody may have come back for one
    records = found.records
    doubtful = [
        key
        for key in overdue
        if key in records and records[key].state == StampState.HELD and is_to_be_swept(records[key].lease_until, until)
    ]
    batch = Batch(records, figures, today=today, number=await journal.new_batch_id(connection))
    pairs = {(key[0], records[key].receiver) for key in doubtful}
    voided, settled = batch.sweep(doubtful, await _usage(connection, pairs, now), now=now)
    await write(connection, batch, found, EntryKind.SWEEP, known_days, now=now)
    return voided, settled, len(overdue) == HOLDS_PER_SWEEP_MAX


async def droppable(connection: Connection, *, until: int) -> tuple[list[int], list[int]]:
    """The days that may be forgotten, oldest first; and other partitions as old that never had a stamp."""
    old = [day for day in await days.present(connection) if day < oldest_day_kept(until)]
    if not old:
        return [], []  # as almost always; spares looking at all open holds
    unused = [day for day in old if not await days.has_stamps(connection, day)]
    oldest_open_day = await connection.fetchval(
        "SELECT least((SELECT min(expiry_day) FROM hold), (SELECT min(expiry_day) FROM open_hold))"
    )
    return droppable_days(set(old).difference(unused), oldest_open_day, until), unused


async def forget(connection: Connection, *, until: int) -> None:
    """Delete counters, tokens, answers and details that nobody looks at any more, in pieces."""
    for statement in _FORGET:
        await connection.execute(statement, utc_day(until) - IN_DOUBT_DAYS, _ROWS_FORGOTTEN_MAX)
    await connection.execute(
        "DELETE FROM token_seen WHERE hash IN"
        " (SELECT hash FROM token_seen WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        until, _ROWS_FORGOTTEN_MAX,
    )  # fmt: skip
    await connection.execute(
        "DELETE FROM answer WHERE name IN"
        " (SELECT name FROM answer WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        until, _ROWS_FORGOTTEN_MAX,
    )  # fmt: skip
    await connection.execute(
        "DELETE FROM detail WHERE id IN (SELECT id FROM detail, floor WHERE last_day <= floor.day LIMIT $1)",
        _ROWS_FORGOTTEN_MAX,
    )


async def _usage(connection: Connection, pairs: set[Pair], now: int) -> dict[Pair, tuple[int, int]]:
    """For each account and receiver, the holds and in-doubt voids of the last 30 days."""
    ordered = sorted(pairs)
    rows = await connection.fetch(
        _USAGE, [pair[0] for pair in ordered], [pair[1] for pair in ordered], utc_day(now) - IN_DOUBT_DAYS
    )
    return {(account, receiver): (holds, in_doubt) for account, receiver, holds, in_doubt in rows}
