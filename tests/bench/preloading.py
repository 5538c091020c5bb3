"""Millions of spent stamps, put into a ledger past its rules: only their number matters here, the books do not balance."""

from pathlib import Path

import asyncpg

from pennyred.office.ledger.postgresql import days
from pennyred.office.ledger.sqlite import stamps
from pennyred.storage.database import open_database

SENDERS = 1000


def sender(number: int) -> str:
    """An account's name."""
    return f"sender{number:010}"


async def fill(place: str, rows: int, now: int, day_count: int, state: int) -> None:
    """So many rows, spread over accounts and expiry days."""
    first = now // 86_400 + 1
    each = rows // day_count // SENDERS
    if place.startswith("postgresql:"):
        await _fill_postgresql(place, first, day_count, each, state)
    else:
        _fill_sqlite(Path(place), first, day_count, each, state)


def _fill_sqlite(path: Path, first: int, day_count: int, each: int, state: int) -> None:
    connection = open_database(path)
    for day in range(first, first + day_count) if each else ():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(stamps._TABLE.format(day=day))
        connection.execute("INSERT INTO stamp_day VALUES (?, 0, 0)", (day,))
        connection.execute(
            "WITH RECURSIVE one(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM one WHERE n < ?1 - 1),"
            " more(m) AS (SELECT 0 UNION ALL SELECT m + 1 FROM more WHERE m < ?2 - 1)"
            f" INSERT INTO stamp_{day} SELECT printf('sender%010d', n), randomblob(16), ?3, 'mx0', 'example.org',"
            " randomblob(32), 1, ?4, ?4, 0 FROM one, more",
            (SENDERS, each, state, first),
        ).fetchall()
        connection.execute("COMMIT")
    connection.close()


async def _fill_postgresql(url: str, first: int, day_count: int, each: int, state: int) -> None:
    connection = await asyncpg.connect(url)
    await days.make(connection, range(first, first + day_count))
    for day in range(first, first + day_count) if each else ():
        await connection.execute(
            "INSERT INTO stamp SELECT 'sender' || lpad(n::text, 10, '0'), $1, uuid_send(gen_random_uuid()), $2, 'mx0',"
            " 'example.org', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 1, $3::int, $3::int, 0"
            " FROM generate_series(0, $4 - 1) AS n, generate_series(1, $5)",
            day, state, first, SENDERS, each,
        )  # fmt: skip
    await connection.execute("VACUUM ANALYZE stamp")
    await connection.close()
