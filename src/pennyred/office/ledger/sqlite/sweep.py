"""What time does to a ledger: holds nobody came back for, days to be forgotten, counters nobody reads any more.

A bounded piece of work a call, so that redemptions never wait long behind it. Functions of a connection inside a
transaction.
"""

import apsw

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Pair
from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX, EntryKind, SweepReport
from pennyred.office.ledger.sqlite import chain, journal, stamps
from pennyred.office.ledger.sqlite.redemption import write
from pennyred.postage.ledger_rules import IN_DOUBT_DAYS, SWEEP_AFTER_SECONDS, droppable_days, oldest_day_kept

_ROWS_FORGOTTEN_MAX = 1000


def sweep(connection: apsw.Connection, now: int, until: int) -> SweepReport:
    """Void or settle holds left in doubt, at most `HOLDS_PER_SWEEP_MAX`; then drop at most one old day.

    What was over by `until` is forgotten. Payments are booked at `now`.
    """
    voided, settled = sweep_holds(connection, now, until, HOLDS_PER_SWEEP_MAX)
    dropped, is_more = forget(connection, until)
    return SweepReport(voided, settled, dropped, is_more or voided + settled == HOLDS_PER_SWEEP_MAX)


def sweep_holds(connection: apsw.Connection, now: int, until: int, limit: int) -> tuple[int, int]:
    """Void or settle at most `limit` holds left in doubt. Answers how many were voided, and how many settled."""
    doubtful = stamps.overdue_holds(connection, until - SWEEP_AFTER_SECONDS, limit)
    if not doubtful:
        return 0, 0
    today = utc_day(now)
    figures = journal.figures(connection, {key[0] for key in doubtful}, today=today)
    batch = Batch(dict(doubtful), figures, today=today, number=chain.next_number(connection))
    pairs = {(key[0], record.receiver) for key, record in doubtful.items()}
    voided, settled = batch.sweep(list(doubtful), _usage(connection, pairs, now), now=now)
    write(connection, batch, EntryKind.SWEEP, now=now)
    return voided, settled


def forget(connection: apsw.Connection, until: int) -> tuple[tuple[int, ...], bool]:
    """Drop at most one old day, and some of what nobody reads any more. Answers the day, and whether there are more."""
    droppable = _droppable(connection, until)
    for day in droppable[:1]:
        stamps.drop(connection, day)
    _forget_counters(connection, until)
    chain.forget(connection, stamps.floor_day(connection), _ROWS_FORGOTTEN_MAX)
    return tuple(droppable[:1]), len(droppable) > 1


def _usage(connection: apsw.Connection, pairs: set[Pair], now: int) -> dict[Pair, tuple[int, int]]:
    """For each account and receiver, the holds and in-doubt voids of the last 30 days."""
    rows = connection.executemany(
        "SELECT account, receiver, sum(holds), sum(in_doubt) FROM pair_use"
        " WHERE account = ? AND receiver = ? AND day > ? GROUP BY account, receiver",
        [(*pair, utc_day(now) - IN_DOUBT_DAYS) for pair in sorted(pairs)],
    )
    return {(account, receiver): (holds, in_doubt) for account, receiver, holds, in_doubt in rows}


def _droppable(connection: apsw.Connection, until: int) -> list[int]:
    days = stamps.days(connection)
    if not days or days[0] >= oldest_day_kept(until):
        return []  # as almost always; spares looking at all open holds
    return droppable_days(days, stamps.oldest_open_day(connection), until)


def _forget_counters(connection: apsw.Connection, until: int) -> None:
    """Delete counters, tokens and answers that nobody looks at any more, in pieces."""
    oldest = utc_day(until) - IN_DOUBT_DAYS
    for table, key in (("daily_use", "account, day"), ("pair_use", "account, receiver, day")):
        connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE day <= ? LIMIT ?)",  # noqa: S608
            (oldest, _ROWS_FORGOTTEN_MAX),
        )
    connection.execute(
        "DELETE FROM token_seen WHERE hash IN (SELECT hash FROM token_seen WHERE expires_at <= ? LIMIT ?)",
        (until, _ROWS_FORGOTTEN_MAX),
    )
    connection.execute(
        "DELETE FROM answer WHERE name IN (SELECT name FROM answer WHERE expires_at <= ? LIMIT ?)",
        (until, _ROWS_FORGOTTEN_MAX),
    )
