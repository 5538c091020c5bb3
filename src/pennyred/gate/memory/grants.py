"""What correspondents and permits say while a letter is judged: all grants of all its recipients, in one reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pennyred.days import utc_day
from pennyred.gate.memory.bounces import ADDRESS_COUNTER, BOUNCE_COUNTER, MOST_TO_ADDRESS, bounce_grants
from pennyred.gate.memory.correspondents import REPLY_COUNTER, Hasher, correspondent_grant, reply_grants
from pennyred.gate.memory.grantkeys import GrantKeys, keys_of
from pennyred.gate.memory.keyfilter import KeyFilter
from pennyred.gate.memory.permits import EXPECTED_COUNTER, permit_grants, window_grants
from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.grants import BOUNCES_MAX, EXPECTED_LETTERS_MAX, REPLIES_MAX, Grant
from pennyred.storage.changes import ChangeWatch
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

_IS_ANY = (
    "SELECT EXISTS (SELECT 1 FROM correspondent) OR EXISTS (SELECT 1 FROM sent)"
    " OR EXISTS (SELECT 1 FROM permit) OR EXISTS (SELECT 1 FROM expected) OR EXISTS (SELECT 1 FROM bounce_address)"
)


class _Question(NamedTuple):
    recipients: Sequence[Sequence[str]]
    claims: Claims
    now: int


class GrantBook:
    """Implements `gate.ports.GrantBook`; reads by a connection of its own, so that no letter waits for a writer.

    While nothing stands there for anybody, and nothing was written since that was read, it is not read again. Raises
    Unavailable when the state does not answer.
    """

    def __init__(
        self,
        readers: GroupCommit[Connection],
        commits: GroupCommit[Connection],
        hasher: Hasher,
        watch: ChangeWatch | None = None,
    ) -> None:
        """Without `watch` nobody knows what others have written, so each question is put to the state."""
        self._readers = readers
        self._commits = commits
        self._hasher = hasher
        self._watch = watch
        self._keys = GrantKeys()
        self._empty_at: int | None = None
        """The version of the file in which nothing stood for anybody, when that was last read."""
        self._known: tuple[int, KeyFilter] | None = None
        """All that stood there otherwise, and in which version."""
        self.is_in_use = False
        """Whether the state had anything for anybody when it was last read. Once it had, this is not asked again."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands there for anybody, and nothing was written since that was read."""
        version = self._watch.version() if self._watch is not None and not self.is_in_use else None
        return version is not None and version == self._empty_at

    @property
    def can_spare(self) -> bool:
        """Whether `knows_nothing` may say so of some letter."""
        return self._known is not None

    def knows_nothing(self, recipients: Sequence[Sequence[str]], claims: Claims, domains: Iterable[str]) -> bool:
        """Whether there is surely no grant for this letter now, for which these domains vouch. Waits for nobody."""
        if self._known is None or self._watch is None:
            return False
        version, keys = self._known
        asked = keys_of(recipients, claims, domains, self._hasher)
        return asked is not None and version == self._watch.version() and not any(key in keys for key in asked)

    async def grants(self, recipients: Sequence[Sequence[str]], claims: Claims, *, now: int) -> list[list[Grant]]:
        """The grants that let this letter in free, for each recipient: given by the names that its rules may stand
        under.
        """
        # Before the reading: what is written in between makes another version, whether it was read or not.
        version = self._watch.version() if self._watch is not None else None
        if version is not None and version == self._empty_at:
            return [[] for _ in recipients]
        found = await self._readers.answer(self._grants, _Question(recipients, claims, now), weight=len(recipients))
        keys = self._keys.filter
        self._empty_at = None if self.is_in_use else version
        self._known = None if version is None or keys is None else (version, keys)
        return found

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
        if not self.is_in_use:  # alike for every letter, so it tells nothing about one
            return [[[] for _ in one.recipients] for one in questions]
        if self._watch is not None:
            self._keys.refresh(connection)
        return [[self._of(connection, users, one) for users in one.recipients] for one in questions]

    def _of(self, connection: Connection, users: Sequence[str], question: _Question) -> list[Grant]:
        claims, day = question.claims, utc_day(question.now)
        found: list[Grant] = []
        if claims.author is not None:
            known = correspondent_grant(connection, self._hasher, users, claims.author.canonical, day)
            found += [known] if known else []
        if claims.replied_to:
            found += reply_grants(connection, self._hasher, users, claims.replied_to, day)
        if claims.is_null:
            found += bounce_grants(connection, self._hasher, users, claims, day)
        found += permit_grants(connection, users, claims, day)
        return found + window_grants(connection, users, question.now)


@dataclass(frozen=True, slots=True)
class _Counter:
    """Where uses of one kind of grant are counted: a column of a table, its key, and the most uses."""

    table: str
    key: str
    column: str
    most: str
    """How many uses there may be, as an SQL expression."""


_COUNTERS = {
    REPLY_COUNTER: _Counter("sent", "letter", "used", str(REPLIES_MAX)),
    BOUNCE_COUNTER: _Counter("sent", "letter", "bounced", str(BOUNCES_MAX)),
    ADDRESS_COUNTER: _Counter("bounce_address", "address", "used", MOST_TO_ADDRESS),
    EXPECTED_COUNTER: _Counter("expected", "id", "used", str(EXPECTED_LETTERS_MAX)),
}


def _use(connection: Connection, requests: Sequence[Sequence[bytes]]) -> list[bool]:
    answers = []
    for counters in requests:
        is_left = all(_is_left(connection, counter) for counter in counters)
        if is_left:
            _raise(connection, counters, 1)
        answers.append(is_left)
    return answers


def _is_left(connection: Connection, counter: bytes) -> bool:
    """Whether there is a use left. A counter that was forgotten meanwhile has none."""
    kind, key = _read(counter)
    statement = f"SELECT {kind.column} < {kind.most} FROM {kind.table} WHERE {kind.key} = ?"  # noqa: S608 - ours
    rows: Any = connection.execute(statement, (key,)).fetchall()
    return bool(rows and rows[0][0])


def _raise(connection: Connection, counters: Sequence[bytes], by: int) -> None:
    for counter in counters:
        kind, key = _read(counter)
        more = f"{kind.column} + ?1"
        statement = f"UPDATE {kind.table} SET {kind.column} = CASE WHEN {more} > 0 THEN {more} ELSE 0 END"  # noqa: S608
        connection.execute(f"{statement} WHERE {kind.key} = ?2", (by, key))


def _read(counter: bytes) -> tuple[_Counter, bytes | int]:
    kind, name = counter[:1], counter[1:]
    return _COUNTERS[kind], int.from_bytes(name, "big") if kind == EXPECTED_COUNTER else name
