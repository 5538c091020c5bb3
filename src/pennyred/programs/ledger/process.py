"""The process that has the ledger's file for all workers of a service: started before them, it ends after them."""

import asyncio
import signal
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any

from pennyred.metrics.meter import Meter
from pennyred.metrics.sheet import Page
from pennyred.office.ledger.remote.server import LedgerServer
from pennyred.programs.ledger.opening import own
from pennyred.programs.ledger.ownership import Ownership
from pennyred.programs.workers.chores import Chores, cancelled
from pennyred.programs.workers.pulse import Pulse
from pennyred.programs.workers.watch import OwnFigures

_LOOK_SECONDS = 5.0
_LEAVE_LOOK_SECONDS = 0.05


class LedgerProcess:
    """Opens the ledger and answers with it, until SIGTERM. Where the supervisor is gone, until no worker is left."""

    def __init__(self, ownership: Ownership, log: Any, pulse: Pulse, page: Page, awaited: Collection[int]) -> None:
        """`awaited` are the workers that were there before this process."""
        self._ownership = ownership
        self._log = log
        self._pulse = pulse
        self._meter = Meter(page)
        self._figures = OwnFigures(page)
        self._awaited = awaited
        self._is_told = asyncio.Event()
        """Whether it has to stop, or its supervisor is gone."""
        self._is_stopping = False

    async def run(self, life: int) -> int:
        """Serve until told to stop. `life` is the descriptor of a pipe that closes when the supervisor ends."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_reader(life, self._orphan, life)
        async with AsyncExitStack() as parts:
            parts.push_async_callback(cancelled, asyncio.create_task(self._pulse.beat(lambda: (0, 0))))
            ledger = own(self._ownership.path, self._ownership.lock, self._meter.batch)
            parts.push_async_callback(ledger.close)
            server = LedgerServer(ledger, self._ownership.listener.socket, self._log, awaited=self._awaited)
            server.start()
            parts.push_async_callback(server.stop)
            Chores(self._log).begin(parts, "watch", self._watch)
            self._pulse.serving()
            self._figures.serving()
            self._log.info("ledger.serving", ledger=str(self._ownership.path))
            await self._is_told.wait()
            while server.workers and not self._is_stopping:  # noqa: ASYNC110 - they finish their letters first
                await asyncio.sleep(_LEAVE_LOOK_SECONDS)
        self._log.info("ledger.stopped")
        return 0

    def _stop(self) -> None:
        self._is_stopping = True
        self._is_told.set()

    def _orphan(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        self._is_told.set()

    async def _watch(self) -> None:
        while True:
            self._figures.refresh()
            await asyncio.sleep(_LOOK_SECONDS)
