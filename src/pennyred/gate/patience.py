"""A bound in time for many waits that may all last equally long, by one timer for all of them.

`asyncio.timeout` makes a timer for each wait, and nearly all are taken back unused: for a wait of a millisecond that
is a good part of its cost.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Waits so many seconds, and no longer, for whatever it is given. For one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[asyncio.Task[object], float] = {}
        """Until when each task waits, those first that began first."""
        self._over: set[asyncio.Task[object]] = set()
        """Tasks that were woken up, as they have waited long enough."""
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, asked: Awaitable[T]) -> T:
        """The answer to `asked`; raises TimeoutError, and cancels it, where it takes too long.

        A task waits for one thing at a time.
        """
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._waiting[task] = until = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)
        cancelling = task.cancelling()
        try:
            return await asked
        except asyncio.CancelledError as cancelled:
            # Cancelled by somebody else as well, it stays cancelled (as `asyncio.timeout` has it).
            if self._has_ended(task) and task.cancelling() <= cancelling:
                raise TimeoutError from cancelled
            raise
        finally:
            self._waiting.pop(task, None)
            self._has_ended(task)  # what was asked may have made another exception of it, or an answer

    def _has_ended(self, task: asyncio.Task[object]) -> bool:
        """Whether the task was woken up; its cancellation is taken back."""
        if task not in self._over:
            return False
        self._over.remove(task)
        task.uncancel()
        return True

    def _look(self) -> None:
        """Wake up those whose time is over, and look again when that of the next one is."""
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time(), None
        while self._waiting:
            task, until = next(iter(self._waiting.items()))
            if until > now:
                self._timer = loop.call_at(until, self._look)
                return
            del self._waiting[task]
            self._over.add(task)
            task.cancel()
