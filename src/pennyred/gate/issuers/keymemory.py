"""Keys of offices in the gate's state: they outlast a restart and a silent DNS, and all workers can use them.

They are written in the background; a failed write is no error. Ages go by the time of day, because no other clock goes
on over a restart of the machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pennyred.days import DAY_SECONDS
from pennyred.gate.ports import KeyBook
from pennyred.postage.errors import Unavailable

CLOCK_SKEW_SECONDS = DAY_SECONDS
"""A confirmation that is further in the future than this does not count: the clock was set."""


class KeyMemory:
    """One worker's access to the book of keys; without a book it remembers nothing."""

    def __init__(self, now: Callable[[], int], book: KeyBook | None = None) -> None:
        """`now` returns the time of day in seconds since 1970; `book` may be set later, before the first letter."""
        self._now = now
        self.book = book
        self._writing: set[asyncio.Task[None]] = set()

    async def recall(self, issuer: str, selector: str) -> tuple[bytes, int, bool] | None:
        """A key, how many seconds ago it was confirmed, and whether by DNSSEC; None if it is not known."""
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
        """Remember that the DNS has this key now."""
        if self.book is not None:
            self._write(self.book.keep(issuer, selector, key, is_authenticated=is_authenticated, now=self._now()))

    def forget(self, issuer: str, selector: str) -> None:
        """Forget a key: it was withdrawn, or its record has gone."""
        if self.book is not None:
            self._write(self.book.forget(issuer, selector))

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _write(self, writing: Awaitable[None]) -> None:
        async def write() -> None:
            with suppress(Unavailable):
                await writing

        task = asyncio.ensure_future(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
