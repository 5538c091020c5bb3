"""Tells the service manager what is on the board, at the moments when it waits for it."""

import time

from pennyred.programs.systemd.notify import ServiceManager
from pennyred.programs.workers.board import Board

PULSE_SECONDS = 1.0
"""How often a worker writes a sign of life, and how often the board is read."""
_PULSES_WITHIN_WATCHDOG = 4
_IMPATIENT_SECONDS = 0.05
"""How often the board is read while the service manager waits for an answer."""


class Herald:
    """The one herald of the service, in the process that the service manager has started."""

    def __init__(self, board: Board, manager: ServiceManager) -> None:
        self._board = board
        self._manager = manager
        self._has_been_complete = False
        self._is_stopping = False
        self._is_reloading = False
        self._status = ""
        self._watchdog_at = 0.0

    @property
    def watchdog_seconds(self) -> float | None:
        """How long an event loop may hang; None if there is no watchdog."""
        return self._manager.watchdog_seconds

    @property
    def pulse_seconds(self) -> float:
        """How often each worker should write a sign of life."""
        return min(PULSE_SECONDS, (self.watchdog_seconds or PULSE_SECONDS) / _PULSES_WITHIN_WATCHDOG)

    @property
    def patience_seconds(self) -> float:
        """How many seconds until `look` should be called again."""
        is_awaited = self._is_reloading or not self._has_been_complete
        return min(self.pulse_seconds, _IMPATIENT_SECONDS) if is_awaited else self.pulse_seconds

    @property
    def has_been_complete(self) -> bool:
        """Whether all workers have served at the same time at least once."""
        return self._has_been_complete

    def reloading(self) -> None:
        """Say that a reload begins; READY follows when all workers are done (systemd.service(5), notify-reload)."""
        self._board.ask_to_reread()
        self._is_reloading = True
        self._manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is stopping: letters in hand are finished, and no client is let in."""
        if not self._is_stopping:
            self._is_stopping = True
            self._manager.tell("STOPPING=1")

    def look(self, *, is_starting: bool = False) -> None:
        """Tell what is new. `is_starting`: a worker is being replaced, so no event loop need turn now."""
        news = []
        if not self._has_been_complete and self._board.is_complete:
            self._has_been_complete = True
            news.append("READY=1")
        if self._is_reloading and self._has_been_complete and self._board.has_reread:
            self._is_reloading = False
            news.append("READY=1")
        if (status := self._board.status()) != self._status:
            self._status = status
            news.append(f"STATUS={status}")
        if self._is_watchdog_due(is_starting):
            news.append("WATCHDOG=1")
        if news:
            self._manager.tell(*news)

    def _is_watchdog_due(self, is_starting: bool) -> bool:
        """Whether to tell the watchdog: at half of its time, if a loop turns. A hanging loop is no service."""
        limit = self.watchdog_seconds
        now = time.monotonic()
        if limit is None or now < self._watchdog_at or not (is_starting or self._board.is_turning(limit / 2)):
            return False
        self._watchdog_at = now + limit / 2 - self.pulse_seconds / 2
        return True
