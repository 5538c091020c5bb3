"""Stamps accepted while their office did not answer: a small ledger of what is owed for them, and of trusted accounts.

A stamp is `taken` while its letter is being delivered, and `owed` once the letter was delivered. It is over when its
office has answered: `redeemed`, or `lost`. A stamp that is over is kept until it has expired, so that it is not
accepted again in the next outage. So are, as hashes, the stamps that were spent here while their office answered. All
workers count together: whoever takes changes one row first, and the others wait for that row.
"""

from collections.abc import Collection, Sequence
from typing import Any

from pennyred.days import DAY_SECONDS
from pennyred.gate.memory.taking import AHEAD_SECONDS_MAX, Taking, hashed, is_running, key_of, rows_of
from pennyred.postage.redemption import Hold, HoldOutcome, Settle, Void
from pennyred.postage.stamp import parse_stamp
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import LATER
from pennyred.storage.statements import Connection

PAGE_MAX = 200
TRUST_SECONDS = 90 * DAY_SECONDS
"""How long a trusted account is remembered after the last stamp of it was settled."""
DOUBT_SECONDS = DAY_SECONDS
"""How long a taken stamp is kept after its lease, where a worker was killed and nobody tells what became of it."""
_ROWS_FORGOTTEN_MAX = 1_000
"""The most rows that one sweep forgets."""


