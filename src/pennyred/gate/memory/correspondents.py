"""Whom our users write to, and which letters of theirs have left: learned from outgoing mail, imported, or added.

Our own users stand here by name. Whom they write to, and the Message-IDs, stand here only as hashes: the file does not
tell who writes to whom, though whoever has it can confirm a guess. What was not used for long is forgotten.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pennyred.gate.rules.grants import CORRESPONDENT_DAYS, REPLIES_MAX, REPLY_DAYS, Grant
from pennyred.postage.reasons import Reason
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.passing import LATER_DAY
from pennyred.storage.statements import Connection

ROWS_FORGOTTEN_MAX = 500
"""The most rows forgotten with each writing; no writing makes more than that."""
REPLY_COUNTER = b"r"
IMPORTED = "import"
"""The origin of what was read out of a log."""
_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Learned:
    """What one outgoing letter has taught."""

    day: int
    users: tuple[str, ...]
    """Who sent it: MAIL FROM and From, canonical, without tags."""
    others: tuple[str, ...]
    """To whom, canonical."""
    message_ids: tuple[bytes, ...] = ()
    origin: str = "outgoing"
    bounces_to: str = ""
    """The MAIL FROM it left with, canonical, where that is made to be bounced to (`gate.rules.grants`)."""


@dataclass(frozen=True, slots=True)
class UserTotal:
    """How many correspondents one user has."""

    user: str
    count: int
    last_day: int


class Hasher:
    """Hashes names with the state's own salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def pair(self, user: str, other: str | bytes) -> bytes:
        """The hash of a user and a correspondent, or of a user and a Message-ID."""
        text = other if isinstance(other, bytes) else other.encode()
        return hashlib.sha256(b"\0".join((self._salt, user.encode(), text))).digest()[:_HASH_BYTES]

    def address(self, address: str) -> bytes:
        """The hash of an address of ours that is made to be bounced to."""
        return self.pair("", address)


