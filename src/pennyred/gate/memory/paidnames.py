"""Other names that a recipient was paid for under lately: by stamps made out to an alias that led to it.

Written the first time in a day that such a stamp pays. Read where all stamps of a letter are made out to names that
nobody here has. The alias may have been taken away since, and the letter may be the retry of one that was paid for.
"""

from collections.abc import Sequence

from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import LATER_DAY
from pennyred.storage.statements import Connection

DAYS_KEPT = 21
"""As long as a stamp is good, and then as long as a sender tries again."""
NAMES_MAX = 8
"""The most names of one recipient: those used last."""
_ROWS_FORGOTTEN_MAX = 200

_Pairs = tuple[int, Sequence[tuple[str, str]]]


class PaidNames:
    """Implements `gate.judging.former_aliases.NameBook`. Raises Unavailable when the state does not answer."""

    def __init__(self, readers: GroupCommit[Connection], commits: GroupCommit[Connection]) -> None:
        self._readers = readers
        self._commits = commits

    async def of(self, recipients: Sequence[str]) -> list[list[str]]:
        """The other names of each recipient, all canonical."""
        return await self._readers.answer(_names, recipients, weight=len(recipients))

    async def add(self, day: int, pairs: Sequence[tuple[str, str]]) -> None:
        """Note recipients, and the names on the stamps that have paid for them, on a day since 1970-01-01 UTC."""
        await self._commits.answer(_add, (day, pairs), weight=len(pairs))


def _names(connection: Connection, requests: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    asked = "SELECT name FROM paid_name WHERE recipient = ? ORDER BY day DESC, name LIMIT ?"
    return [
        [[name for (name,) in connection.execute(asked, (one, NAMES_MAX)).fetchall()] for one in recipients]
        for recipients in requests
    ]


def _add(connection: Connection, requests: Sequence[_Pairs]) -> list[None]:
    connection.executemany(
        f"INSERT INTO paid_name (recipient, name, day) VALUES (?1, ?2, {LATER_DAY.format('?3')})"  # noqa: S608 - ours
        " ON CONFLICT (recipient, name) DO UPDATE SET day = excluded.day",
        [(*pair, day) for day, pairs in requests for pair in pairs],
    )
    connection.execute(
        "DELETE FROM paid_name WHERE (recipient, name) IN"
        " (SELECT recipient, name FROM paid_name WHERE day < (SELECT forget_at / 86400 FROM passed_time) - ? LIMIT ?)",
        (DAYS_KEPT, _ROWS_FORGOTTEN_MAX),
    )
    return [None] * len(requests)
