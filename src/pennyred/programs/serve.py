"""Runs what the settings enable, in one process or several, until SIGTERM; SIGHUP rereads the settings.

A single worker is this process itself. If there are more, a supervisor forks them. Each has its own gate on the same
addresses (SO_REUSEPORT, or sockets from systemd) and serves the office's HTTP API. All share the ledger and the state.
"""

import asyncio
import faulthandler
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from pennyred.config import BadSettings, GateSettings, Settings
from pennyred.failures import place_name, told
from pennyred.gate.door.server import listening_socket, require_free
from pennyred.gate.pages import watching
from pennyred.http.admission import Room
from pennyred.http.server import Reach, WebServer
from pennyred.metrics.sheet import Page
from pennyred.office.office import Office
from pennyred.postage.errors import PennyRedError, Unavailable
from pennyred.programs.descriptors import WATCHERS_MAX, WATCHERS_PER_NETWORK_MAX, allow_descriptors
from pennyred.programs.gate_worker import GateWork
from pennyred.programs.ledger.ownership import Ownership
from pennyred.programs.ledger.process import LedgerProcess
from pennyred.programs.log import make_log
from pennyred.programs.office_worker import OfficeWork
from pennyred.programs.rereading import Started
from pennyred.programs.systemd.activation import PassedSockets, addresses
from pennyred.programs.systemd.herald import Herald
from pennyred.programs.systemd.notify import ServiceManager
from pennyred.programs.workers.board import Board
from pennyred.programs.workers.chores import Chores, cancelled
from pennyred.programs.workers.pulse import Pulse
from pennyred.programs.workers.supervisor import EX_SETTINGS, LedgerWork, Supervisor
from pennyred.programs.workers.tallies import Tallies
from pennyred.programs.workers.watch import Watch, make_sheet

EX_TEMPFAIL = 75


def serve(settings: Settings, workers: int | None = None) -> int:
    """Serve until stopped; returns the exit status. `workers`, if given, replaces the setting."""
    started = Started(settings, workers)
    settings = started.settings
    count = settings.gate.workers if settings.gate else settings.office.workers if settings.office else 1
    try:
        passed = _passed(settings, count)
        ownership = Ownership.take(settings.office)
    except Unavailable as error:
        make_log().error("service.cannot_serve", error=str(error))
        return EX_TEMPFAIL
    except (OSError, ValueError) as error:
        make_log().error("service.cannot_serve", error=told(error))
        return EX_SETTINGS
    try:
        return _serve(started, count, passed, ownership)
    finally:
        if ownership is not None:
            ownership.end()


def _serve(started: Started, count: int, passed: PassedSockets, ownership: Ownership | None) -> int:
    settings = started.settings
    board = Board(count)
    herald = Herald(board, ServiceManager.from_environment(os.environ))
    tallies = Tallies.of(settings, count)
    sheet = make_sheet(settings, count, has_ledger=count > 1 and ownership is not None)
    if count == 1:
        pulse = Pulse(board.line(0), herald.pulse_seconds, herald)
        return _work(started, pulse, tallies, Watch(sheet, 0, board), 0, None, passed, ownership)

    def work(number: int, life: int) -> int:
        if ownership is not None:
            ownership.leave()
        watch = Watch(sheet, number, board)
        return _work(started, Pulse(board.line(number), herald.pulse_seconds), tallies, watch, number, life, passed)

    def forget(number: int) -> None:
        if number < count:
            tallies.clear(number)
        sheet.forget(number)

    keep_books = None
    if ownership is not None:
        keep_books = _bookkeeper(ownership, Pulse(board.line(count), herald.pulse_seconds), sheet.page(count))
    return Supervisor(count, work, board, herald, make_log(), forget=forget, ledger=keep_books).run()


def _passed(settings: Settings, count: int) -> PassedSockets:
    """The sockets from systemd. Raises OSError, ValueError where so many workers cannot serve with these settings."""
    if settings.gate is not None and settings.gate.upstream_connections < count:  # from the file, or from --workers
        few = f"fewer than there are workers, expected at least {count}"
        raise ValueError(f"gate.upstream_connections: {few}")
    passed = PassedSockets.from_environment(os.environ)
    if settings.gate is not None and not passed.gate:
        require_free(settings.gate.listen)
    if settings.gate is not None and settings.gate.outgoing is not None:
        require_free(settings.gate.outgoing.listen)
    if settings.office is not None and not passed.office:
        require_free([settings.office.listen])
    return passed


def _bookkeeper(ownership: Ownership, pulse: Pulse, page: Page) -> LedgerWork:
    """Runs the process that has the ledger's file."""

    def keep_books(others: frozenset[int], life: int) -> int:
        return _run(lambda: LedgerProcess(ownership, make_log(), pulse, page, others).run(life))

    return keep_books


