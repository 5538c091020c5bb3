"""Letters at a fixed rate, whether or not the one before has been answered: what a letter waits at a given load.

The time counts from when a letter ought to have set out, not from when a connection was free for it: otherwise whoever
stands still for a second is asked nothing in that second, and seems fast ("coordinated omission", Tene 2013).
"""

import gc
import math
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .load import Silence
from .session import Session

_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from when each letter was due to the answer to its dot, in order of size."""

    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """By nearest rank."""
        return self.milliseconds[max(0, math.ceil(len(self.milliseconds) * percent / 100) - 1)]


def at_a_rate(port: int, letters: Sequence[bytes], rate: float, clients: int) -> Waits:
    """Send them all over so many kept connections, so many a second. Raises Refused, Silence, OSError."""
    gc.collect()
    gc.disable()
    try:
        return _Open(port, letters, rate, clients).run()
    finally:
        gc.enable()


class _Open:
    """An open loop."""

    def __init__(self, port: int, letters: Sequence[bytes], rate: float, clients: int) -> None:
        self._letters = deque(letters)
        self._gap_seconds = 1 / rate
        self._epoll = select.epoll()
        self._sessions = {one.fd: one for one in (Session(self._epoll, port) for _ in range(clients))}
        self._free: deque[Session] = deque()
        self._waits: list[float] = []

    def run(self) -> Waits:
        wanted = len(self._letters)
        try:
            while len(self._free) < len(self._sessions):  # all have been greeted before the first letter is due
                self._listen(_PATIENCE_SECONDS)
            self._due = time.perf_counter() + self._gap_seconds
            while len(self._waits) < wanted:
                self._send_what_is_due()
                self._listen(max(0, self._due - time.perf_counter()) if self._letters else _PATIENCE_SECONDS)
        finally:
            for session in self._sessions.values():
                session.close()
            self._epoll.close()
        return Waits(tuple(sorted(self._waits)))

    def _send_what_is_due(self) -> None:
        while self._letters and self._free and time.perf_counter() >= self._due:
            session = self._free.popleft()
            session.due = self._due
            session.give(self._letters.popleft())
            self._due += self._gap_seconds

    def _listen(self, seconds: float) -> None:
        late = not self._free  # nobody is free: only an answer helps
        events = self._epoll.poll(_PATIENCE_SECONDS if late else seconds)
        if late and not events:
            raise Silence(f"{len(self._sessions)} connections wait for an answer")
        for fd, event in events:
            session = self._sessions[fd]
            if session.attend(event):
                self._waits.append(1000 * (time.perf_counter() - session.due))
            if session.is_ready and session not in self._free:
                self._free.append(session)
