"""Runs what the settings enable, in one process or several, until SIGTERM; SIGHUP rereads the settings.

One worker is this process itself. With more, a supervisor forks them: each has a gate of its own on the same addresses
(SO_REUSEPORT, or the sockets that systemd passed), all share the ledger and the state, and the first has the office's
HTTP API.
"""

import asyncio
import faulthandler
import gc
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import uvloop

from pennyred.config import BadSettings, Settings, read_settings
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.programs.activation import PassedSockets, addresses
from pennyred.programs.board import Board
from pennyred.programs.chores import Chores, cancelled
from pennyred.programs.descriptors import allow_descriptors
from pennyred.programs.gatework import GateWork
from pennyred.programs.herald import Herald
from pennyred.programs.log import make_log
from pennyred.programs.notify import ServiceManager
from pennyred.programs.office import clock, open_office
from pennyred.programs.pulse import Pulse
from pennyred.programs.supervisor import EX_SETTINGS, Supervisor
from pennyred.services.office import Office
from pennyred.smtp.server import listening_socket, require_free
from pennyred.smtp.tally import Tally, WorkerTally
from pennyred.web.server import ApiServer

SWEEP_PAUSE_SECONDS = 60.0
EX_TEMPFAIL = 75


def serve(settings: Settings, workers: int | None = None) -> int:
    """Serve until stopped; the exit status. `workers` goes before the setting."""
    if settings.gate is not None and workers is not None:
        settings = msgspec.structs.replace(settings, gate=msgspec.structs.replace(settings.gate, workers=workers))
    count = settings.gate.workers if settings.gate else 1
    try:
        passed = PassedSockets.from_environment(os.environ)
        if settings.gate is not None and not passed.gate:
            require_free(settings.gate.listen)
        if settings.gate is not None and settings.gate.outgoing is not None:
            require_free(settings.gate.outgoing.listen)
    except (OSError, ValueError) as error:
        make_log().error("cannot serve", error=str(error))
        return EX_SETTINGS
    board = Board(count)
    herald = Herald(board, ServiceManager.from_environment(os.environ))
    tally = Tally(count, settings.gate.max_connections if settings.gate else 1)
    if count == 1:
        return _work(settings, Pulse(board.line(0), herald.pulse_seconds, herald), tally, 0, None, passed)

    def work(number: int, life: int) -> int:
        return _work(settings, Pulse(board.line(number), herald.pulse_seconds), tally, number, life, passed)

    return Supervisor(count, work, board, herald, make_log(), forget=tally.clear).run()


def _work(settings: Settings, pulse: Pulse, tally: Tally, number: int, life: int | None, passed: PassedSockets) -> int:
    log = make_log()
    if settings.gate is not None:
        allow_descriptors(settings.gate, log)
    faulthandler.enable()  # a watchdog's SIGABRT leaves the place where the loop hung in the log
    _collect_seldom()
    try:
        return uvloop.run(Worker(settings, number, log, pulse, tally.of(number), passed).run(life))
    except Unavailable as error:
        log.error("cannot serve", error=str(error))
        return EX_TEMPFAIL
    except (PennyRedError, OSError, ValueError) as error:
        log.error("cannot serve", error=str(error))
        return EX_SETTINGS


