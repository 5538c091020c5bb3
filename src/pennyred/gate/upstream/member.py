"""One of the mail servers behind the gate, and how this worker stands with it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pennyred.gate.upstream.health import Health
from pennyred.gate.upstream.pool import UpstreamPool
from pennyred.postage.errors import Unavailable


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """How one worker stands with one mail server."""

    name: str
    is_up: bool
    open_count: int
    idle_count: int


@dataclass(eq=False, slots=True)
class Member:
    """Its connections, and whether it is worth asking."""

    pool: UpstreamPool
    name: str
    health: Health = field(default_factory=Health)
    probe: asyncio.Task[None] | None = None
    """Somebody who sees just now whether it can be reached, and what it offers."""

    def failed(self, error: Unavailable, now: float, random: Callable[[], float], log: Any) -> bool:
        """It could not be reached; whether that is news, which is written down."""
        is_news = self.health.failed(now, random)
        if is_news:
            self.pool.close_idle()
            retry_seconds = round(self.health.retry_at - now, 1)
            log.warning("smtp.upstream_down", upstream=self.name, detail=str(error), retry_seconds=retry_seconds)
        return is_news

    def succeeded(self, now: float, log: Any) -> bool:
        """It has been reached; whether that is news."""
        is_news = self.health.succeeded()
        if is_news:
            log.info("smtp.upstream_up", upstream=self.name, down_seconds=round(now - self.health.down_since))
        return is_news
