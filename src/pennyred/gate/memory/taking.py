"""Which stamps are accepted while their office does not answer: one call's holds, against what this gate knows."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from pennyred.days import DAY_SECONDS
from pennyred.postage.ledger_rules import fails_group
from pennyred.postage.redemption import Hold, HoldOutcome
from pennyred.storage.statements import Connection

AHEAD_SECONDS_MAX = 3 * DAY_SECONDS
"""No lease is as long, and nothing is put off as far. What is further ahead was written down by a wrong clock."""
_HASH_BYTES = 16


class Taking:
    """One call of `Accepted.take`, in its transaction."""

    def __init__(
        self, connection: Connection, lease_until: int, now: int, per_account_max: int, total_max: int
    ) -> None:
        self._connection = connection
        self._lease_until = lease_until
        self._now = now
        self._per_account_max = per_account_max
        self._total_max = total_max

    def take(self, holds: Sequence[Hold]) -> list[HoldOutcome]:
        """Accept each group whole or not at all; an answer for each hold, in order."""
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
        found = rows_of(
            self._connection,
            "SELECT state, letter, tx, lease_until FROM accepted"
            " WHERE issuer = ? AND account = ? AND expiry_day = ? AND serial = ?",
            key_of(hold),
        )
        if not found:
            return self._decide_new(hold, asked)
        ((state, letter, tx, lease_until),) = found
        if state != "taken":
            return HoldOutcome.ALREADY_SETTLED if letter == hold.letter else HoldOutcome.SPENT
        if letter == hold.letter and (tx == hold.tx or not is_running(lease_until, self._now)):
            return HoldOutcome.RENEWED
        return HoldOutcome.IN_PROGRESS

    def _decide_new(self, hold: Hold, asked: dict[tuple[str, str], int]) -> HoldOutcome:
        stamp = hold.stamp
        spent = "SELECT letter FROM spent_stamp WHERE stamp = ?"
        for (letter,) in rows_of(self._connection, spent, (hashed(key_of(hold)),)):
            return HoldOutcome.ALREADY_SETTLED if letter == hold.letter else HoldOutcome.SPENT
        # Of an altered body nobody knows who altered it: whoever has a copy of a letter could put another text to it.
        if stamp.expires_at <= self._now or hold.flaw is not None or hold.is_altered:
            return HoldOutcome.GROUP_FAILED
        account = (stamp.issuer, stamp.account)
        trusted = "SELECT 1 FROM settled_account WHERE issuer = ? AND account = ? AND unredeemed = 0"
        if not rows_of(self._connection, trusted, account):
            return HoldOutcome.GROUP_FAILED
        count = "SELECT coalesce(sum(price), 0) FROM accepted WHERE state IN ('taken', 'owed')"
        ((of_account,),) = rows_of(self._connection, f"{count} AND issuer = ? AND account = ?", account)
        ((total,),) = rows_of(self._connection, count, ())
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
                *key_of(hold),
                hold.letter,
                hold.tx,
                hold.domain,
                stamp.for_office(),
                stamp.price,
                self._lease_until,
                self._now,
            ),
        )


def is_running(lease_until: int, now: int) -> bool:
    """Whether the lease of a taken stamp still runs. One that is too far ahead was written down by a wrong clock."""
    return now < lease_until <= now + AHEAD_SECONDS_MAX


def hashed(key: tuple[str, str, int, bytes]) -> bytes:
    """The hash under which a spent stamp is remembered: of issuer, account, expiry day and serial."""
    issuer, account, expiry_day, serial = key
    return sha256(f"{issuer} {account} {expiry_day} ".encode() + serial).digest()[:_HASH_BYTES]


def key_of(hold: Hold) -> tuple[str, str, int, bytes]:
    """Issuer, account, expiry day and serial of the stamp of a hold."""
    return hold.stamp.issuer, *hold.stamp.key


def rows_of(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    """All rows of a statement."""
    return connection.execute(statement, values).fetchall()