def _collect_seldom() -> None:
    """What is loaded by now stays; and a letter makes hundreds of objects but no cycles, so that looking for some after
    every 700 objects, as Python does, is a twentieth of all work for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Worker:
    """One process: its gate, its share of the office, and what runs beside them."""

    def __init__(
        self, settings: Settings, number: int, log: Any, pulse: Pulse, tally: WorkerTally, passed: PassedSockets
    ) -> None:
        self._passed = passed
        self._settings = settings
        self._number = number
        self._log = log
        self._pulse = pulse
        self._stop = asyncio.Event()
        self._chores = Chores(log)
        self._gate = GateWork(settings.gate, log, tally, self._chores) if settings.gate is not None else None
        self._office: Office | None = None

    async def run(self, life: int | None) -> int:
        """Serve until told to stop; `life` is a descriptor that ends when the supervisor does."""
        loop = asyncio.get_running_loop()
        if life is None:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, self._stop_once_or_now)
        else:  # the supervisor counts; it may not be the only one to signal this worker
            loop.add_signal_handler(signal.SIGTERM, self._stop.set)
            loop.add_reader(life, self._stop.set)
        loop.add_signal_handler(signal.SIGQUIT, self._stop_now)
        loop.add_signal_handler(signal.SIGHUP, self._reread)
        async with AsyncExitStack() as parts:
            # First started, last ended: the loop turns while letters in hand are finished, too.
            parts.push_async_callback(cancelled, asyncio.create_task(self._pulse.beat(self._in_hand)))
            await self._start(parts)
            if self._pulse.is_behind:
                self._reread()
            self._pulse.serving()
            self._log.info("serving", worker=self._number, **self._addresses())
            await self._stop.wait()
            self._pulse.stopping()
            self._log.info("stopping", worker=self._number)
        self._log.info("stopped", worker=self._number)
        return 0

    async def _start(self, parts: AsyncExitStack) -> None:
        """Start from the inside out; the stack ends them the other way round."""
        office: Office | None = None
        if self._settings.office is not None:
            office = self._office = await parts.enter_async_context(open_office(self._settings.office))
            self._chores.begin(parts, "sweep", lambda: self._sweep(office))
            if self._number == 0:
                listeners = self._passed.office or (listening_socket(*self._settings.office.listen),)
                api = ApiServer(office, listeners[0], self._log)
                await api.start()
                parts.push_async_callback(api.stop)
        if self._gate is not None and office is not None:
            await self._gate.start(parts, office, self._passed)

    def _stop_once_or_now(self) -> None:
        if self._stop.is_set():
            self._stop_now()
        self._stop.set()

    def _stop_now(self) -> None:
        """Break off the letters in hand: none is lost, but one that the mail server has already may come twice."""
        self._stop.set()
        if self._gate is not None:
            self._gate.hurry()

    async def _sweep(self, office: Office) -> None:
        """Let the ledger forget what is over; when it does not answer, next time."""
        while True:
            try:
                report = await office.ledger.sweep(now=clock())
            except Unavailable as error:
                self._log.warning("sweep failed", error=str(error))
            else:
                if report.voided or report.settled or report.dropped_days:
                    self._log.info("swept", voided=report.voided, settled=report.settled, days=report.dropped_days)
                if report.is_more:
                    continue
            await asyncio.sleep(SWEEP_PAUSE_SECONDS)

    def _reread(self) -> None:
        """SIGHUP: rules, keys and certificates anew; addresses, databases and limits stay until the next start."""
        self._pulse.rereading()
        is_refused = False
        try:
            settings = read_settings(self._settings.file)
            if self._office is not None:
                self._office.keys.reload()
            if settings.gate is not None and self._gate is not None:
                self._gate.reread(settings.gate)
        except (BadSettings, PennyRedError, OSError, ValueError) as error:
            is_refused = True
            self._log.error("settings not reread; the old ones stay", error=str(error))
        else:
            self._log.info("settings reread", worker=self._number)
        self._pulse.reread(is_refused=is_refused)

    def _in_hand(self) -> tuple[int, int]:
        return (0, 0) if self._gate is None else self._gate.in_hand()

    def _addresses(self) -> dict[str, Any]:
        office, passed = self._settings.office, self._passed
        at_office = (
            addresses(passed.office) or ["{}:{}".format(*office.listen)] if office and self._number == 0 else [""]
        )
        at_gate = {"gate": [], "mode": ""} if self._gate is None else self._gate.addresses(passed)
        return {**at_gate, "office": at_office[0]}
