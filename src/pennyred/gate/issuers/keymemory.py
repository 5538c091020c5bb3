"""What is remembered of offices' keys over a restart, and told to other workers: for a day on which DNS is silent.

Written beside the mail, as well as can be. Ages are counted by the time of day, as no other clock outlives a machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pennyred.gate.ports import KeyBook
from pennyred.postage.errors import Unavailable

CLOCK_SKEW_SECONDS = 86_400
"""What was confirmed later than that from now was not: somebody has set the clock."""


class KeyMemory:
    """One worker's way to the book; remembers nothing without one."""

    def __init__(self, now: Callable[[], int], book: KeyBook | None = None) -> None:
        """`now` is the time of day in seconds; `book` may be given before the first letter."""
        self._now = now
        self.book = book
        self._writing: set[asyncio.Task[None]] = set()

    async def recall(self, issuer: str, selector: str) -> tuple[bytes, int, bool] | None:
        """A key, how many seconds ago it was confirmed, and whether by DNSSEC; None where that is not known."""
        if self.book is None:
            return None
        try:
            kept = await self.book.kept(issuer, selector)
        except Unavailable:
            return None
        if kept is None or kept[1] > self._now() + CLOCK_SKEW_SECONDS:
            return None
        key, confirmed_at, is_authenticated = kept
        return key, max(0, self._now() - confirmed_at), is_authenticated

    def note(self, issuer: str, selector: str, key: bytes, *, is_authenticated: bool) -> None:
        """DNS has it now."""
        if self.book is not None:
            self._write(self.book.keep(issuer, selector, key, is_authenticated=is_authenticated, now=self._now()))

    def forget(self, issuer: str, selector: str) -> None:
        """It was withdrawn, or its record has gone."""
        if self.book is not None:
            self._write(self.book.forget(issuer, selector))

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _write(self, writing: Awaitable[None]) -> None:
        async def write() -> None:
            with suppress(Unavailable):
                await writing

        task = asyncio.ensure_future(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
