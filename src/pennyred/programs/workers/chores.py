"""Work that runs beside the mail, for ever: sweeping, presenting what waits, writing figures down."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

BROKEN_PAUSE_SECONDS = 60.0
"""Before work that runs beside the mail is begun again after a mistake of ours."""


class Chores:
    """What one worker does besides."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def begin(self, parts: AsyncExitStack, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep at it until `parts` are ended."""
        parts.push_async_callback(cancelled, asyncio.create_task(self.keep_at(what, work)))

    async def keep_at(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do work that should never end. A mistake of ours in it is written down and it is begun again after a pause:
        mail goes on without it, but nobody would miss it before holds and settlements had piled up.
        """
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end unseen
                self._log.error("service.broken_off", work=what, exc_info=error)
            await asyncio.sleep(BROKEN_PAUSE_SECONDS)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])
