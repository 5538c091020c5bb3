"""Keys of post offices as DNS had them, each with the time at which DNS last had it.

They serve a gate that is started while DNS is silent, and its sister gates and other workers. `gate.issuers.keyring`
decides how long a key counts. Nothing is deleted here because a clock says so.
"""

from typing import Any

from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

KEYS_MAX = 10_000
"""The most keys, of all offices. Beyond that, those go that were confirmed longest ago."""


class FoundKeys:
    """Implements `gate.ports.KeyBook`. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def keep(self, issuer: str, selector: str, key: bytes, *, is_authenticated: bool, now: int) -> None:
        """Note that DNS has this key now (seconds since 1970-01-01)."""
        values = (issuer, selector, key, int(is_authenticated), now)
        await self._commits.run(lambda connection: _keep(connection, values))

    async def kept(self, issuer: str, selector: str) -> tuple[bytes, int, bool] | None:
        """The key, when DNS was last seen to have it, and whether DNSSEC proved that."""
        statement = "SELECT key, confirmed_at, is_authenticated FROM office_key WHERE issuer = ? AND selector = ?"
        rows: Any = await self._commits.run(
            lambda connection: connection.execute(statement, (issuer, selector)).fetchall()
        )
        return (rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None

    async def forget(self, issuer: str, selector: str) -> None:
        """Forget a key: it counts no more."""
        statement = "DELETE FROM office_key WHERE issuer = ? AND selector = ?"
        await self._commits.run(lambda connection: connection.execute(statement, (issuer, selector)))


def _keep(connection: Connection, values: tuple[Any, ...]) -> None:
    connection.execute(
        "INSERT INTO office_key (issuer, selector, key, is_authenticated, confirmed_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (issuer, selector) DO UPDATE SET key = excluded.key,"
        " is_authenticated = excluded.is_authenticated, confirmed_at = excluded.confirmed_at",
        values,
    )
    connection.execute(
        "DELETE FROM office_key WHERE (issuer, selector) IN (SELECT issuer, selector FROM office_key"
        " ORDER BY confirmed_at DESC, issuer, selector LIMIT ? OFFSET ?)",
        (KEYS_MAX, KEYS_MAX),
    )
