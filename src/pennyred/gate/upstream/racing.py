"""Tries several addresses, and takes the first connection that opens.

The next address is tried when one fails, and also while one is slow: not connected within a quarter of a second
(RFC 8305 section 5), or EHLO not answered within five seconds. An attempt that is overtaken goes on in the background,
so that the health of its address becomes known.
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
"""Begins an attempt at an address; the attempt sets the event once it is connected."""
Leave = Callable[["asyncio.Task[Connection]", Address], None]
"""Called with an attempt that was overtaken, which goes on in the background."""


class Unreachable(Unavailable):
    """The mail server cannot be used for any client: no connection, no greeting, or it cannot be told of clients."""

    def __init__(self, trouble: Unavailable) -> None:
        super().__init__(trouble.reason, str(trouble))


class Race:
    """Attempts at several addresses: the next one begins when one fails or is slow."""

    def __init__(self, addresses: list[Address], begin: Begin, leave: Leave) -> None:
        self._left = addresses
        self._begin_attempt = begin
        self._leave_behind = leave
        self._running: dict[asyncio.Task[Connection], Address] = {}
        self._pace: asyncio.Task[None] | None = None
        self._troubles: list[Unreachable] = []

    async def won(self) -> Connection:
        """The first connection that opens. Raises `Unreachable` with all errors, or another error of an attempt."""
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
                if not attempt.cancel():  # it has ended at the same moment, perhaps with a connection
                    self._leave_behind(attempt, address)

    def _begin(self, address: Address) -> None:
        connected = asyncio.Event()
        self._running[self._begin_attempt(address, connected)] = address
        if self._pace is not None:
            self._pace.cancel()
        self._pace = asyncio.get_running_loop().create_task(_pace(connected)) if self._left else None

    async def _wait(self) -> None:
        """Wait until an attempt has ended, or until it is time to begin the next one."""
        waiting: set[asyncio.Task[Any]] = {*self._running}
        if self._pace is not None:
            waiting.add(self._pace)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._pace is not None and self._pace.done():
            self._pace = None

    def _leave(self) -> None:
        """Let the slow attempts go on in the background."""
        for attempt, address in self._running.items():
            self._leave_behind(attempt, address)
        self._running = {}

    def _all_troubles(self) -> Unreachable:
        texts = dict.fromkeys(str(one).removeprefix("upstream ") for one in self._troubles)
        return Unreachable(Unavailable(self._troubles[-1].reason, f"upstream {'; '.join(texts)}"))


async def _pace(connected: asyncio.Event) -> None:
    """Return when an attempt has taken so long that the next address should be tried too."""
    try:
        async with asyncio.timeout(CONNECT_PACE_SECONDS):
            await connected.wait()
    except TimeoutError:
        return
    await asyncio.sleep(GREETING_PACE_SECONDS)
