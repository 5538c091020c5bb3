"""One worker's quarantine: keeps copies of refused letters where the settings say."""

import asyncio
from typing import Any

from pennyred.config import GateSettings
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.ports import Refusals
from pennyred.gate.quarantine.folder import Quarantine, Swept
from pennyred.gate.quarantine.keeping import KeptRefusals
from pennyred.metrics.meter import Meter
from pennyred.postage.errors import Unavailable
from pennyred.programs.housekeeping import PassedTime

SWEEP_PAUSE_SECONDS = 3600.0


class RefusedCopies:
    """The quarantine of one worker. `accept` is called with the settings at the start, and at each reload."""

    def __init__(self, log: Any, letters: LetterLog, meter: Meter, passed: PassedTime, *, workers: int) -> None:
        """`passed` says which copies are old enough to be forgotten; `workers` is how many share them."""
        self._log = log
        self._letters = letters
        self._meter = meter
        self._passed = passed
        self._workers = workers
        self._quarantine: Quarantine | None = None
        self._changed = asyncio.Event()

    def accept(self, gate: GateSettings) -> Refusals | None:
        """Use new settings; returns where copies are kept from now on, or None. Letters in hand keep the old place."""
        kept = gate.quarantine
        self._quarantine = None
        if kept is not None:
            self._quarantine = Quarantine(
                kept.folder,
                days=kept.days,
                bytes_max=kept.max_size,
                sweepers=self._workers,
                note_swept=self._note_swept,
            )
        self._changed.set()
        if self._quarantine is None:
            return None
        return KeptRefusals(self._quarantine, clock=self._passed.now, note_left_out=self._note_left_out)

    async def run(self) -> None:
        """Remove old copies regularly until cancelled. If the disk does not answer, it tries the next time."""
        while True:
            self._changed.clear()
            while self._quarantine is not None and not await self._swept(self._quarantine):
                pass
            try:
                await asyncio.wait_for(self._changed.wait(), SWEEP_PAUSE_SECONDS)
            except TimeoutError:
                continue

    async def _swept(self, quarantine: Quarantine) -> bool:
        try:
            return (await quarantine.sweep(await self._passed.look())).is_done
        except Unavailable as error:
            self._log.warning("housekeeping.failed", error=str(error))
            return True

    def _note_swept(self, swept: Swept) -> None:
        self._letters.crowded_out(swept.crowded_out, swept.network)
        self._meter.refused_copies("crowded-out", swept.crowded_out)

    def _note_left_out(self, copies: int, letter_bytes: int, most_bytes: int) -> None:
        self._letters.left_out(copies, letter_bytes, most_bytes)
        self._meter.refused_copies("left-out", 1)
