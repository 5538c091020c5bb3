"""Verify the stamps that other gates present, in threads beside the event loop, on all cores.

A signature takes a fifth of a millisecond of a core, and a request may bring a thousand. The library releases Python's
lock while it verifies, so threads can share the work.
"""

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold
from pennyred.postage.verification import LicenceCache, check_flawed, check_for_office

STAMPS_AT_ONCE = 16
"""How many stamps one thread takes at a time, so that a letter does not wait for a thousand stamps of another."""
STAMPS_WAITING_MAX = 20_000
"""How many stamps may wait; beyond, gates are told "later", as they would wait for seconds."""


class StampChecker:
    """Verifies stamps for one office; `close` ends its threads."""

    def __init__(self, issuer: str, *, threads: int | None = None) -> None:
        """`threads` is how many threads verify; by default as many as there are cores."""
        self._issuer = issuer
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "stamp checker")
        self._own = threading.local()
        self._waiting = 0

    async def flaws(self, holds: Sequence[Hold], keys: Mapping[str, bytes], *, now: int) -> list[Reason | None]:
        """What `check_for_office` finds wrong with each hold's stamp; None if it holds. `keys` are by selector.

        Raises `Unavailable` if too many stamps wait.
        """
        if self._waiting + len(holds) > STAMPS_WAITING_MAX:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "too many stamps wait to be verified")
        loop = asyncio.get_running_loop()
        self._waiting += len(holds)
        try:
            parts = [holds[start : start + STAMPS_AT_ONCE] for start in range(0, len(holds), STAMPS_AT_ONCE)]
            found = await asyncio.gather(
                *(loop.run_in_executor(self._pool, self._check, part, keys, now) for part in parts)
            )
        finally:
            self._waiting -= len(holds)
        return [flaw for part in found for flaw in part]

    def close(self) -> None:
        """End the threads, after the stamps they are verifying now."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, holds: Sequence[Hold], keys: Mapping[str, bytes], now: int) -> list[Reason | None]:
        licences = self._licences()
        return [
            check_for_office(hold.stamp, issuer=self._issuer, keys=keys, now=now, domain=hold.domain, licences=licences)
            if hold.flaw is None
            else check_flawed(hold.stamp, hold.flaw, issuer=self._issuer, domain=hold.domain)
            for hold in holds
        ]

    def _licences(self) -> LicenceCache:
        """The licences that this thread has verified: a `LicenceCache` is for one thread."""
        if not hasattr(self._own, "licences"):
            self._own.licences = LicenceCache()
        licences: LicenceCache = self._own.licences
        return licences
