"""How much time has really passed: what a database forgets by, instead of by one look at a clock.

A clock that is set ahead for an hour must not cost what was to be kept for weeks. So each database has a time of its
own, the believed one, which every process that looks after it moves on by what has passed since its own last look (by a
clock that nobody can set), and at most twice as fast where it lags behind: a day is made up for in a day. Nothing is
forgotten that is not over by both, the believed time and the clock; of several machines' clocks, by the earliest. So a
clock that is wrong does no harm by itself, ahead or behind, nor does one of several; a machine that was off for three
weeks forgets what has gone meanwhile within the next three.

Used inside transactions: what one has found goes into the looker's memory only once it is committed (`Looker.keep`).
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pennyred.storage.statements import Connection

CATCHING_UP = 2
"""Seconds that the believed time goes on in a second, at most."""
JUMP_SECONDS = 300
"""A clock that has gone so much more, or less, than time has passed was set."""
UNSEEN_SECONDS = 86_400
"""So long may pass between two looks, while a machine is off, before that is worth a word."""
SILENT_SECONDS = 600.0
"""Whose look is older than that looks no more: a clock that is nobody's any more holds nobody up."""
LOOKERS_MAX = 1000

TELL = (
    "INSERT INTO passed_clock (looker, clock_at) VALUES (?, ?)"
    " ON CONFLICT (looker) DO UPDATE SET clock_at = excluded.clock_at"
)
CLOCKS = "SELECT looker, clock_at FROM passed_clock"
FORGET_LOOKER = "DELETE FROM passed_clock WHERE looker = ?"
BELIEVED = "SELECT believed_at, clock_at FROM passed_time"
BELIEVE = "UPDATE passed_time SET believed_at = ?, forget_at = ?, clock_at = ?"
"""`passed_time` has one row: the believed time, until when what is over may be forgotten, and the last look's clock."""

LATER = "(SELECT CASE WHEN {0} > believed_at THEN {0} ELSE believed_at END FROM passed_time)"
LATER_DAY = "(SELECT CASE WHEN {0} > believed_at / 86400 THEN {0} ELSE believed_at / 86400 END FROM passed_time)"
"""When to say that something was, in seconds or in days, where the clock says it with a parameter. What is written down
while a clock is behind must not be old when it is right again.
"""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a look has found; times in seconds since 1970-01-01."""

    until: int
    """What was over by then may be forgotten."""
    believed: int
    clock: int
    """This machine's."""
    earliest: int
    """Of all clocks that look."""
    jumped_seconds: int = 0
    """By how much this machine's clock was set since the last look; 0: it was not, or nobody could see."""
    unseen_seconds: int = 0
    """At a process's first look: how long nobody had looked, by the clock; below 0 where it was later then."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a process knows of its looks so far, by its clock that nobody can set."""

    looked_at: float
    clock: int
    believed: int
    others: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Their clocks as last seen, and when these were seen to go on."""


def believe(believed: int, seen: int, passed_seconds: float, clock: int) -> int:
    """The next believed time: towards `clock`, from what a process has `seen` it to be so many seconds ago.

    Several processes move it on together, none of them further than what has passed for itself allows.
    """
    if clock >= believed:
        return max(believed, min(clock, seen + int(CATCHING_UP * passed_seconds)))
    return min(believed, max(clock, seen - int(passed_seconds)))


class Looker:
    """One process that looks after one database."""

    def __init__(
        self, clock: Callable[[], int], *, monotonic: Callable[[], float] = time.monotonic, name: str = ""
    ) -> None:
        """`clock` is the time of the day in seconds, `monotonic` one that nobody can set; `name` is nobody else's."""
        self.name = name or secrets.token_hex(8)
        self.clock = clock
        self._monotonic = monotonic
        self._memory: _Memory | None = None

    def weigh(
        self, clocks: Sequence[tuple[str, int]], believed: int, last_clock: int, own: int
    ) -> tuple[Passed, _Memory, list[str]]:
        """What to believe from now on, what to `keep` then, and who looks no more.

        `clocks` are all that have looked, `own` among them, `believed` the believed time so far (0: none yet) and
        `last_clock` what the clock was at anybody's last look (0: there was none).
        """
        now, memory = self._monotonic(), self._memory
        others = self._others(clocks, now)
        gone = [name for name, (_, seen_at) in others.items() if now - seen_at > SILENT_SECONDS]
        active = [clock for name, (clock, _) in others.items() if name not in gone]
        earliest = min([own, *active])
        passed_seconds = 0.0 if memory is None else now - memory.looked_at
        seen = believed if memory is None else memory.believed
        new = believe(believed, seen, passed_seconds, earliest) if believed else earliest
        jumped = 0 if memory is None else own - memory.clock - int(passed_seconds)
        unseen = own - last_clock if memory is None and last_clock else 0
        found = Passed(
            min(new, earliest),
            new,
            own,
            earliest,
            jumped if abs(jumped) > JUMP_SECONDS else 0,
            unseen if unseen > UNSEEN_SECONDS or unseen < -JUMP_SECONDS else 0,
        )
        kept = {name: known for name, known in others.items() if name not in gone}
        return found, _Memory(now, own, new, kept), gone if len(clocks) <= LOOKERS_MAX else [*others]

    def keep(self, memory: _Memory) -> None:
        """What `weigh` has found is committed."""
        self._memory = memory

    def _others(self, clocks: Sequence[tuple[str, int]], now: float) -> dict[str, tuple[int, float]]:
        known: Mapping[str, tuple[int, float]] = {} if self._memory is None else self._memory.others
        found = {}
        for name, clock in clocks:
            if name != self.name:
                before = known.get(name)
                found[name] = before if before is not None and before[0] == clock else (clock, now)
        return found


def look(connection: Connection, looker: Looker) -> tuple[Passed, _Memory]:
    """Look, inside a transaction that writes; for SQLite, and for a gate's state in PostgreSQL."""
    own = looker.clock()
    connection.execute(TELL, (looker.name, own))
    clocks: Any = connection.execute(CLOCKS).fetchall()
    rows: Any = connection.execute(BELIEVED).fetchall()
    believed, last_clock = rows[0]
    found, memory, gone = looker.weigh(clocks, believed, last_clock, own)
    connection.executemany(FORGET_LOOKER, [(name,) for name in gone])
    connection.execute(BELIEVE, (found.believed, found.until, found.clock))
    return found, memory
