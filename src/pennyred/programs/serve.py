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
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import msgspec
import uvloop

from pennyred.config import BadSettings, Settings, read_settings
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.programs.activation import PassedSockets, addresses
from pennyred.programs.board import Board
from pennyred.programs.descriptors import allow_descriptors
from pennyred.programs.gate import build_desk, build_door, gate_options, gate_policy, listen, tls_context
from pennyred.programs.herald import Herald
from pennyred.programs.log import make_log
from pennyred.programs.notify import ServiceManager
from pennyred.programs.office import clock, open_office
from pennyred.programs.pulse import Pulse
from pennyred.programs.supervisor import EX_SETTINGS, Supervisor
from pennyred.services.debts import PatientOutbox
from pennyred.services.gate import Desk
from pennyred.services.gatelog import LetterLog
from pennyred.services.office import Office
from pennyred.services.settling import pump_outbox
from pennyred.smtp.server import GateServer, listening_socket, require_free
from pennyred.smtp.tally import Tally, WorkerTally
from pennyred.state.store import GateState
from pennyred.web.server import ApiServer

OUTBOX_PAUSE_SECONDS = 1.0
SWEEP_PAUSE_SECONDS = 60.0
BROKEN_PAUSE_SECONDS = 60.0
"""Before work that runs beside the mail is begun again after a mistake of ours."""
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
        self._tally = tally
        self._stop = asyncio.Event()
        self._desk: Desk | None = None
        self._door: GateServer | None = None
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
            parts.push_async_callback(_cancel, asyncio.create_task(self._pulse.beat(self._in_hand)))
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
            sweeping = asyncio.create_task(self.keep_at("sweep", lambda: self._sweep(office)))
            parts.push_async_callback(_cancel, sweeping)
            if self._number == 0:
                listeners = self._passed.office or (listening_socket(*self._settings.office.listen),)
                api = ApiServer(office, listeners[0], self._log)
                await api.start()
                parts.push_async_callback(api.stop)
        if self._settings.gate is not None and office is not None:
            await self._start_gate(parts, office)

    async def _start_gate(self, parts: AsyncExitStack, office: Office) -> None:
        gate = self._settings.gate
        assert gate is not None
        state = GateState.open(gate.state, now=clock())
        parts.push_async_callback(state.close)
        letters = LetterLog(self._log)
        outbox = PatientOutbox(state.outbox, letters)
        parts.push_async_callback(outbox.close)
        redeemer = office.local_redeemer(gate.domains)
        policy = gate_policy(gate, {office.issuer: office.keys.public_keys})
        self._desk = build_desk(policy, redeemer, state, outbox, letters, self._tally)
        pumping = asyncio.create_task(
            self.keep_at("outbox", lambda: pump_outbox(redeemer, outbox, letters, pause_seconds=OUTBOX_PAUSE_SECONDS))
        )
        parts.push_async_callback(_cancel, pumping)
        self._door = door = build_door(gate, self._desk, self._log, self._tally)
        await door.start(self._passed.gate or listen(gate))
        # A letter whose final dot is out may take the mail server's whole time to be answered.
        parts.push_async_callback(door.stop, gate.stop_timeout_seconds)

    def _stop_once_or_now(self) -> None:
        if self._stop.is_set():
            self._stop_now()
        self._stop.set()

    def _stop_now(self) -> None:
        """Break off the letters in hand: none is lost, but one that the mail server has already may come twice."""
        self._stop.set()
        if self._door is not None:
            self._door.hurry()

    async def keep_at(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do work that should never end. A mistake of ours in it is written down and it is begun again after a pause:
        mail goes on without it, but nobody would miss it before holds and settlements had piled up.
        """
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end unseen
                self._log.error("broken off", work=what, exc_info=error)
            await asyncio.sleep(BROKEN_PAUSE_SECONDS)

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
            if settings.gate is not None and self._desk is not None and self._door is not None:
                running = self._desk.policy
                policy, tls = gate_policy(settings.gate, running.issuers), tls_context(settings.gate)
                # The time the mail server is given stays, so the lease must: a shorter one would end while it answers.
                self._desk.policy = replace(
                    policy,
                    lease_seconds=running.lease_seconds,
                    upstream_timeout_seconds=running.upstream_timeout_seconds,
                )
                self._door.replace_rules(gate_options(settings.gate))
                self._door.replace_tls(tls)
        except (BadSettings, PennyRedError, OSError, ValueError) as error:
            is_refused = True
            self._log.error("settings not reread; the old ones stay", error=str(error))
        else:
            self._log.info("settings reread", worker=self._number)
        self._pulse.reread(is_refused=is_refused)

    def _in_hand(self) -> tuple[int, int]:
        door = self._door
        return (0, 0) if door is None else (door.sessions, door.letters)

    def _addresses(self) -> dict[str, Any]:
        gate, office, passed = self._settings.gate, self._settings.office, self._passed
        at_gate = addresses(passed.gate) or [f"{host}:{port}" for host, port in gate.listen] if gate else []
        at_office = (
            addresses(passed.office) or ["{}:{}".format(*office.listen)] if office and self._number == 0 else [""]
        )
        return {"gate": at_gate, "office": at_office[0], "mode": gate.mode if gate else ""}


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
