"""Several worker processes: started, watched, replaced when one dies, and told to stop or to reread the settings.

Workers are forked before any event loop or database exists in the parent, which only waits. A worker whose parent has
gone (SIGKILL included) notices by a pipe, so that none is left behind.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

WORKERS_MAX = 64
EX_SETTINGS = 2
"""A worker that ends so cannot be started with these settings."""
RESTART_PAUSE_SECONDS = 1.0
"""Before a dead worker is replaced: one that dies at once must not fill the machine with dying ones."""

Work = Callable[[int, int], int]
"""Runs one worker: its number (0 and up) and the file descriptor that ends with the parent; returns the exit status."""


class Supervisor:
    """Keeps `count` workers running until SIGTERM or SIGINT; SIGHUP is passed on."""

    def __init__(self, count: int, work: Work) -> None:
        if not 1 <= count <= WORKERS_MAX:
            raise ValueError(f"workers: expected 1 to {WORKERS_MAX}, got {count}")
        self._count = count
        self._work = work
        self._workers: dict[int, int] = {}
        """Process id to worker number."""
        self._is_stopping = False
        self._life, self._parent_end = os.pipe()

    def run(self) -> int:
        """Start the workers and wait; returns the exit status of the first that did not end well, else 0."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        for number in range(self._count):
            self._start(number)
        worst = 0
        while self._workers:
            pid, status = os.wait()
            number = self._workers.pop(pid, -1)
            if number < 0:
                continue
            exit_status = os.waitstatus_to_exitcode(status)
            if self._is_stopping:
                # One that was stopped before it could listen for signals ended as it should, too.
                worst = worst or (0 if exit_status == -signal.SIGTERM else abs(exit_status))
            elif exit_status == EX_SETTINGS:  # starting it again would change nothing
                worst = EX_SETTINGS
                self._stop(signal.SIGTERM, None)
            else:
                time.sleep(RESTART_PAUSE_SECONDS)
                self._start(number)
        return worst

    def _start(self, number: int) -> None:
        # Signals wait until the child is on the list, else a stop in between would miss it. Those that came before are
        # handled by now.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if self._is_stopping:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(self._parent_end)
                for signum in _SIGNALS:
                    signal.signal(signum, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                status = self._work(number, self._life)
            finally:
                os._exit(status)
        self._workers[pid] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _stop(self, _signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        self._pass_on(signal.SIGTERM, frame)

    def _pass_on(self, signum: int, _frame: FrameType | None) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):  # it has just died, and `run` has yet to hear of it
                os.kill(pid, signum)


_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
