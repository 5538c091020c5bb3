"""What forgets goes by the time that has passed: one worker's looks at a database, and what is said of clocks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pennyred.metrics.meter import Meter
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.programs.office import clock
from pennyred.storage.passing import Looker, Passed

LOOK_PAUSE_SECONDS = 60.0
DIFFERENCE_SECONDS = 3600
"""Between the clocks of several machines: worth a word, and so seldom again."""
_JUMPED = "if it is right now, nothing: what has to be forgotten is made up for, a day in a day; else set it (NTP)"
_DIFFER = "set this machine's or the other's (NTP): nothing is forgotten before its time by the earliest"


class PassedTime:
    """Looks after one database; `until` is what may be forgotten there."""

    def __init__(
        self, database: str, ask: Callable[[Looker], Awaitable[Passed]], log: Any, meter: Meter, *, is_telling: bool
    ) -> None:
        """`database` is "ledger" or "state", for people; `is_telling` is one of several workers that see the same."""
        self._database = database
        self._ask = ask
        self._log = log
        self._meter = meter
        self._is_telling = is_telling
        self._looker = Looker(clock)
        self._said_to_differ_at = float("-inf")
        self.until = 0
        """In seconds since 1970-01-01; 0: nothing, as nobody has looked yet."""
        self._believed = 0

    def now(self) -> int:
        """The time to write down: what comes while the clock is behind must not be old when it is right again."""
        return max(clock(), self._believed)

    async def look(self) -> int:
        """Look, and say what is odd. Raises `Unavailable` where the database does not answer."""
        found = await self._ask(self._looker)
        self.until, self._believed = found.until, found.believed
        self._meter.behind(self._database, max(0, found.clock - found.until))
        if self._is_telling:
            self._tell(found)
        return found.until

    async def run(self) -> None:
        """Look time and again, for ever; where the database does not answer, next time."""
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
    """Let a ledger forget what is over, for ever; when it does not answer, next time."""
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
    """A time for people; one that no calendar has as it is."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return str(at)
