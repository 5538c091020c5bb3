"""Stamps accepted while their office did not answer: a small ledger of what is owed for them, and of trusted accounts.

A stamp is `taken` while its letter is being delivered, and `owed` once the letter was delivered. It is over when its
office has answered: `redeemed`, or `lost`. A stamp that is over is kept until it has expired, so that it is not
accepted again in the next outage. So are, as hashes, the stamps that were spent here while their office answered. All
workers count together: whoever takes changes one row first, and the others wait for that row.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any

from pennyred.days import DAY_SECONDS
from pennyred.postage.ledger_rules import fails_group
from pennyred.postage.redemption import Hold, HoldOutcome, Settle, Void
from pennyred.postage.stamp import parse_stamp
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import LATER
from pennyred.storage.statements import Connection

PAGE_MAX = 200
TRUST_SECONDS = 90 * DAY_SECONDS
"""How long a trusted account is remembered after the last stamp of it was settled."""
AHEAD_SECONDS_MAX = 3 * DAY_SECONDS
"""No lease is as long, and nothing is put off as far. What is further ahead was written down by a wrong clock."""
DOUBT_SECONDS = DAY_SECONDS
"""How long a taken stamp is kept after its lease, where a worker was killed and nobody tells what became of it."""
_ROWS_FORGOTTEN_MAX = 1_000
"""The most rows that one sweep forgets."""
_HASH_BYTES = 16


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
            return _Taking(connection, lease_until, now, per_account_max, total_max).take(holds)

        return await self._commits.run(work)

    async def owe(self, settles: Sequence[Settle]) -> list[bool]:
        """Note that the letters were delivered. False for a stamp that was not accepted here, or is over."""
        statement = (
            "UPDATE accepted SET state = 'owed'"
            " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND letter = ?"
            " AND state IN ('taken', 'owed') RETURNING serial"
        )
        keys = [(*_key(settle), settle.letter) for settle in settles]
        return await self._commits.run(lambda connection: [bool(_rows(connection, statement, key)) for key in keys])

    async def release(self, voids: Sequence[Void]) -> list[bool]:
        """Note that the letters were not delivered under this tx."""
        statement = (
            "DELETE FROM accepted WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND tx = ?"
            " AND state = 'taken' RETURNING serial"
        )
        keys = [(*_key(void), void.tx) for void in voids]
        return await self._commits.run(lambda connection: [bool(_rows(connection, statement, key)) for key in keys])

    async def waiting(self, issuer: str, *, now: int) -> list[Hold]:
        """The stamps to present to an office now, oldest first; at most `PAGE_MAX`."""
        statement = (
            "SELECT letter, tx, domain, stamp FROM accepted WHERE state = 'owed' AND issuer = ?"
            " AND (retry_at <= ? OR retry_at > ?)"
            " ORDER BY accepted_at, serial LIMIT ?"
        )
        return await self._commits.run(
            lambda connection: [
                _hold(row) for row in _rows(connection, statement, (issuer, now, now + AHEAD_SECONDS_MAX, PAGE_MAX))
            ]
        )

    async def open_among(self, holds: Sequence[Hold], *, now: int) -> tuple[list[Hold], bool]:
        """Those of the stamps asked about that are owed; and whether another attempt is delivering with one of them."""
        return await self._commits.run(lambda connection: _open_among(connection, holds, now))

    async def is_owing(self, issuer: str) -> bool:
        """Whether anything is taken or owed."""
        statement = "SELECT 1 FROM accepted WHERE state IN ('taken', 'owed') AND issuer = ? LIMIT 1"
        return await self._commits.run(lambda connection: bool(_rows(connection, statement, (issuer,))))

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
        rows = [(_hashed(_key(one)), one.letter, one.expiry_day) for one in settles]
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


class _Taking:
    """One call of `take`, in its transaction."""

    def __init__(
        self, connection: Connection, lease_until: int, now: int, per_account_max: int, total_max: int
    ) -> None:
        self._connection = connection
        self._lease_until = lease_until
        self._now = now
        self._per_account_max = per_account_max
        self._total_max = total_max

    def take(self, holds: Sequence[Hold]) -> list[HoldOutcome]:
        # SQLite writes one after the other anyway; elsewhere two could count the same room at the same time.
        self._connection.execute(
            "INSERT INTO accepting (one, changes) VALUES (1, 1)"
            " ON CONFLICT (one) DO UPDATE SET changes = accepting.changes + 1"
        )
        groups: dict[int, list[int]] = {}
        for place, hold in enumerate(holds):
            groups.setdefault(hold.group, []).append(place)
        answers = [HoldOutcome.GROUP_FAILED] * len(holds)
        for places in groups.values():
            self._take_group(holds, places, answers)
        return answers

    def _take_group(self, holds: Sequence[Hold], places: list[int], answers: list[HoldOutcome]) -> None:
        asked: dict[tuple[str, str], int] = {}
        for place in places:
            answers[place] = self._decide(holds[place], asked)
        has_failed = any(fails_group(answers[place]) for place in places)
        for place in places:
            if not answers[place].is_held:
                continue
            if has_failed:
                answers[place] = HoldOutcome.GROUP_FAILED
            else:
                self._write(holds[place])

    def _decide(self, hold: Hold, asked: dict[tuple[str, str], int]) -> HoldOutcome:
        """As the ledger decides (ARCHITECTURE.md, "The states of a stamp"), as far as this list knows."""
        found = _rows(
            self._connection,
            "SELECT state, letter, tx, lease_until FROM accepted"
            " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ?",
            _key_of(hold),
        )
        if not found:
            return self._decide_new(hold, asked)
        ((state, letter, tx, lease_until),) = found
        if state != "taken":
            return HoldOutcome.ALREADY_SETTLED if letter == hold.letter else HoldOutcome.SPENT
        if letter == hold.letter and (tx == hold.tx or not _is_running(lease_until, self._now)):
            return HoldOutcome.RENEWED
        return HoldOutcome.IN_PROGRESS

    def _decide_new(self, hold: Hold, asked: dict[tuple[str, str], int]) -> HoldOutcome:
        stamp = hold.stamp
        spent = "SELECT letter FROM spent_stamp WHERE stamp = ?"
        for (letter,) in _rows(self._connection, spent, (_hashed(_key_of(hold)),)):
            return HoldOutcome.ALREADY_SETTLED if letter == hold.letter else HoldOutcome.SPENT
        # Of an altered body nobody knows who altered it: whoever has a copy of a letter could put another text to it.
        if stamp.expires_at <= self._now or hold.flaw is not None or hold.is_altered:
            return HoldOutcome.GROUP_FAILED
        account = (stamp.issuer, stamp.account)
        trusted = "SELECT 1 FROM settled_account WHERE issuer = ? AND account = ? AND unredeemed = 0"
        if not _rows(self._connection, trusted, account):
            return HoldOutcome.GROUP_FAILED
        count = "SELECT coalesce(sum(price), 0) FROM accepted WHERE state IN ('taken', 'owed')"
        ((of_account,),) = _rows(self._connection, f"{count} AND issuer = ? AND account = ?", account)
        ((total,),) = _rows(self._connection, count, ())
        more = asked.get(account, 0) + stamp.price
        others = sum(asked.values()) + stamp.price
        if of_account + more > self._per_account_max or total + others > self._total_max:
            return HoldOutcome.GROUP_FAILED
        asked[account] = more
        return HoldOutcome.HELD

    def _write(self, hold: Hold) -> None:
        stamp = hold.stamp
        self._connection.execute(
            "INSERT INTO accepted (issuer, account, expiry_day, serial, letter, tx, domain, stamp,"
            " price, state, lease_until, accepted_at, retry_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'taken', ?, ?, 0)"
            " ON CONFLICT (issuer, account, expiry_day, serial)"
            " DO UPDATE SET tx = excluded.tx, lease_until = excluded.lease_until",
            (
                *_key_of(hold),
                hold.letter,
                hold.tx,
                hold.domain,
                stamp.for_office(),
                stamp.price,
                self._lease_until,
                self._now,
            ),
        )


def _is_running(lease_until: int, now: int) -> bool:
    return now < lease_until <= now + AHEAD_SECONDS_MAX


def _open_among(connection: Connection, holds: Sequence[Hold], now: int) -> tuple[list[Hold], bool]:
    owed, is_in_progress = [], False
    statement = (
        "SELECT letter, tx, domain, stamp, state, lease_until FROM accepted"
        " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND state IN ('taken', 'owed')"
    )
    for hold in holds:
        for *row, state, lease_until in _rows(connection, statement, _key_of(hold)):
            found = _hold(row)
            if state == "owed":
                owed.append(found)
            elif found.tx != hold.tx and _is_running(lease_until, now):
                is_in_progress = True
    return owed, is_in_progress


def _close(connection: Connection, state: str, settles: Sequence[Settle]) -> list[Settle]:
    """Close these, and answer those that were owed until now."""
    statement = (
        "UPDATE accepted SET state = ?"
        " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ? AND state = 'owed' RETURNING serial"
    )
    return [settle for settle in settles if _rows(connection, statement, (state, *_key(settle)))]


def _hold(row: Sequence[Any]) -> Hold:
    letter, tx, domain, stamp = row
    return Hold(tx, 0, parse_stamp(stamp), domain, letter)


def _hashed(key: tuple[str, str, int, bytes]) -> bytes:
    issuer, account, expiry_day, serial = key
    return sha256(f"{issuer} {account} {expiry_day} ".encode() + serial).digest()[:_HASH_BYTES]


def _key_of(hold: Hold) -> tuple[str, str, int, bytes]:
    return hold.stamp.issuer, *hold.stamp.key


def _key(one: Settle | Void) -> tuple[str, str, int, bytes]:
    return one.issuer, *one.key


def _for_each(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    connection.executemany(statement, rows)


def _rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    return connection.execute(statement, values).fetchall()