class Correspondents:
    """Writes down who has written to whom. Raises Unavailable when the state does not answer.

    What is asked of it while a letter is judged is in `gate.ports.GrantBook`.
    """

    def __init__(self, commits: GroupCommit[Connection], hasher: Hasher) -> None:
        self._commits = commits
        self._hasher = hasher

    async def note(
        self,
        *,
        day: int,
        users: tuple[str, ...],
        others: tuple[str, ...],
        message_ids: tuple[bytes, ...],
        bounces_to: str = "",
    ) -> None:
        """Note one outgoing letter, as `gate.outgoing.CorrespondentBook` says."""
        await self.learn([Learned(day, users, others, message_ids, bounces_to=bounces_to)])

    async def learn(self, learned: Sequence[Learned]) -> None:
        """Note who has written to whom, and what has left; when this returns, it is durable."""
        await self._commits.answer(self._learn, learned, weight=sum(1 + len(one.others) for one in learned))

    async def remove(self, user: str, others: Sequence[str]) -> int:
        """Forget some of a user's correspondents, or all where none is named. Answers how many there were."""
        return await self._commits.run(lambda connection: self._remove(connection, user, others))

    async def totals(self, *, after: str, limit: int) -> list[UserTotal]:
        """How many correspondents each user has, by user name, beginning behind `after`."""
        statement = (
            "SELECT user, count(*), max(last_day) FROM correspondent WHERE user > ? GROUP BY user ORDER BY user LIMIT ?"
        )
        rows: Any = await self._commits.run(lambda connection: connection.execute(statement, (after, limit)).fetchall())
        return [UserTotal(*row) for row in rows]

    async def of(self, user: str, other: str) -> tuple[int, str] | None:
        """When a user last wrote to somebody (days since 1970-01-01), and how that is known.

        None where he never did, or it is forgotten.
        """
        key = (user, self._hasher.pair(user, other))
        statement = "SELECT last_day, origin FROM correspondent WHERE user = ? AND other = ?"
        found: Any = await self._commits.run(lambda connection: connection.execute(statement, key).fetchall())
        return found[0] if found else None

    def _learn(self, connection: Connection, requests: Sequence[Sequence[Learned]]) -> list[None]:
        learned = [one for request in requests for one in request]
        pairs = [
            (user, self._hasher.pair(user, other), one.day, one.origin)
            for one in learned
            for user in one.users
            for other in one.others
            if user != other
        ]
        sent = [
            (self._hasher.pair(user, message_id), one.day)
            for one in learned
            for user in one.users
            for message_id in one.message_ids
        ]
        for day, some in (
            ("?3", [pair for pair in pairs if pair[3] == IMPORTED]),  # these are of the day that the log says
            (LATER_DAY.format("?3"), [pair for pair in pairs if pair[3] != IMPORTED]),
        ):
            if not some:
                continue
            connection.executemany(
                "INSERT INTO correspondent (user, other, last_day, origin)"  # noqa: S608 - ours
                f" VALUES (?1, ?2, {day}, ?4) ON CONFLICT (user, other)"
                " DO UPDATE SET last_day = excluded.last_day, origin = excluded.origin"
                " WHERE excluded.last_day > correspondent.last_day",
                some,
            )
        connection.executemany(
            "INSERT INTO sent (letter, day, used, bounced)"  # noqa: S608 - ours
            f" VALUES (?1, {LATER_DAY.format('?2')}, 0, 0) ON CONFLICT DO NOTHING",
            sent,
        )
        connection.executemany(
            "INSERT INTO bounce_address (address, day, letters, used)"  # noqa: S608 - ours
            f" VALUES (?1, {LATER_DAY.format('?2')}, 1, 0)"
            " ON CONFLICT (address) DO UPDATE SET day = excluded.day, letters = bounce_address.letters + 1",
            [(self._hasher.address(one.bounces_to), one.day) for one in learned if one.bounces_to],
        )
        if learned:
            _forget(connection)
        return [None] * len(requests)

    def _remove(self, connection: Connection, user: str, others: Sequence[str]) -> int:
        before = connection.total_changes()
        if others:
            for other in others:
                key = (user, self._hasher.pair(user, other))
                connection.execute("DELETE FROM correspondent WHERE user = ? AND other = ?", key)
        else:
            connection.execute("DELETE FROM correspondent WHERE user = ?", (user,))
        return connection.total_changes() - before


def correspondent_grant(
    connection: Connection, hasher: Hasher, users: Sequence[str], author: str, day: int
) -> Grant | None:
    """The grant of a user with one of these names who has written to the author within the year, or None."""
    keys = [(user, hasher.pair(user, author)) for user in users]
    rows: Any = connection.executemany("SELECT last_day FROM correspondent WHERE user = ? AND other = ?", keys)
    is_known = any(int(last_day) >= day - CORRESPONDENT_DAYS for (last_day,) in rows.fetchall())
    return Grant(Reason.CORRESPONDENT, is_author_proven=True) if is_known else None


def reply_grants(
    connection: Connection, hasher: Hasher, users: Sequence[str], message_ids: Sequence[bytes], day: int
) -> list[Grant]:
    """The grants of a reply to letters that have left lately under one of these names, while there are few replies."""
    keys = [(hasher.pair(user, message_id),) for user in users for message_id in message_ids]
    rows: Any = connection.executemany("SELECT letter, day, used FROM sent WHERE letter = ?", keys).fetchall()
    return [
        Grant(Reason.REPLY, counter=REPLY_COUNTER + letter)
        for letter, sent_day, used in rows
        if sent_day >= day - REPLY_DAYS and used < REPLIES_MAX
    ]


def _forget(connection: Connection) -> None:
    for table, key, column, kept_days in (
        ("correspondent", "user, other", "last_day", CORRESPONDENT_DAYS),
        ("sent", "letter", "day", REPLY_DAYS),
        ("bounce_address", "address", "day", REPLY_DAYS),
    ):
        connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table}"  # noqa: S608 - ours
            f" WHERE {column} < (SELECT forget_at / 86400 FROM passed_time) - ? LIMIT ?)",
            (kept_days, ROWS_FORGOTTEN_MAX),
        )
