"""Settlements an office has not answered yet: written down before the client hears 250, kept until answered.

Each is kept with its stamp, as far as that may be presented: where a crash made the ledger forget the hold, the stamp
pays.

Several workers may present the same settlement at once: settling twice is harmless. The list has no upper bound,
because a delivery that was made is a debt. When the disk is full, `add` raises `Unavailable`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pennyred.gate.memory.taking import AHEAD_SECONDS_MAX
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.redemption import Settle
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One settlement that waits for its office."""

    id: int
    settle: Settle
    added_at: int


@dataclass(frozen=True, slots=True)
class OutboxStanding:
    """What stands in the outbox."""

    unanswered: int
    """Settlements whose office has not answered."""
    since: int
    """When the oldest of these was written down, in Unix seconds; 0 where there is none."""
    put_off: int
    """Those that their office has put off: a sender's day is full, or another letter holds the stamp."""


class Outbox:
    """The settlements that wait. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def add(self, settles: Sequence[Settle], *, now: int) -> None:
        """Write them down; when this returns they survive a crash. One that waits already is not written twice."""
        await self._commits.answer(_add, (tuple(settles), now), weight=len(settles))

    async def pending(self, limit: int, *, now: int, besides: Collection[str] = ()) -> list[OutboxEntry]:
        """The settlements to present now, oldest first, at most `PAGE_MAX`; none of the issuers named."""
        return await self._commits.run(lambda connection: _pending(connection, limit, now, tuple(besides)))

    async def postpone(self, ids: Sequence[int], *, until: int) -> None:
        """Present these not before `until`."""
        rows = [(until, entry_id) for entry_id in ids]
        await self._commits.run(
            lambda connection: connection.executemany("UPDATE outbox SET retry_at = ? WHERE id = ?", rows)
        )

    async def standing(self) -> OutboxStanding:
        """How many there are, and since when."""
        return await self._commits.run(_standing)

    async def done(self, ids: Sequence[int]) -> None:
        """Forget the settlements that the office has answered."""
        names = [(entry_id,) for entry_id in ids]
        await self._commits.run(lambda connection: connection.executemany("DELETE FROM outbox WHERE id = ?", names))


def _add(connection: Connection, requests: Sequence[tuple[Sequence[Settle], int]]) -> list[None]:
    connection.executemany(
        "INSERT INTO outbox (issuer, account, expiry_day, serial, letter, stamp, domain, added_at, attempts, retry_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
        [
            (one.issuer, *one.key, one.letter, one.stamp.for_office() if one.stamp else b"", one.domain, now)
            for settles, now in requests
            for one in settles
        ],
    )
    return [None] * len(requests)


def _pending(connection: Connection, limit: int, now: int, besides: tuple[str, ...]) -> list[OutboxEntry]:
    others = "".join(" AND issuer <> ?" for _ in besides)
    rows: Any = connection.execute(
        "SELECT id, added_at, stamp, issuer, account, expiry_day, serial, letter, domain"  # noqa: S608 - question marks
        f" FROM outbox WHERE (retry_at <= ? OR retry_at > ?){others} ORDER BY id LIMIT ?",
        (now, now + AHEAD_SECONDS_MAX, *besides, min(limit, PAGE_MAX)),
    )
    return [
        OutboxEntry(
            entry_id,
            Settle(issuer, account, day, serial, letter, _stamp_of(stamp), domain),
            added_at,
        )
        for entry_id, added_at, stamp, issuer, account, day, serial, letter, domain in rows
    ]


def _stamp_of(octets: bytes) -> Stamp | None:
    """The stamp as it was kept; None for one of a release that wrote others: it is paid by its hold alone."""
    try:
        return parse_stamp(octets) if octets else None
    except MalformedStamp:
        return None


def _standing(connection: Connection) -> OutboxStanding:
    rows: Any = connection.execute(
        "SELECT retry_at > 0, count(*), min(added_at) FROM outbox GROUP BY retry_at > 0"
    ).fetchall()
    found = {bool(is_put_off): (count, oldest) for is_put_off, count, oldest in rows}
    unanswered, since = found.get(False, (0, 0))
    return OutboxStanding(unanswered, since, found.get(True, (0, 0))[0])
