"""Which recipients have had a letter that others of its recipients must wait for, where no spent stamp tells it.

Written only when a mail server's answers differ (LMTP) and the letter will come again. Forgotten when its sender must
have given up. Shared by all workers; survives a restart.
"""

from collections.abc import Sequence

from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import LATER_DAY
from pennyred.storage.statements import Connection

DAYS_KEPT = 7
"""Mail servers try for five days at most (RFC 5321 section 4.5.4.1: at least 4 to 5)."""
_ROWS_FORGOTTEN_MAX = 200

_Request = tuple[int, Sequence[bytes]]


class PartDeliveries:
    """The deliveries that were made in part. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def had(self, letters: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the letters (each a hash of letter and recipient) that were delivered in an earlier attempt."""
        return await self._commits.answer(_had, letters, weight=len(letters))

    async def add(self, day: int, letters: Sequence[bytes]) -> None:
        """Note, on a day (since 1970-01-01 UTC), that these were delivered; when this returns it survives a crash."""
        await self._commits.answer(_add, (day, letters), weight=len(letters))


def _had(connection: Connection, requests: Sequence[Sequence[bytes]]) -> list[frozenset[bytes]]:
    asked = {letter for letters in requests for letter in letters}
    rows = connection.executemany("SELECT letter FROM partly WHERE letter = ?", [(letter,) for letter in asked])
    found = {letter for (letter,) in rows}
    return [frozenset(letters) & found for letters in requests]


def _add(connection: Connection, requests: Sequence[_Request]) -> list[None]:
    connection.executemany(
        f"INSERT INTO partly (letter, day) VALUES (?1, {LATER_DAY.format('?2')})"  # noqa: S608 - ours
        " ON CONFLICT (letter) DO UPDATE SET day = excluded.day",
        [(letter, day) for day, letters in requests for letter in letters],
    )
    connection.execute(
        "DELETE FROM partly WHERE letter IN (SELECT letter FROM partly"
        " WHERE day <= (SELECT forget_at / 86400 FROM passed_time) - ? LIMIT ?)",
        (DAYS_KEPT, _ROWS_FORGOTTEN_MAX),
    )
    return [None] * len(requests)
