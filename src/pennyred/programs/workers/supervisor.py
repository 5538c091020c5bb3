"""Starts worker processes, watches them, replaces those that die or hang, and passes on stop and reload.

Workers are forked while the parent has no event loop and no database; it only waits. If the parent ends, even by
SIGKILL, its workers notice by a pipe and end too.

Where the workers share a ledger in a file, one more process has it. It is started before them and ends after them, so
that their last letters are settled.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pennyred.programs.systemd.herald import Herald
from pennyred.programs.workers.board import Board
from pennyred.programs.workers.wakeup import Signals

WORKERS_MAX = 64
EX_SETTINGS = 2
"""The exit status of a worker that cannot start with these settings."""
RESTART_PAUSE_SECONDS = 1.0
"""The pause before a dead worker is replaced. It doubles each time a worker dies soon after its start."""
RESTART_PAUSE_SECONDS_MAX = 60.0
YOUNG_SECONDS = 60.0
LEDGER_PAUSE_SECONDS = 0.02
"""The pause before a dead ledger process is replaced: all workers wait for it, and it starts quickly."""
LEDGER_YOUNG_SECONDS = 1.0
STOPS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
"""The signals to workers at the first, second and third request to stop: finish letters, stop now, end."""

Work = Callable[[int, int], int]
"""Runs a worker, given its number (from 0) and a pipe that closes when the parent ends; returns the exit status."""
LedgerWork = Callable[[frozenset[int], int], int]
"""Runs the ledger's process, given the numbers of the workers that run already, and that pipe."""


@dataclass(slots=True)
class _Worker:
    """A worker process that runs."""

    number: int
    started_at: float
    is_told_to_die: bool = False


