"""How much time has really passed: a database forgets old rows by this, not by a single look at a clock.

A clock that is an hour wrong must not delete rows that were to be kept for weeks. So each database has its own time,
the believed time. Every process that looks after the database moves it on by the time since its own last look, measured
by a clock that nobody can set. If the believed time lags behind, it moves at most twice as fast: it catches up a day in
a day. A row is forgotten only if it is over by both the believed time and the clock; with several machines, by the
earliest clock. So one wrong clock, ahead or behind, does no harm. A machine that was off for three weeks forgets the
rows of that time within the next three weeks.

It is used inside transactions: what a look has found is remembered only after the commit (`Looker.keep`).
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pennyred.days import DAY_SECONDS
from pennyred.storage.statements import Connection

CATCHING_UP = 2
"""How many seconds the believed time moves in one second, at most."""
JUMP_SECONDS = 300
"""If a clock has moved so much more, or less, than the time that passed, it was set."""
UNSEEN_SECONDS = DAY_SECONDS
"""How long a database may be without any look, for example while a machine is off, before it is reported."""
SILENT_SECONDS = 600.0
"""After how long without a look a process counts as gone, so that its last clock does not hold up the others."""
LOOKERS_MAX = 1000

TELL = (
    "INSERT INTO passed_clock (looker, clock_at) VALUES (?, ?)"
    " ON CONFLICT (looker) DO UPDATE SET clock_at = excluded.clock_at"
)
CLOCKS = "SELECT looker, clock_at FROM passed_clock"
FORGET_LOOKER = "DELETE FROM passed_clock WHERE looker = ?"
BELIEVED = "SELECT believed_at, clock_at FROM passed_time"
BELIEVE = "UPDATE passed_time SET believed_at = ?, forget_at = ?, clock_at = ?"
"""`passed_time` has one row: the believed time, the time up to which rows may be forgotten, and the last look's clock.
"""

LATER = "(SELECT CASE WHEN {0} > believed_at THEN {0} ELSE believed_at END FROM passed_time)"
LATER_DAY = "(SELECT CASE WHEN {0} > believed_at / 86400 THEN {0} ELSE believed_at / 86400 END FROM passed_time)"
"""SQL for the time to store, in seconds or in days; the parameter is the clock's. It is the later of clock and believed
time: what is written while a clock is behind must not be too old when the clock is right again.
"""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a look has found; times are in seconds since 1970-01-01."""

    until: int
    """What was over by this time may be forgotten."""
    believed: int
    clock: int
    """This machine's clock."""
    earliest: int
    """The earliest clock of all machines that look."""
    jumped_seconds: int = 0
    """By how much this machine's clock was set since the last look; 0 if it was not, or if that is not known."""
    unseen_seconds: int = 0
    """At a process's first look: how long nobody had looked, by the clock; negative if the clock was later then."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a process remembers of its last look; `looked_at` is by the clock that nobody can set."""

    looked_at: float
    clock: int
    believed: int
    others: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """For each other process, its clock as last seen, and when that was last seen to move."""


def believe(believed: int, seen: int, passed_seconds: float, clock: int) -> int:
    """The next believed time: `believed` moved towards `clock`.

    `seen` is what it was at this process's last look, `passed_seconds` ago. Several processes move it on together; none
    moves it further than its own passed time allows.
    """
    if clock >= believed:
        return max(believed, min(clock, seen + int(CATCHING_UP * passed_seconds)))
    return min(believed, max(clock, seen - int(passed_seconds)))


class Looker:
    """One process that looks after one database; it remembers its last look."""

    def __init__(
        self, clock: Callable[[], int], *, monotonic: Callable[[], float] = time.monotonic, name: str = ""
    ) -> None:
        """`clock` gives seconds since 1970 UTC, `monotonic` is a clock that nobody can set; `name` must be unique."""
        self.name = name or secrets.token_hex(8)
        self.clock = clock
        self.monotonic = monotonic
        self._memory: _Memory | None = None

    def weigh(
        self, clocks: Sequence[tuple[str, int]], believed: int, last_clock: int, own: int
    ) -> tuple[Passed, _Memory, list[str]]:
        """Decide what to believe now; returns that, the memory for `keep`, and the names of processes that are gone.

        `clocks` are the last clocks of all processes that look, also our own; `own` is our clock now. `believed` is the
        believed time so far (0 if there is none), `last_clock` the clock at anybody's last look (0 if there was none).
        """
        now, memory = self.monotonic(), self._memory
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
        """Remember what `weigh` has found; call it after the commit."""
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
    """Make one look inside a transaction that writes; returns what was found, and the memory for `Looker.keep`.

    It is for SQLite, and for a gate's state in PostgreSQL.
    """
    own = looker.clock()
    connection.execute(TELL, (looker.name, own))
    clocks: Any = connection.execute(CLOCKS).fetchall()
    rows: Any = connection.execute(BELIEVED).fetchall()
    believed, last_clock = rows[0]
    found, memory, gone = looker.weigh(clocks, believed, last_clock, own)
    connection.executemany(FORGET_LOOKER, [(name,) for name in gone])
    connection.execute(BELIEVE, (found.believed, found.until, found.clock))
    return found, memory
