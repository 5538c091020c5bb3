"""What is asked of correspondents and permits in a letter's life: all grants of all its recipients, in one reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pennyred.postage.claims import Claims
from pennyred.postage.wanted import EXPECTED_LETTERS_MAX, REPLIES_MAX, Grant
from pennyred.state.correspondents import REPLY_COUNTER, Hasher, correspondent_grant, reply_grants
from pennyred.state.permits import EXPECTED_COUNTER, SECONDS_PER_DAY, permit_grants, window_grants
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

_IS_ANY = (
    "SELECT EXISTS (SELECT 1 FROM correspondent) OR EXISTS (SELECT 1 FROM sent)"
    " OR EXISTS (SELECT 1 FROM permit) OR EXISTS (SELECT 1 FROM expected)"
)


@dataclass(frozen=True, slots=True)
class _Question:
    recipients: Sequence[Sequence[str]]
    claims: Claims
    now: int


class WantedBook:
    """Implements `services.ports.WantedBook`; reads by a connection of its own, so that no letter waits for a writer.

    Raises Unavailable when the state does not answer.
    """

    def __init__(self, readers: GroupCommit[Connection], commits: GroupCommit[Connection], hasher: Hasher) -> None:
        self._readers = readers
        self._commits = commits
        self._hasher = hasher
        self.is_in_use = False
        """Whether anything stood in it for anybody when it was last read; it is not asked again once it did."""

    async def grants(self, recipients: Sequence[Sequence[str]], claims: Claims, *, now: int) -> list[list[Grant]]:
        """For each recipient, given by the names its rules may stand under, what lets this letter in free."""
        return await self._readers.answer(self._grants, _Question(recipients, claims, now), weight=len(recipients))

    async def use(self, counters: Sequence[bytes]) -> bool:
        """Count a use of each, if all have one left; else count none and answer False."""
        return await self._commits.answer(_use, counters, weight=len(counters))

    async def give_back(self, counters: Sequence[bytes]) -> None:
        """Uncount what `use` counted: the letter was not delivered."""
        await self._commits.run(lambda connection: _raise(connection, counters, -1))

    def _grants(self, connection: Connection, questions: Sequence[_Question]) -> list[list[list[Grant]]]:
        if not self.is_in_use:
            ((is_any,),) = connection.execute(_IS_ANY).fetchall()
            self.is_in_use = bool(is_any)
        return [[self._of(connection, users, one) for users in one.recipients] for one in questions]

    def _of(self, connection: Connection, users: Sequence[str], question: _Question) -> list[Grant]:
        claims, day = question.claims, question.now // SECONDS_PER_DAY
        found: list[Grant] = []
        if claims.author is not None:
            known = correspondent_grant(connection, self._hasher, users, claims.author.canonical, day)
            found += [known] if known else []
        if claims.replied_to:
            found += reply_grants(connection, self._hasher, users, claims.replied_to, day)
        found += permit_grants(connection, users, claims, day)
        return found + window_grants(connection, users, question.now)


def _use(connection: Connection, requests: Sequence[Sequence[bytes]]) -> list[bool]:
    answers = []
    for counters in requests:
        is_left = all(_used(connection, counter) < _most(counter) for counter in counters)
        if is_left:
            _raise(connection, counters, 1)
        answers.append(is_left)
    return answers


def _most(counter: bytes) -> int:
    return REPLIES_MAX if counter[:1] == REPLY_COUNTER else EXPECTED_LETTERS_MAX


def _used(connection: Connection, counter: bytes) -> int:
    if counter[:1] == REPLY_COUNTER:
        rows: Any = connection.execute("SELECT used FROM sent WHERE letter = ?", (counter[1:],)).fetchall()
    else:
        rows = connection.execute("SELECT used FROM expected WHERE id = ?", (_window(counter),)).fetchall()
    return int(rows[0][0]) if rows else _most(counter)  # forgotten meanwhile: there is nothing left of it


def _raise(connection: Connection, counters: Sequence[bytes], by: int) -> None:
    replies = [(by, counter[1:]) for counter in counters if counter[:1] == REPLY_COUNTER]
    windows = [(by, _window(counter)) for counter in counters if counter[:1] == EXPECTED_COUNTER]
    connection.executemany(
        "UPDATE sent SET used = CASE WHEN used + ?1 > 0 THEN used + ?1 ELSE 0 END WHERE letter = ?2", replies
    )
    connection.executemany(
        "UPDATE expected SET used = CASE WHEN used + ?1 > 0 THEN used + ?1 ELSE 0 END WHERE id = ?2", windows
    )


def _window(counter: bytes) -> int:
    return int.from_bytes(counter[1:], "big")