class Accepted:
    """The stamps that were accepted on trust. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def take(
        self, holds: Sequence[Hold], *, lease_until: int, now: int, per_account_max: int, total_max: int
    ) -> list[HoldOutcome]:
        """Accept each group whole or not at all, of accounts that are trusted, within both limits (in stamps).

        `group-failed` for what this list cannot answer for; else as an office would.
        """

        def work(connection: Connection) -> list[HoldOutcome]:
            return Taking(connection, lease_until, now, per_account_max, total_max).take(holds)

        return await self._commits.run(work)

    async def owe(self, settles: Sequence[Settle]) -> list[bool]:
        """Note that the letters were delivered. False for a stamp that was not accepted here, or is over."""
        statement = (
            "UPDATE accepted SET state = 'owed'"
            " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND letter = ?"
            " AND state IN ('taken', 'owed') RETURNING serial"
        )
        keys = [(*_key(settle), settle.letter) for settle in settles]
        return await self._commits.run(lambda connection: [bool(rows_of(connection, statement, key)) for key in keys])

    async def release(self, voids: Sequence[Void]) -> list[bool]:
        """Note that the letters were not delivered under this tx."""
        statement = (
            "DELETE FROM accepted WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND tx = ?"
            " AND state = 'taken' RETURNING serial"
        )
        keys = [(*_key(void), void.tx) for void in voids]
        return await self._commits.run(lambda connection: [bool(rows_of(connection, statement, key)) for key in keys])

    async def waiting(self, issuer: str, *, now: int) -> list[Hold]:
        """The stamps to present to an office now, oldest first; at most `PAGE_MAX`."""
        statement = (
            "SELECT letter, tx, domain, stamp FROM accepted WHERE state = 'owed' AND issuer = ?"
            " AND (retry_at <= ? OR retry_at > ?)"
            " ORDER BY accepted_at, serial LIMIT ?"
        )
        return await self._commits.run(
            lambda connection: [
                _hold(row) for row in rows_of(connection, statement, (issuer, now, now + AHEAD_SECONDS_MAX, PAGE_MAX))
            ]
        )

    async def open_among(self, holds: Sequence[Hold], *, now: int) -> tuple[list[Hold], bool]:
        """Those of the stamps asked about that are owed; and whether another attempt is delivering with one of them."""
        return await self._commits.run(lambda connection: _open_among(connection, holds, now))

    async def is_owing(self, issuer: str) -> bool:
        """Whether anything is taken or owed."""
        statement = "SELECT 1 FROM accepted WHERE state IN ('taken', 'owed') AND issuer = ? LIMIT 1"
        return await self._commits.run(lambda connection: bool(rows_of(connection, statement, (issuer,))))

    async def redeemed(self, settles: Sequence[Settle]) -> None:
        """Note that their office has paid these stamps."""
        await self._commits.run(lambda connection: _close(connection, "redeemed", settles))

    async def lost(self, settles: Sequence[Settle], *, is_blamed: bool) -> list[Settle]:
        """Note that their office will not pay these stamps. Answers those that were owed until now.

        With `is_blamed` their accounts are not trusted again.
        """

        def work(connection: Connection) -> list[Settle]:
            lost = _close(connection, "lost", settles)
            for settle in lost if is_blamed else ():
                connection.execute(
                    "UPDATE settled_account SET unredeemed = unredeemed + 1 WHERE issuer = ? AND account = ?",
                    (settle.issuer, settle.account),
                )
            return lost

        return await self._commits.run(work)

    async def postpone(self, settles: Sequence[Settle], *, until: int) -> None:
        """Present these stamps later: the office's answer was one that changes with time."""
        statement = (
            "UPDATE accepted SET retry_at = ?"
            " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND state = 'owed'"
        )
        rows = [(until, *_key(settle)) for settle in settles]
        await self._commits.run(lambda connection: _for_each(connection, statement, rows))

    async def note_spent(self, settles: Sequence[Settle]) -> None:
        """Note that these stamps were used for these letters.

        A settlement without a letter is equal to no letter that is asked about later.
        """
        statement = (
            "INSERT INTO spent_stamp (stamp, letter, expiry_day) VALUES (?, ?, ?) ON CONFLICT (stamp) DO NOTHING"
        )
        rows = [(hashed(_key(one)), one.letter, one.expiry_day) for one in settles]
        await self._commits.run(lambda connection: _for_each(connection, statement, rows))

    async def note_settled(self, accounts: Collection[tuple[str, str]], *, now: int) -> None:
        """Note that a stamp of each (issuer, account) was paid: from now on the account is trusted."""
        statement = (
            "INSERT INTO settled_account (issuer, account, last_at, unredeemed)"  # noqa: S608 - ours
            f" VALUES (?1, ?2, {LATER.format('?3')}, 0)"
            " ON CONFLICT (issuer, account) DO UPDATE SET last_at = excluded.last_at"
        )
        rows = [(issuer, account, now) for issuer, account in accounts]
        await self._commits.run(lambda connection: _for_each(connection, statement, rows))

    async def sweep(self) -> None:
        """Forget what is over and has expired, what is in doubt for too long, and accounts of long ago."""

        def work(connection: Connection) -> None:
            connection.execute(
                "DELETE FROM accepted WHERE state IN ('redeemed', 'lost')"
                " AND expiry_day < (SELECT forget_at / 86400 FROM passed_time)"
            )
            connection.execute(
                "DELETE FROM accepted WHERE state = 'taken' AND lease_until < (SELECT forget_at FROM passed_time) - ?",
                (DOUBT_SECONDS,),
            )
            connection.execute(
                "DELETE FROM spent_stamp WHERE stamp IN (SELECT stamp FROM spent_stamp"
                " WHERE expiry_day < (SELECT forget_at / 86400 FROM passed_time) LIMIT ?)",
                (_ROWS_FORGOTTEN_MAX,),
            )
            connection.execute(
                "DELETE FROM settled_account WHERE last_at < (SELECT forget_at FROM passed_time) - ?", (TRUST_SECONDS,)
            )

        await self._commits.run(work)


def _open_among(connection: Connection, holds: Sequence[Hold], now: int) -> tuple[list[Hold], bool]:
    owed, is_in_progress = [], False
    statement = (
        "SELECT letter, tx, domain, stamp, state, lease_until FROM accepted"
        " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND state IN ('taken', 'owed')"
    )
    for hold in holds:
        for *row, state, lease_until in rows_of(connection, statement, key_of(hold)):
            found = _hold(row)
            if state == "owed":
                owed.append(found)
            elif found.tx != hold.tx and is_running(lease_until, now):
                is_in_progress = True
    return owed, is_in_progress


def _close(connection: Connection, state: str, settles: Sequence[Settle]) -> list[Settle]:
    """Close these, and answer those that were owed until now."""
    statement = (
        "UPDATE accepted SET state = ?"
        " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND state = 'owed' RETURNING serial"
    )
    return [settle for settle in settles if rows_of(connection, statement, (state, *_key(settle)))]


def _hold(row: Sequence[Any]) -> Hold:
    letter, tx, domain, stamp = row
    return Hold(tx, 0, parse_stamp(stamp), domain, letter)


def _key(one: Settle | Void) -> tuple[str, str, int, bytes]:
    return one.issuer, *one.key


def _for_each(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    connection.executemany(statement, rows)
