"""Sees to it that holds which need not last are written down when they have lasted: one second, or at the end.

A process knows the holds it was asked for, so nobody has to search for them. Those of a process that was killed are
found at the next sweep. So are those that could not be written by a mistake of the program's: it is logged, and keeps
no other hold from being written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import islice

from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import HoldAnswer
from pennyred.postage.stamp import StampKey

OPEN_SECONDS = 1.0
"""How long a hold may be without a row that a crash leaves."""
_EACH_MAX = 1000
_KNOWN_MAX = 100_000
"""More are not remembered here, but found at the next sweep."""

Write = Callable[[Collection[StampKey]], Awaitable[None]]


class Lasting:
    """The open holds of one process. `write_open` writes down those that are still open, or raises."""

    def __init__(self, write_open: Write) -> None:
        self._write_open = write_open
        self._since: dict[StampKey, float] = {}
        """When each was asked for, in seconds of the loop's clock; the oldest first."""
        self._task: asyncio.Task[None] | None = None

    def note_held(self, keys: Iterable[StampKey], answers: Sequence[HoldAnswer]) -> None:
        """Note holds that were answered now."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, answer in zip(keys, answers, strict=True):
            if answer.outcome.is_held and len(self._since) < _KNOWN_MAX:
                self._since.setdefault(key, now)
        if self._since and (self._task is None or self._task.done()):
            self._task = loop.create_task(self._run())

    def note_ended(self, keys: Iterable[StampKey]) -> None:
        """Note that these were settled or voided, or that somebody has tried to."""
        for key in keys:
            self._since.pop(key, None)

    async def write(self, keys: Collection[StampKey]) -> None:
        """Write these down; those that fail are left open, and the loop is told of it once. Raises `Unavailable`."""
        mistake = await self._mistake_in(keys)
        if mistake is not None:
            told = {"message": "open holds could not be written", "exception": mistake}
            asyncio.get_running_loop().call_exception_handler(told)
            if len(keys) > 1:
                for key in keys:
                    await self._mistake_in([key])

    async def close(self) -> None:
        """Write down all that are left; what cannot be written is forgotten with the connection, as in a crash."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._write_before(float("inf"))
        except Unavailable:
            return

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._since:
            await asyncio.sleep(OPEN_SECONDS)
            try:
                await self._write_before(loop.time() - OPEN_SECONDS)
            except Unavailable:
                continue  # they are open still, and tried again

    async def _write_before(self, time: float) -> None:
        while keys := [key for key, since in islice(self._since.items(), _EACH_MAX) if since <= time]:
            await self.write(keys)
            self.note_ended(keys)

    async def _mistake_in(self, keys: Collection[StampKey]) -> Exception | None:
        """Write these down; what went wrong, other than `Unavailable`."""
        try:
            await self._write_open(keys)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told by `write`, whatever it is
            return error
        return None
