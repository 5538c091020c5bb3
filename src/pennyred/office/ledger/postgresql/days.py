"""The partitions of expiry days: made before their first stamp, dropped whole when they are forgotten.

A partition is made in a transaction of its own, which disturbs nobody. A redemption that finds none raises
`DayMissing`, is rolled back, and is tried again when the partition is made.
"""

from collections.abc import Collection

from asyncpg import Connection

from pennyred.days import utc_day
from pennyred.postage.ledger_rules import EXPIRY_DAYS_AHEAD_MAX

DAY_MAX = 1_000_000
"""The last day that a partition is made for: days come from outside."""
_LOCK = 0x70656E6E79  # advisory; "penny"
_DROP_PATIENCE = "1s"
"""Dropping a partition waits until all others have finished with it. Who comes meanwhile waits too: so not for long."""


class DayMissing(Exception):  # noqa: N818 - nothing is wrong: the transaction comes again
    """These days have no partition yet."""

    def __init__(self, days: Collection[int]) -> None:
        super().__init__(f"no partition for {sorted(days)}")
        self.days = frozenset(days)


def ahead(now: int) -> list[int]:
    """Yesterday, and the days until the last one that a stamp made now may expire on."""
    return list(range(utc_day(now) - 1, utc_day(now) + EXPIRY_DAYS_AHEAD_MAX + 1))


async def present(connection: Connection) -> list[int]:
    """The days that have a partition, oldest first."""
    return [row["day"] for row in await connection.fetch("SELECT day FROM stamp_day ORDER BY day")]


async def has_stamps(connection: Connection, day: int) -> bool:
    """Whether a day's partition has any stamps. Most partitions are made before there are any."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM stamp WHERE expiry_day = $1)", day))


async def make(connection: Connection, days: Collection[int]) -> None:
    """Make the partitions that are missing. Begins a transaction; needs no lock that redemptions would wait for."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for day in sorted(set(days).difference(await present(connection))):
            if not 0 <= day <= DAY_MAX:
                raise ValueError(f"no stamp expires on day {day}")
            # ATTACH instead of PARTITION OF: the latter would lock all partitions against everybody.
            await connection.execute(f"CREATE TABLE stamp_{day} (LIKE stamp INCLUDING ALL)")
            await connection.execute(
                f"ALTER TABLE stamp ATTACH PARTITION stamp_{day} FOR VALUES FROM ({day}) TO ({day + 1})"
            )
            await connection.execute("INSERT INTO stamp_day (day) VALUES ($1)", day)


async def drop(connection: Connection, day: int, *, is_used: bool = True) -> None:
    """Forget a day, in this transaction: drop its partition, raise the floor to it, and keep its totals.

    Where the day never had a stamp, only the partition goes. Raises asyncpg's LockNotAvailableError where others work
    on its stamps for long: try at another time.
    """
    await connection.execute(f"SET LOCAL lock_timeout = '{_DROP_PATIENCE}'")
    # First the lock, then the totals: nobody can add to them any more.
    await connection.execute(f"LOCK TABLE stamp_{day} IN ACCESS EXCLUSIVE MODE")
    if not is_used:
        if await has_stamps(connection, day):
            return  # its first stamp has come meanwhile
        await connection.execute("DELETE FROM stamp_day WHERE day = $1", day)
    await connection.execute(f"DROP TABLE stamp_{day}")
    await connection.execute(
        "WITH gone AS (DELETE FROM stamp_day WHERE day = $1 RETURNING *)"
        " UPDATE floor SET day = greatest(floor.day, gone.day), settled = floor.settled + gone.settled,"
        " refunded = floor.refunded + gone.refunded FROM gone",
        day,
    )


async def floor_day(connection: Connection) -> int:
    """The last day whose stamps were forgotten."""
    return int(await connection.fetchval("SELECT day FROM floor"))
