"""Probes: who may write to the mirror, and what was found of each letter that came (`gate.mirror`).

Written by the office's API and by the mirror, which may be in different workers. Bounded: of one account so many are
open at once, of all so many, and of each only its first letters are kept. The clock alone says when one is over: what a
wrong clock loses is asked for again.
"""

from collections.abc import Sequence
from typing import Any

from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

PROBES_MAX = 1_000
"""The most that are open at once; beyond, the oldest goes."""
PROBES_PER_ACCOUNT_MAX = 20
ARRIVALS_MAX = 4
"""The most letters that are kept of one probe: a path may retry, or send a letter twice."""


class Probes:
    """Implements `gate.mirror.ProbeNotes` and `office.probes.ProbeBook`. Raises Unavailable if there is no answer."""

    def __init__(self, readers: GroupCommit[Connection], commits: GroupCommit[Connection]) -> None:
        self._readers = readers
        self._commits = commits

    async def open(self, token: str, account: str, *, now: int, expires_at: int) -> bool:
        """Open one, in seconds since 1970; False if the account has as many as it may have."""
        return await self._commits.run(lambda connection: _open(connection, token, account, now, expires_at))

    async def is_open(self, token: str, *, now: int) -> bool:
        """Whether there is such a probe, and it may have one more letter."""
        return await self._readers.run(lambda connection: _next(connection, token, now)) is not None

    async def add(self, token: str, found: bytes, *, now: int) -> bool:
        """Keep what was found of a letter; False if it is not open, or has as many as are kept."""
        return await self._commits.run(lambda connection: _add(connection, token, found, now))

    async def found(self, token: str, *, now: int) -> tuple[int, list[bytes]] | None:
        """When it is over, and what was found of each letter, the first first; None if there is no such probe."""
        return await self._readers.run(lambda connection: _found(connection, token, now))


def _open(connection: Connection, token: str, account: str, now: int, expires_at: int) -> bool:
    connection.execute("DELETE FROM probe WHERE expires_at <= ?", (now,))
    ((own,),) = _rows(connection, "SELECT count(*) FROM probe WHERE account = ?", (account,))
    is_allowed: bool = own < PROBES_PER_ACCOUNT_MAX
    if is_allowed:
        connection.execute(
            "DELETE FROM probe WHERE token NOT IN (SELECT token FROM probe ORDER BY opened_at DESC, token LIMIT ?)",
            (PROBES_MAX - 1,),
        )
        connection.execute(
            "INSERT INTO probe (token, account, opened_at, expires_at) VALUES (?, ?, ?, ?)",
            (token, account, now, expires_at),
        )
    # Also of a letter that another gate has put down while its probe went.
    connection.execute("DELETE FROM probe_arrival WHERE token NOT IN (SELECT token FROM probe)")
    return is_allowed


def _add(connection: Connection, token: str, found: bytes, now: int) -> bool:
    number = _next(connection, token, now)
    if number is None:
        return False
    connection.execute("INSERT INTO probe_arrival (token, number, found) VALUES (?, ?, ?)", (token, number, found))
    return True


def _next(connection: Connection, token: str, now: int) -> int | None:
    """The number of the next letter; None if there is no such probe, or it has as many as are kept."""
    rows = _rows(
        connection,
        "SELECT (SELECT count(*) FROM probe_arrival WHERE token = ?) FROM probe WHERE token = ? AND expires_at > ?",
        (token, token, now),
    )
    return rows[0][0] if rows and rows[0][0] < ARRIVALS_MAX else None


def _found(connection: Connection, token: str, now: int) -> tuple[int, list[bytes]] | None:
    rows = _rows(connection, "SELECT expires_at FROM probe WHERE token = ? AND expires_at > ?", (token, now))
    if not rows:
        return None
    arrivals = _rows(connection, "SELECT found FROM probe_arrival WHERE token = ? ORDER BY number", (token,))
    return rows[0][0], [bytes(found) for (found,) in arrivals]


def _rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    return connection.execute(statement, values).fetchall()
