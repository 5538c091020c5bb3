"""What came free today: counters by UTC day that all workers share and that survive a restart.

A counter is made only when a letter passes by it, so there are never more of them than letters let through in two days.
Keys are stored as hashes: of one size, and nobody's address.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pennyred.gate.rules.exemptions import AllowanceClaim
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.statements import Connection

DAYS_KEPT = 2
"""Today and yesterday, to which a letter begun before midnight may still give back."""
_ROWS_FORGOTTEN_MAX = 200
_KEY_BYTES = 16

_Counter = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class _Request:
    """Raise these counters of this day, or (when giving back) lower them."""

    day: int
    claims: Sequence[AllowanceClaim]
    is_taking: bool


class Allowances:
    """The counters of what came free. Raises Unavailable when the state does not answer."""

    def __init__(self, commits: GroupCommit[Connection]) -> None:
        self._commits = commits

    async def take(self, day: int, claims: Sequence[AllowanceClaim]) -> bool:
        """Count all claims if each stays within its limit, else count none and answer False.

        `day` is days since 1970-01-01 UTC; counters older than the day before are forgotten, as time passes.
        """
        return await self._commits.answer(_count, _Request(day, claims, is_taking=True), weight=len(claims))

    async def give_back(self, day: int, claims: Sequence[AllowanceClaim]) -> None:
        """Uncount what `take` counted on that day: the letter was not delivered."""
        await self._commits.answer(_count, _Request(day, claims, is_taking=False), weight=len(claims))


def _count(connection: Connection, requests: Sequence[_Request]) -> list[bool]:
    """Answer the requests one after the other. Each counter is read once and written once."""
    used = _read(connection, {counter for request in requests for counter in _counters(request)})
    before = dict(used)
    answers = [_take(used, request) if request.is_taking else _give_back(used, request) for request in requests]
    changed = [(*counter, stamps) for counter, stamps in used.items() if before.get(counter) != stamps]
    connection.executemany(
        "INSERT INTO counter (day, key, used) VALUES (?, ?, ?)"
        " ON CONFLICT (day, key) DO UPDATE SET used = excluded.used",
        changed,
    )
    _forget(connection)
    return answers


def _take(used: dict[_Counter, int], request: _Request) -> bool:
    raised: dict[_Counter, int] = {}
    for counter, claim in zip(_counters(request), request.claims, strict=True):
        # Two claims of one request may name the same counter, so the earlier is seen by the later.
        raised[counter] = raised.get(counter, used.get(counter, 0)) + claim.count
        if raised[counter] > claim.limit:
            return False
    used.update(raised)
    return True


def _give_back(used: dict[_Counter, int], request: _Request) -> bool:
    for counter, claim in zip(_counters(request), request.claims, strict=True):
        if counter in used:  # else its day is forgotten
            used[counter] = max(0, used[counter] - claim.count)
    return True


def _counters(request: _Request) -> list[_Counter]:
    """The counters of a request's claims, in order."""
    return [(request.day, hashlib.sha256(claim.key.encode()).digest()[:_KEY_BYTES]) for claim in request.claims]


def _read(connection: Connection, counters: Iterable[_Counter]) -> dict[_Counter, int]:
    rows = connection.executemany("SELECT day, key, used FROM counter WHERE day = ? AND key = ?", list(counters))
    return {(day, key): used for day, key, used in rows}


def _forget(connection: Connection) -> None:
    """Delete old counters, in pieces."""
    connection.execute(
        "DELETE FROM counter WHERE (day, key) IN (SELECT day, key FROM counter"
        " WHERE day <= (SELECT forget_at / 86400 FROM passed_time) - ? LIMIT ?)",
        (DAYS_KEPT, _ROWS_FORGOTTEN_MAX),
    )
