"""Letters as fast as they are taken, over so many connections at once: the load all contestants get alike."""

import gc
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .session import Session

_PATIENCE_SECONDS = 60


class Silence(Exception):  # noqa: N818 - what the contestant did
    """Nobody said anything for a minute."""


@dataclass(frozen=True, slots=True)
class Load:
    """How the letters come."""

    kib: int
    """Size of a letter."""
    is_kept: bool
    """Whether a connection brings letter after letter, or one and no more."""
    clients: int = 16

    def __str__(self) -> str:
        return f"{self.kib} KiB, {'kept' if self.is_kept else 'new'} connections"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a load."""

    letters: int
    """Delivered, each answered with yes."""
    seconds: float
    generator_cpu_ms: float
    """What the load generator itself took of the machine, in all."""

    @property
    def rate(self) -> float:
        """Letters a second."""
        return self.letters / self.seconds


def send(port: int, letters: Sequence[bytes], load: Load, seconds: float) -> Sent:
    """Send the letters, each once, until there are none left or the time is over. Raises Refused, Silence, OSError."""
    gc.collect()
    gc.disable()
    begun, cpu = time.perf_counter(), time.process_time()
    try:
        delivered = _Closed(port, iter(letters), load, begun + seconds).run()
        return Sent(delivered, time.perf_counter() - begun, 1000 * (time.process_time() - cpu))
    finally:
        gc.enable()


class _Closed:
    """A closed loop: the next letter sets out when the one before has been answered."""

    def __init__(self, port: int, letters: Iterator[bytes], load: Load, end: float) -> None:
        self._port, self._letters, self._load, self._end = port, letters, load, end
        self._epoll = select.epoll()
        self._sessions: dict[int, Session] = {}
        self._is_over = False

    def run(self) -> int:
        """Send them all; returns how many were delivered."""
        delivered = 0
        try:
            for _ in range(self._load.clients):
                self._connect()
            while self._sessions:
                events = self._epoll.poll(_PATIENCE_SECONDS)
                if not events:
                    raise Silence(f"{len(self._sessions)} connections wait for an answer")
                for fd, event in events:
                    session = self._sessions[fd]
                    was_delivered = session.attend(event)
                    delivered += was_delivered
                    if session.is_ready:
                        self._go_on(session, was_delivered)
                    elif session.is_closed:
                        del self._sessions[fd]
                        self._connect()
        finally:
            for session in self._sessions.values():
                session.close()
            self._epoll.close()
        return delivered

    def _connect(self) -> None:
        if not self._is_over:
            session = Session(self._epoll, self._port)
            self._sessions[session.fd] = session

    def _go_on(self, session: Session, was_delivered: bool) -> None:
        letter = None
        if not self._is_over and (self._load.is_kept or not was_delivered):
            letter = next(self._letters, None) if time.perf_counter() < self._end else None
            self._is_over = letter is None
        if letter is None:
            session.hang_up()
        else:
            session.give(letter)