def _work(
    started: Started,
    pulse: Pulse,
    tallies: Tallies,
    watch: Watch,
    number: int,
    life: int | None,
    passed: PassedSockets,
    ownership: Ownership | None = None,
) -> int:
    log = make_log()
    http_max = allow_descriptors(started.settings, log)
    return _run(lambda: Worker(started, number, log, pulse, tallies, watch, passed, http_max, ownership).run(life))


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a process of the service; returns its exit status."""
    log = make_log()
    faulthandler.enable()  # after a watchdog's SIGABRT the log shows where the loop hung
    collect_seldom()
    try:
        return uvloop.run(work())
    except Unavailable as error:
        log.error("service.cannot_serve", error=str(error))
        return EX_TEMPFAIL
    except (PennyRedError, OSError, ValueError) as error:
        log.error("service.cannot_serve", error=told(error))
        return EX_SETTINGS


def collect_seldom() -> None:
    """Make Python search for cycles less often. What is loaded now stays. A letter makes hundreds of objects, but no
    cycles: to search after every 700 objects, as Python does, wastes a twentieth of all work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Worker:
    """One process: its gate, its office, and its background work."""

    def __init__(
        self,
        started: Started,
        number: int,
        log: Any,
        pulse: Pulse,
        tallies: Tallies,
        watch: Watch,
        passed: PassedSockets,
        http_max: int,
        ownership: Ownership | None,
    ) -> None:
        """`ownership` of the ledger in a file, where there is no other process that has it."""
        self._ownership = ownership
        self._passed = passed
        self._tallies = tallies
        self._http_max = http_max
        self._started = started
        self._settings = settings = started.settings
        self._number = number
        self._log = log
        self._pulse = pulse
        self._stop = asyncio.Event()
        self._chores = Chores(log)
        self._watch = watch
        self._gate: GateWork | None = None
        if settings.gate is not None:
            self._gate = watch.gate = GateWork(
                settings.gate,
                settings.issuer,
                log,
                tallies,
                number,
                self._chores,
                watch.meter,
                settings.office.mirror if settings.office is not None else "",
            )
        self._office: OfficeWork | None = None
        self._metrics = ""

    async def run(self, life: int | None) -> int:
        """Serve until told to stop. `life` is the descriptor of a pipe that closes when the supervisor ends."""
        loop = asyncio.get_running_loop()
        if life is None:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, self._stop_once_or_now)
        else:  # the supervisor counts signals; others may signal this worker too
            loop.add_signal_handler(signal.SIGTERM, self._stop.set)
            loop.add_reader(life, self._stop.set)
        loop.add_signal_handler(signal.SIGQUIT, self._stop_now)
        loop.add_signal_handler(signal.SIGHUP, self._reread)
        async with AsyncExitStack() as parts:
            # Started first and ended last: there must be signs of life while the last letters are finished.
            parts.push_async_callback(cancelled, asyncio.create_task(self._pulse.beat(self._in_hand)))
            await self._start(parts)
            if self._pulse.is_behind:
                self._reread()
            self._pulse.serving()
            self._watch.serving()
            self._log.info("service.serving", worker=self._number, **self._addresses())
            await self._stop.wait()
            self._pulse.stopping()
            self._watch.stopping()
            self._log.info("service.stopping", worker=self._number)
        self._log.info("service.stopped", worker=self._number)
        return 0

    async def _start(self, parts: AsyncExitStack) -> None:
        """Start the parts, the inner ones first; the exit stack ends them in reverse."""
        office: Office | None = None
        if self._settings.office is not None:
            work = OfficeWork(
                self._settings.office, self._number, self._log, self._tallies, self._watch, self._chores,
                ownership=self._ownership,
            )  # fmt: skip
            self._office = work
            office = await work.start(parts, self._passed, self._http_max)
            if self._number == 0:
                self._chores.begin(parts, "audit", self._watch.audit)
        if self._gate is not None:
            await self._start_pages(parts, self._settings.gate)
            await self._gate.start(parts, office, self._passed)
        self._chores.begin(parts, "watch", self._watch.run)

    async def _start_pages(self, parts: AsyncExitStack, gate: GateSettings | None) -> None:
        """Serve the metrics pages from before the first client until after the last."""
        if gate is None or gate.metrics is None or self._number != 0:
            return
        watchers = Reach(room=Room(WATCHERS_MAX, WATCHERS_PER_NETWORK_MAX))
        pages = WebServer(watching(self._watch.pages()), listening_socket(*gate.metrics), watchers, log=self._log)
        await pages.start()
        self._metrics = place_name(*gate.metrics)
        parts.push_async_callback(pages.stop)

    def _stop_once_or_now(self) -> None:
        if self._stop.is_set():
            self._stop_now()
        self._stop.set()

    def _stop_now(self) -> None:
        """Cancel the letters in hand. None is lost, but one that the mail server has already may come twice."""
        self._stop.set()
        if self._gate is not None:
            self._gate.hurry()

    def _reread(self) -> None:
        """Reload on SIGHUP: rules, keys and certificates, all or none. What waits for the next start is logged."""
        self._pulse.rereading()
        is_refused = False
        try:
            new = self._started.read_again()
            rules = self._started.with_rules_of(new)
            prepared = []
            if rules.office is not None and self._office is not None:
                prepared.append(self._office.prepare(rules.office))
            if rules.gate is not None and self._gate is not None:
                prepared.append(self._gate.prepare(rules.gate, rules.issuer))
        except (BadSettings, PennyRedError, OSError, ValueError) as error:
            is_refused = True
            self._log.error("settings.not_reread", error=told(error))
        else:
            for take_over in prepared:
                take_over()
            self._log.info("settings.reread", worker=self._number)
            if self._number == 0 and (waiting := self._started.waiting(new)):
                self._log.warning("settings.waiting", keys=waiting)
        self._pulse.reread(is_refused=is_refused)

    def _in_hand(self) -> tuple[int, int]:
        return (0, 0) if self._gate is None else self._gate.in_hand()

    def _addresses(self) -> dict[str, Any]:
        office, passed = self._settings.office, self._passed
        at_office = addresses(passed.office) or [place_name(*office.listen)] if office else [""]
        at_gate = {"gate": [], "mode": ""} if self._gate is None else self._gate.addresses(passed)
        return {**at_gate, "office": at_office[0], **({"metrics": self._metrics} if self._metrics else {})}
