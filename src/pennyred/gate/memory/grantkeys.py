"""Under which keys grants stand in an SQLite state, as a filter in a worker's memory: for which letters there is none.

Only rows that come make a difference: one that was forgotten is perhaps still there, which costs a question. So the
filter is read once, page by page, and later only what the triggers of the tables have written down as news. Whoever
answers a question brings it up to date in the same transaction, in the state's own thread.

Who answers a letter from `<>` looks for more (`bounces`): for such a letter the filter says nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pennyred.gate.memory.correspondents import Hasher
from pennyred.gate.memory.keyfilter import KeyFilter
from pennyred.gate.memory.permits import claimed_names
from pennyred.gate.rules.claims import Claims
from pennyred.storage.statements import Connection

KEYS_MAX = 1_000_000
"""With more rows than that there is no filter: each question is put to the state."""
PAGE_ROWS = 5_000
"""What one reading adds to the filter: a few milliseconds, for which other questions wait."""
RECIPIENTS_MAX = 4
"""For a letter to more, its keys are not worked out in the worker's loop."""
LABELS_MAX = 8
"""Nor for one that names a domain with more labels."""

_Key = tuple[str, str, str | bytes]
"""The table, the user, and whom or what the row is about."""


class _Part(NamedTuple):
    """One table: what its rows are keyed by, and the user and the name among the columns."""

    table: str
    key: str
    user: str
    name: str


_PARTS = (
    _Part("correspondent", "user, other", "user", "other"),
    _Part("sent", "letter", "''", "letter"),
    _Part("permit", "user, kind, name, proof", "user", "name"),
    _Part("expected", "id", "user", "domain"),
)
_NEWEST = "SELECT coalesce(max(id), 0) FROM grant_news"
_OLDEST = "SELECT coalesce(min(id), 0) FROM grant_news"
_NEWS = "SELECT id, part, user, name FROM grant_news WHERE id > ? ORDER BY id LIMIT ?"


class GrantKeys:
    """Keeps the filter. `refresh` is called in one thread, and `filter` may be read in another."""

    def __init__(self, *, keys_max: int = KEYS_MAX, page_rows: int = PAGE_ROWS) -> None:
        self.filter: KeyFilter | None = None
        """All keys that stood there at the last `refresh`; None until they are read, or if they are too many."""
        self._keys_max = keys_max
        self._page_rows = page_rows
        self._growing: KeyFilter | None = None
        self._left: list[_Part] = []
        self._after: Sequence[Any] = ()
        self._read_until = 0
        self._are_too_many = False

    def refresh(self, connection: Connection) -> None:
        """Read what has come since, inside a transaction; of what was there before, a page."""
        if self._are_too_many:
            return
        newest = _number(connection, _NEWEST)
        if self._growing is None or self._has_missed(connection, newest) or self._growing.count > 2 * self._keys_max:
            self._begin(connection, newest)
        keys = self._growing
        if keys is None:
            return
        if newest != self._read_until:
            for number, *key in connection.execute(_NEWS, (self._read_until, self._page_rows)).fetchall():
                keys.add(tuple(key))
                self._read_until = number
        room = self._page_rows
        while self._left and room:
            room -= self._read_page(connection, keys, room)
        self.filter = None if self._left or self._read_until != newest else keys

    def _has_missed(self, connection: Connection, newest: int) -> bool:
        """Whether news were forgotten before they were read, or are those of another file."""
        if newest == self._read_until:
            return False
        return newest < self._read_until or _number(connection, _OLDEST) > self._read_until + 1

    def _begin(self, connection: Connection, newest: int) -> None:
        """Begin anew, with another filter: whoever still has the old one in hand must not see it half empty."""
        limit = self._keys_max + 1
        counts = [f"(SELECT count(*) FROM (SELECT 1 FROM {part.table} LIMIT {limit}))" for part in _PARTS]  # noqa: S608
        self._are_too_many = _number(connection, f"SELECT {' + '.join(counts)}") > self._keys_max
        self.filter = None
        self._growing = None if self._are_too_many else KeyFilter()
        self._left, self._after, self._read_until = [*_PARTS], (), newest

    def _read_page(self, connection: Connection, keys: KeyFilter, room: int) -> int:
        """Read so many rows of the next table, or the rest of it; answers how many there were."""
        part = self._left[0]
        marks = ", ".join("?" for _ in self._after)
        behind = f" WHERE ({part.key}) > ({marks})" if self._after else ""
        rows: Any = connection.execute(
            f"SELECT {part.user}, {part.name}, {part.key} FROM {part.table}{behind}"  # noqa: S608 - ours
            f" ORDER BY {part.key} LIMIT ?",
            (*self._after, room),
        ).fetchall()
        for user, name, *_ in rows:
            keys.add((part.table, user, name))
        if len(rows) < room:
            self._left, self._after = self._left[1:], ()
        else:
            self._after = rows[-1][2:]
        return len(rows)


def keys_of(
    recipients: Sequence[Sequence[str]], claims: Claims, domains: Iterable[str], hasher: Hasher
) -> Iterator[_Key] | None:
    """Each key under which a grant for this letter may stand; `domains` are those that vouch for it.

    None where they are too many to be worked out, or not these alone.
    """
    named = [*(mailbox.domain for mailbox in claims.mailboxes), *claims.signers, *domains]
    if claims.is_null or len(recipients) > RECIPIENTS_MAX or any(name.count(".") >= LABELS_MAX for name in named):
        return None
    windows = {"", *(above for name in named for above in _all_above(name))}
    return _keys([user for users in recipients for user in users], claims, windows, hasher)


def _keys(users: Sequence[str], claims: Claims, windows: Iterable[str], hasher: Hasher) -> Iterator[_Key]:
    permits = claimed_names(claims)
    for user in users:
        if claims.author is not None:
            yield "correspondent", user, hasher.pair(user, claims.author.canonical)
        for _, name in permits:
            yield "permit", user, name
        for domain in windows:
            yield "expected", user, domain
        for message_id in claims.replied_to:
            yield "sent", "", hasher.pair(user, message_id)


def _all_above(domain: str) -> Iterator[str]:
    """A domain and all above it, to the last label."""
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def _number(connection: Connection, statement: str) -> int:
    rows: Any = connection.execute(statement).fetchall()
    number: int = rows[0][0]
    return number
