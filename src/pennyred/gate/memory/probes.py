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
        found = await self.found(token, now=now)
        return found is not None and len(found[1]) < ARRIVALS_MAX

    async def add(self, token: str, found: bytes, *, now: int) -> bool:
        """Keep what was found of a letter; False if it is not open, or has as many as are kept."""
        return await self._commits.run(lambda connection: _add(connection, token, found, now))

    async def found(self, token: str, *, now: int) -> tuple[int, list[bytes]] | None:
        """When it is over, and what was found of each letter, the first first; None if there is no such probe."""
        return await self._readers.run(lambda connection: _found(connection, token, now))


def _open(connection: Connection, token: str, account: str, now: int, expires_at: int) -> bool:
    _forget(connection, "SELECT token FROM probe WHERE expires_at <= ?", (now,))
    ((own,),) = _rows(connection, "SELECT count(*) FROM probe WHERE account = ?", (account,))
    if own >= PROBES_PER_ACCOUNT_MAX:
        return False
    kept = "SELECT token FROM probe ORDER BY opened_at DESC, token LIMIT ?"
    _forget(connection, f"SELECT token FROM probe WHERE token NOT IN ({kept})", (PROBES_MAX - 1,))  # noqa: S608 - ours
    connection.execute(
        "INSERT INTO probe (token, account, opened_at, expires_at) VALUES (?, ?, ?, ?)",
        (token, account, now, expires_at),
    )
    return True


def _forget(connection: Connection, which: str, values: Sequence[Any]) -> None:
    connection.execute(f"DELETE FROM probe_arrival WHERE token IN ({which})", values)  # noqa: S608 - ours
    connection.execute(f"DELETE FROM probe WHERE token IN ({which})", values)  # noqa: S608 - ours


def _add(connection: Connection, token: str, found: bytes, now: int) -> bool:
    there = _found(connection, token, now)
    if there is None or len(there[1]) >= ARRIVALS_MAX:
        return False
    connection.execute(
        "INSERT INTO probe_arrival (token, number, found) VALUES (?, ?, ?)", (token, len(there[1]), found)
    )
    return True


def _found(connection: Connection, token: str, now: int) -> tuple[int, list[bytes]] | None:
    rows = _rows(connection, "SELECT expires_at FROM probe WHERE token = ? AND expires_at > ?", (token, now))
    if not rows:
        return None
    arrivals = _rows(connection, "SELECT found FROM probe_arrival WHERE token = ? ORDER BY number", (token,))
    return rows[0][0], [bytes(found) for (found,) in arrivals]


def _rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    return connection.execute(statement, values).fetchall()
