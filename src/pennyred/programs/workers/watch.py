"""What one worker reports: gauges every few seconds, readiness, and regular audits of the ledger."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from pennyred.config import Settings
from pennyred.gate.pages import Page, Pages
from pennyred.gate.upstream.endpoint import parse_url
from pennyred.metrics import catalogue as metrics
from pennyred.metrics.catalogue import catalogue
from pennyred.metrics.exposition import CONTENT_TYPE, Exposition
from pennyred.metrics.meter import Meter
from pennyred.metrics.sheet import Page as FiguresPage
from pennyred.metrics.sheet import Sheet
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.programs.gate_worker import GateWork
from pennyred.programs.workers.board import Board
from pennyred.programs.workers.readiness import Readiness

LOOK_PAUSE_SECONDS = 5.0
AUDIT_PAUSE_SECONDS = 60.0
AUDIT_SHARE = 0.005
"""The share of time that audits may take: one of 10 seconds comes every 33 minutes."""
_ACCOUNTS_PAGE = 1000


def make_sheet(settings: Settings, workers: int, *, has_ledger: bool = False) -> Sheet:
    """The sheet for the figures of all workers, and of the ledger's process; to be made before they are forked."""
    gate = settings.gate
    ways = {
        "incoming": gate.upstream if gate else (),
        "outgoing": gate.outgoing.upstream if gate and gate.outgoing else (),
    }
    named = {(door, parse_url(url).name) for door, urls in ways.items() for url in urls}
    return Sheet(catalogue(sorted(named)), workers, has_ledger=has_ledger)


class OwnFigures:
    """What any process of the service says of itself."""

    def __init__(self, page: FiguresPage) -> None:
        self._started_at = time.time()
        self._up = page.gauge(metrics.WORKER_UP)
        self._own = [
            page.gauge(one)
            for one in (metrics.WORKER_CPU, metrics.WORKER_MEMORY, metrics.WORKER_FILES, metrics.WORKER_START)
        ]
        page.counter(metrics.WORKER_STARTS).add()

    def serving(self) -> None:
        """Say that it serves."""
        self._up.put(1)

    def refresh(self) -> None:
        """Say what it has used; it never waits."""
        for gauge, value in zip(self._own, (*_used(), self._started_at), strict=True):
            gauge.put(value)


class Watch:
    """The reports of one worker. Only the first looks at what all share: the state, the office, the ledger."""

    def __init__(self, sheet: Sheet, number: int, board: Board) -> None:
        self.meter = Meter(sheet.page(number))
        self.gate: GateWork | None = None
        self.office: Office | None = None
        self.readiness = Readiness(board)
        self._is_first = number == 0
        self._exposition = Exposition(sheet)
        page = self.meter.page
        self._connections = page.gauge(metrics.CONNECTIONS)
        self._letters = page.gauge(metrics.LETTERS_IN_HAND)
        self._letter_memory = page.gauge(metrics.LETTER_MEMORY)
        self._memory_short = page.counter(metrics.MEMORY_SHORT)
        self._deferred = 0
        self._outbox = page.gauge(metrics.OUTBOX)
        self._outbox_age = page.gauge(metrics.OUTBOX_AGE)
        self._certificate_end = page.gauge(metrics.CERTIFICATE_END)
        self._ready = page.gauge(metrics.READY)
        self._upstreams = [
            page.gauge(one) for one in (metrics.UPSTREAM_UP, metrics.UPSTREAM_CONNECTIONS, metrics.UPSTREAM_IDLE)
        ]
        self._own = OwnFigures(page)

    def serving(self) -> None:
        """Report that clients are let in."""
        self.refresh()
        self._own.serving()

    def stopping(self) -> None:
        """Report that no client is let in any more."""
        self.readiness.is_stopping = True

    def refresh(self) -> None:
        """Set the gauges that this worker knows by itself; it never waits."""
        self._own.refresh()
        if self.gate is None:
            return
        connections, letters = self.gate.in_hand()
        self._connections.put(connections)
        self._letters.put(letters)
        memory = self.gate.memory
        self._letter_memory.put(memory.used)
        self._memory_short.add(by=memory.deferred - self._deferred)
        self._deferred = memory.deferred
        self._certificate_end.put(self.gate.certificate_end)
        self._outbox.put(self.gate.unwritten, "memory")
        for door, upstreams in self.gate.ways():
            for one in upstreams.status():
                figures = (float(one.is_up), one.open_count, one.idle_count)
                for gauge, value in zip(self._upstreams, figures, strict=True):
                    gauge.put(value, door, one.name)

    async def run(self) -> None:
        """Refresh the gauges, and look at what all workers share, until cancelled."""
        while True:
            if self._is_first and self.gate is not None:
                await self._look(self.gate)
            self.refresh()
            await asyncio.sleep(LOOK_PAUSE_SECONDS)

    async def audit(self) -> None:
        """Audit the books regularly until cancelled. If the ledger does not answer, it is asked the next time."""
        page = self.meter.page
        stamps, balanced, accounts = (
            page.gauge(metrics.STAMPS),
            page.gauge(metrics.BALANCED),
            page.gauge(metrics.ACCOUNTS),
        )
        ended, took = page.gauge(metrics.AUDIT_TIME), page.gauge(metrics.AUDIT_SECONDS)
        while self.office is not None:
            begun = time.monotonic()
            with contextlib.suppress(Unavailable):
                found = await self.office.ledger.audit()
                accounts.put(await _count_accounts(self.office))
                for what in ("sold", "settled", "refunded", "held", "outstanding"):
                    stamps.put(getattr(found, what), what)
                balanced.put(found.balanced)
                took.put(time.monotonic() - begun)
                ended.put(time.time())
            await asyncio.sleep(max(AUDIT_PAUSE_SECONDS, (time.monotonic() - begun) / AUDIT_SHARE))

    def metrics_page(self) -> bytes:
        """The page with all metrics of all workers."""
        return self._exposition.page(self.refresh)

    def pages(self) -> Pages:
        """The pages that `[gate] metrics` serves."""
        return {"/metrics": self._metrics, "/healthz": _alive, "/readyz": self._readyz}

    async def _look(self, gate: GateWork) -> None:
        standing = await self.readiness.look(gate, self.office)
        if standing is not None:
            self._outbox.put(standing.unanswered, "state")
            self._outbox.put(standing.put_off, "put-off")
            self._outbox_age.put(max(0.0, time.time() - standing.since) if standing.unanswered else 0.0)
        for part, is_ok in self.readiness.parts().items():
            self._ready.put(is_ok, part)

    async def _metrics(self) -> Page:
        return Page(self.metrics_page(), CONTENT_TYPE)

    async def _readyz(self) -> Page:
        document = self.readiness.document()
        status = HTTPStatus.OK if document["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(json.dumps(document).encode() + b"\n", "application/json", status)


async def _alive() -> Page:
    return Page(b"ok\n")


async def _count_accounts(office: Office) -> int:
    count, after = 0, ""
    while page := await office.ledger.accounts(after=after, limit=_ACCOUNTS_PAGE):
        count, after = count + len(page), page[-1].id
    return count


def _used() -> Sequence[float]:
    """CPU seconds, resident bytes and open files of this process; 0 if the system does not tell."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident = files = 0
    with contextlib.suppress(OSError):
        resident = int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
        files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return usage.ru_utime + usage.ru_stime, resident, files