class Supervisor:
    """Keeps one worker running for each line of the board, until SIGTERM or SIGINT. It passes SIGHUP on."""

    def __init__(
        self,
        count: int,
        work: Work,
        board: Board,
        herald: Herald,
        log: Any,
        forget: Callable[[int], None] = lambda _: None,
        ledger: LedgerWork | None = None,
    ) -> None:
        """`forget` is called with the number of each worker that has died. The number of the ledger's process, where
        there is one, is `count`.
        """
        if not 1 <= count <= WORKERS_MAX:
            raise ValueError(f"workers: expected 1 to {WORKERS_MAX}, got {count}")
        self._work = work
        self._board = board
        self._herald = herald
        self._log = log
        self._forget = forget
        self._workers: dict[int, _Worker] = {}
        """The running workers, by process id."""
        self._ledger = ledger
        self._ledger_number = count if ledger is not None else -1
        numbers = [*range(count), *([count] if ledger is not None else [])]
        self._due = dict.fromkeys(numbers, 0.0)
        """When to start each process that does not run, by its number (monotonic clock, seconds)."""
        self._young_deaths = dict.fromkeys(numbers, 0)
        self._stops = 0
        """How many requests to stop have come."""
        self._worst = 0
        self._is_ledger_told = False
        """Whether the ledger's process was told to stop."""
        self._life, self._parent_end = os.pipe()

    def run(self) -> int:
        """Start the workers and wait. Returns the exit status of the first that failed, else 0."""
        self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
        while self._workers or self._due:
            self._start_those_due()
            for signum in self._signals.wait(self._patience_seconds()):
                self._heed(signum)
            self._bury()
            self._stop_ledger_last()
            self._end_those_that_hang()
            self._herald.look(is_starting=bool(self._due))
        return self._worst

    def _patience_seconds(self) -> float:
        """How many seconds to wait for a signal before there is something else to do."""
        return min(self._herald.patience_seconds, min(self._due.values(), default=float("inf")) - time.monotonic())

    def _heed(self, signum: int) -> None:
        if signum in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif signum == signal.SIGHUP:
            self._herald.reloading()
            self._tell_workers(signal.SIGHUP)

    def _stop(self) -> None:
        """Begin to stop, or hurry. The ledger's process goes on, and is started again, as long as there are workers."""
        self._due = {number: at for number, at in self._due.items() if number == self._ledger_number}
        self._herald.stopping()
        self._tell_workers(STOPS[min(self._stops, len(STOPS) - 1)])
        self._stops += 1
        if self._is_ledger_told:
            self._tell(self._ledger_pid, signal.SIGKILL)

    def _stop_ledger_last(self) -> None:
        """Where the service stops and no worker is left, tell the ledger's process."""
        if not self._stops or self._is_ledger_told or self._numbers() - {self._ledger_number}:
            return
        self._due.clear()
        if self._workers:
            self._is_ledger_told = True
            self._tell(self._ledger_pid, signal.SIGTERM)

    def _numbers(self) -> frozenset[int]:
        """The numbers of the processes that run."""
        return frozenset(one.number for one in self._workers.values())

    @property
    def _ledger_pid(self) -> int | None:
        return next((pid for pid, one in self._workers.items() if one.number == self._ledger_number), None)

    def _tell_workers(self, signum: int) -> None:
        for pid, worker in self._workers.items():
            if worker.number != self._ledger_number:
                self._tell(pid, signum)

    def _tell(self, pid: int | None, signum: int) -> None:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def _start_those_due(self) -> None:
        """Start them, the ledger's process first."""
        now = time.monotonic()
        due = [number for number, due_at in self._due.items() if due_at <= now]
        for number in sorted(due, key=lambda number: number != self._ledger_number):
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        self._board.clear(number)
        others = self._numbers()
        pid = self._signals.fork()
        if pid == 0:
            status = 1
            try:
                os.close(self._parent_end)
                # Control-C goes to all processes of a terminal: only the supervisor acts on it. A SIGHUP that comes
                # before the worker can handle it is on the board.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                self._signals.unblock()
                if number == self._ledger_number and self._ledger is not None:
                    status = self._ledger(others, self._life)
                else:
                    status = self._work(number, self._life)
            finally:
                os._exit(status)
        self._workers[pid] = _Worker(number, time.monotonic())

    def _bury(self) -> None:
        """Collect the workers that have died, and decide when to replace each."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._replace(pid, worker, os.waitstatus_to_exitcode(status))

    def _replace(self, pid: int, worker: _Worker, exit_status: int) -> None:
        number = worker.number
        self._board.clear(number)
        self._forget(number)
        is_ledger = number == self._ledger_number
        if self._stops and not (is_ledger and self._workers):
            # A worker that was stopped before it could handle signals has ended well too.
            self._worst = self._worst or (0 if exit_status == -signal.SIGTERM else abs(exit_status))
            return
        facts: dict[str, Any] = {"worker": self._name(number), "pid": pid, "status": exit_status}
        if exit_status == EX_SETTINGS and not self._herald.has_been_complete:  # to start it again would change nothing
            self._log.error("worker.died", **facts)
            self._worst = EX_SETTINGS
            self._stop()
            return
        now = time.monotonic()
        young_seconds = LEDGER_YOUNG_SECONDS if is_ledger else YOUNG_SECONDS
        self._young_deaths[number] = self._young_deaths[number] + 1 if now - worker.started_at < young_seconds else 0
        doublings = max(0, self._young_deaths[number] - 1)
        first_pause = LEDGER_PAUSE_SECONDS if is_ledger else RESTART_PAUSE_SECONDS
        pause = min(RESTART_PAUSE_SECONDS_MAX, first_pause * 2 ** min(doublings, 16))
        self._due[number] = now + pause
        self._log.error("worker.died", again_in_seconds=pause, **facts)

    def _name(self, number: int) -> int | str:
        return "ledger" if number == self._ledger_number else number

    def _end_those_that_hang(self) -> None:
        """End workers that hang: by SIGABRT, which logs where they hang, then by SIGKILL if that has no effect."""
        limit = self._herald.watchdog_seconds
        if limit is None:
            return
        now = time.monotonic()
        for pid, worker in self._workers.items():
            hung_seconds = now - max(worker.started_at, self._board.last_beat(worker.number))
            if hung_seconds > limit and not worker.is_told_to_die:
                worker.is_told_to_die = True
                seconds = round(hung_seconds, 1)
                self._log.error("worker.hangs", worker=self._name(worker.number), pid=pid, seconds=seconds)
                os.kill(pid, signal.SIGABRT)
            elif hung_seconds > 2 * limit:
                os.kill(pid, signal.SIGKILL)
