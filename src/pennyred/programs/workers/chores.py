"""Background work that never ends: sweeping, presenting what waits, writing figures."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

BROKEN_PAUSE_SECONDS = 60.0
"""The pause before background work is begun again after an unexpected error."""


class Chores:
    """The background work of one worker."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def begin(self, parts: AsyncExitStack, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin work that goes on until the exit stack `parts` ends; `what` names it in the log."""
        parts.push_async_callback(cancelled, asyncio.create_task(self.keep_at(what, work)))

    async def keep_at(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do work that should never end. An unexpected error is logged, and the work is begun again after a pause. Mail
        goes on without it, so nobody would notice before holds and settlements had piled up.
        """
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end unseen
                self._log.error("service.broken_off", work=what, exc_info=error)
            await asyncio.sleep(BROKEN_PAUSE_SECONDS)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.wait([task])
