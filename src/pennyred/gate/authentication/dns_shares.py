"""Whose letters may wait for the DNS: each network a share, and less of it for those whose senders' servers are silent.

A letter whose domain has silent name servers holds a thread for seconds. Anybody can have such a domain; so threads are
shared by network, and a network that has brought many such letters lately goes where it holds up its own kind only.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

PER_NETWORK_MAX = 16
"""Under way at once, the others wait for them: a busy provider's letters take hundredths of a second each."""
PER_CLIENT_MAX = PER_NETWORK_MAX // 2
"""Of these for one client: a neighbour at the same hoster has none of his letters' DNS wait behind all of another's."""
SLOW_SECONDS = 2.0
"""Beyond that an answer was slow: one question without an answer takes so long."""
SLOW_MAX = 8
"""Of one network in ten minutes."""
WINDOW_SECONDS = 600.0
NETWORKS_MAX = 5_000


class Turns:
    """For one event loop; `threads` is how many letters may wait at once."""

    def __init__(self, threads: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._clock = clock
        self._under_way = 0
        self._shares: dict[str, asyncio.Semaphore] = {}
        """Of networks and clients that have letters under way, or waiting for a turn."""
        self._members: Counter[str] = Counter()
        self._slow: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By network: since when it is counted, and how many."""

    def is_open(self, network: str, *, is_vital: bool) -> bool:
        """Whether one more may come; an empty name is of nobody known. Half of the threads are for what is vital."""
        return (is_vital and not self._is_slow(network)) or self._under_way < self._threads // 2

    @asynccontextmanager
    async def turn(self, network: str, wait_seconds: float, *, client: str = "") -> AsyncIterator[None]:
        """Come in once the client's share and its network's have room; raises `TimeoutError` where they have none for
        so long. `client` is an IPv4 address, or an IPv6 /64; empty where it is not known.
        """
        shares = [(client, PER_CLIENT_MAX)] if client else []
        # Whoever waits behind his own letters is not yet in the queue of his network's.
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
