"""Forgets old data by the time that has passed, not by the clock alone; reports clocks that are wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pennyred.metrics.meter import Meter
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.programs.clock import clock
from pennyred.storage.passing import Looker, Passed

LOOK_PAUSE_SECONDS = 60.0
DIFFERENCE_SECONDS = 3600
"""A difference between two machines' clocks that is logged; and the pause before it is logged again."""
_JUMPED = "if it is right now, nothing: what has to be forgotten is made up for, a day in a day; else set it (NTP)"
_DIFFER = "set this machine's or the other's (NTP): nothing is forgotten before its time by the earliest"


class PassedTime:
    """Follows the passed time of one database. What is older than `until` may be forgotten there."""

    def __init__(
        self, database: str, ask: Callable[[Looker], Awaitable[Passed]], log: Any, meter: Meter, *, is_telling: bool
    ) -> None:
        """`database` is "ledger" or "state", for the log. `is_telling`: only one of the workers logs what all see."""
        self._database = database
        self._ask = ask
        self._log = log
        self._meter = meter
        self._is_telling = is_telling
        self._looker = Looker(clock)
        self._said_to_differ_at = float("-inf")
        self.until = 0
        """Seconds since 1970-01-01; 0 before the first look: then nothing may be forgotten."""
        self._believed = 0

    def now(self) -> int:
        """The time to store with new data: with a slow clock, it must not look old once the clock is right."""
        return max(clock(), self._believed)

    async def look(self) -> int:
        """Update `until`, and log a clock that is wrong. Raises `Unavailable` if the database does not answer."""
        found = await self._ask(self._looker)
        self.until, self._believed = found.until, found.believed
        self._meter.behind(self._database, max(0, found.clock - found.until))
        if self._is_telling:
            self._tell(found)
        return found.until

    async def run(self) -> None:
        """Look regularly until cancelled. If the database does not answer, it looks the next time."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                self._log.warning("housekeeping.failed", error=str(error))
            await asyncio.sleep(LOOK_PAUSE_SECONDS)

    def _tell(self, found: Passed) -> None:
        facts = {"database": self._database, "clock": _shown(found.clock), "until": _shown(found.until)}
        if found.jumped_seconds:
            self._log.warning("clock.jumped", seconds=found.jumped_seconds, **facts, do=_JUMPED)
        if found.unseen_seconds:
            self._log.warning("clock.unsure", seconds=found.unseen_seconds, **facts, do=_JUMPED)
        now = time.monotonic()
        if found.clock - found.earliest > DIFFERENCE_SECONDS < now - self._said_to_differ_at:
            self._said_to_differ_at = now
            self._log.warning("clock.differs", seconds=found.clock - found.earliest, **facts, do=_DIFFER)


async def sweep_ledger(office: Office, passed: PassedTime, log: Any, meter: Meter) -> None:
    """Sweep the ledger regularly until cancelled. If it does not answer, it is swept the next time."""
    while True:
        try:
            report = await office.ledger.sweep(now=clock(), until=await passed.look())
        except Unavailable as error:
            meter.sweep_failed()
            log.warning("housekeeping.failed", error=str(error))
        else:
            meter.swept(report.voided, report.settled, len(report.dropped_days))
            if report.voided or report.settled or report.dropped_days:
                log.info("housekeeping.swept", voided=report.voided, settled=report.settled, days=report.dropped_days)
            if report.is_more:
                continue
        await asyncio.sleep(LOOK_PAUSE_SECONDS)


def _shown(at: int) -> str:
    """A time in text; as a number, if no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return str(at)
