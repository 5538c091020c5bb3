"""Shares out who may wait for the DNS: each network has a share, and a smaller one if its letters often make it wait.

A letter from a domain with silent name servers holds a thread for seconds, and anybody can have such a domain. So
threads are shared out by network. A network that has brought many such letters lately may not use the second half.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

PER_NETWORK_MAX = 16
"""The most letters of one network under way; others wait. A busy provider's letters take hundredths of a second."""
PER_CLIENT_MAX = PER_NETWORK_MAX // 2
"""The most of one client, so that a neighbour at the same hoster need not wait behind all of another's letters."""
SLOW_SECONDS = 2.0
"""An answer that takes longer was slow: one question without an answer takes so long."""
SLOW_MAX = 8
"""The most slow letters of one network in ten minutes; with more it counts as slow."""
WINDOW_SECONDS = 600.0
NETWORKS_MAX = 5_000


class Turns:
    """The shares, for one event loop; `threads` is how many letters may wait at once."""

    def __init__(self, threads: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._clock = clock
        self._under_way = 0
        self._shares: dict[str, asyncio.Semaphore] = {}
        """The shares of networks and clients that have letters under way or waiting."""
        self._members: Counter[str] = Counter()
        self._slow: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Slow letters by network: since when they are counted, and how many."""

    def is_open(self, network: str, *, is_vital: bool) -> bool:
        """Whether one more letter may come; half of the threads are for vital ones. `network` is empty if unknown."""
        return (is_vital and not self._is_slow(network)) or self._under_way < self._threads // 2

    @asynccontextmanager
    async def turn(self, network: str, wait_seconds: float, *, client: str = "") -> AsyncIterator[None]:
        """Enter when the shares of the client and of its network have room; raises `TimeoutError` if they have none for
        so long. `client` is an IPv4 address or an IPv6 /64; empty if it is not known.
        """
        shares = [(client, PER_CLIENT_MAX)] if client else []
        # A client that waits behind its own letters is not yet in its network's queue.
        shares.append((network, PER_NETWORK_MAX if network else self._threads))
        async with AsyncExitStack() as held:
            async with asyncio.timeout(wait_seconds):
                for name, most in shares:
                    await held.enter_async_context(self._share(name, most))
            self._under_way += 1
            begun = self._clock()
            try:
                yield
            finally:
                self._under_way -= 1
                self._note(network, self._clock() - begun)

    @asynccontextmanager
    async def _share(self, name: str, most: int) -> AsyncIterator[None]:
        share = self._shares.setdefault(name, asyncio.Semaphore(most))
        self._members[name] += 1
        try:
            async with share:
                yield
        finally:
            self._members[name] -= 1
            if not self._members[name]:
                del self._members[name], self._shares[name]

    def _note(self, network: str, seconds: float) -> None:
        if network and seconds >= SLOW_SECONDS:
            now = self._clock()
            since, count = self._slow.pop(network, (now, 0))
            self._slow[network] = (since, count + 1) if now - since < WINDOW_SECONDS else (now, 1)
            while len(self._slow) > NETWORKS_MAX:
                self._slow.popitem(last=False)

    def _is_slow(self, network: str) -> bool:
        since, count = self._slow.get(network, (0.0, 0))
        return count >= SLOW_MAX and self._clock() - since < WINDOW_SECONDS
