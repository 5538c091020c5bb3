"""Several addresses, and who opens a connection first.

The next address is tried as soon as one fails, and beside one that is slow: where no connection comes about within a
quarter of a second (RFC 8305 section 5), or no EHLO is answered within five. Who is overtaken goes on by itself, so
that it is known what comes of it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pennyred.gate.upstream.addresses import Address
from pennyred.gate.upstream.connection import Connection
from pennyred.postage.errors import Unavailable

CONNECT_PACE_SECONDS = 0.25
GREETING_PACE_SECONDS = 5.0

Begin = Callable[[Address, asyncio.Event], "asyncio.Task[Connection]"]
"""Begins an attempt, which sets the event once it is connected."""
Leave = Callable[["asyncio.Task[Connection]", Address], None]
"""Is given an attempt that has been overtaken."""


class Unreachable(Unavailable):
    """The mail server could not be connected to, did not greet, or cannot be told who the client is: not anybody's."""

    def __init__(self, trouble: Unavailable) -> None:
        super().__init__(trouble.reason, str(trouble))


class Race:
    """Attempts at several addresses, one after another, and beside those that are slow."""

    def __init__(self, addresses: list[Address], begin: Begin, leave: Leave) -> None:
        self._left = addresses
        self._begin_attempt = begin
        self._leave_behind = leave
        self._running: dict[asyncio.Task[Connection], Address] = {}
        self._pace: asyncio.Task[None] | None = None
        self._troubles: list[Unreachable] = []

    async def won(self) -> Connection:
        """The first that is opened; raises `Unreachable` with what is wrong with each, or what an attempt says else."""
        try:
            while True:
                if self._left and (not self._running or self._pace is None):
                    self._begin(self._left.pop(0))
                if not self._running:
                    raise self._all_troubles()
                await self._wait()
                for attempt in [one for one in self._running if one.done()]:
                    del self._running[attempt]
                    try:
                        connection = attempt.result()
                    except Unreachable as error:
                        self._troubles.append(error)
                    else:
                        self._leave()
                        return connection
        finally:
            if self._pace is not None:
                self._pace.cancel()
            for attempt, address in self._running.items():
                if not attempt.cancel():  # it has come to its end at the same moment, perhaps with a connection
                    self._leave_behind(attempt, address)

    def _begin(self, address: Address) -> None:
        connected = asyncio.Event()
        self._running[self._begin_attempt(address, connected)] = address
        if self._pace is not None:
            self._pace.cancel()
        self._pace = asyncio.get_running_loop().create_task(_pace(connected)) if self._left else None

    async def _wait(self) -> None:
        """Until an attempt has come to its end, or it is time to begin the next one."""
        waiting: set[asyncio.Task[Any]] = {*self._running}
        if self._pace is not None:
            waiting.add(self._pace)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._pace is not None and self._pace.done():
            self._pace = None

    def _leave(self) -> None:
        """Whoever is slow may go on by itself."""
        for attempt, address in self._running.items():
            self._leave_behind(attempt, address)
        self._running = {}

    def _all_troubles(self) -> Unreachable:
        texts = dict.fromkeys(str(one).removeprefix("upstream ") for one in self._troubles)
        return Unreachable(Unavailable(self._troubles[-1].reason, f"upstream {'; '.join(texts)}"))


async def _pace(connected: asyncio.Event) -> None:
    """Come to an end when an attempt has taken so long that the next address is worth one."""
    try:
        async with asyncio.timeout(CONNECT_PACE_SECONDS):
            await connected.wait()
    except TimeoutError:
        return
    await asyncio.sleep(GREETING_PACE_SECONDS)
