"""One of the mail servers behind the gate, with its connections and its health in this worker."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pennyred.gate.upstream.health import Health
from pennyred.gate.upstream.pool import UpstreamPool
from pennyred.postage.errors import Unavailable


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """The status of one mail server in one worker, for the pages and metrics."""

    name: str
    is_up: bool
    open_count: int
    idle_count: int


@dataclass(eq=False, slots=True)
class Member:
    """One mail server: its connections and its health."""

    pool: UpstreamPool
    name: str
    health: Health = field(default_factory=Health)
    probe: asyncio.Task[None] | None = None
    """The task that checks now whether it can be reached and what it offers; None if there is none."""

    def failed(self, error: Unavailable, now: float, random: Callable[[], float], log: Any) -> bool:
        """Note that it could not be reached; returns whether it was up before, which is logged then."""
        is_news = self.health.failed(now, random)
        if is_news:
            self.pool.close_idle()
            retry_seconds = round(self.health.retry_at - now, 1)
            log.warning("smtp.upstream_down", upstream=self.name, detail=str(error), retry_seconds=retry_seconds)
        return is_news

    def succeeded(self, now: float, log: Any) -> bool:
        """Note that it was reached; returns whether it was down before, which is logged then."""
        is_news = self.health.succeeded()
        if is_news:
            log.info("smtp.upstream_up", upstream=self.name, down_seconds=round(now - self.health.down_since))
        return is_news
