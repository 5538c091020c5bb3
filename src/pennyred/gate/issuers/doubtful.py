"""Holds that were asked for but never answered: they are given back when the office answers again.

A question that timed out may still be carried out later. The letter was deferred, and its next attempt has another
`tx`: it would find the stamp "in progress" until the lease is over. So what may be held is voided until the office
confirms it. It is voided once more a little later, because the question itself may still wait there. A void that comes
too late does no harm: it matches the `tx`, and a settlement has precedence.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Hold, Void

PAUSE_SECONDS = 1.0
AGAIN_SECONDS = 10.0
HOLDS_MAX = 10_000
"""The most holds remembered of one office. Beyond, the oldest are left until their leases end."""
BATCH_MAX = 500


@dataclass(frozen=True, slots=True)
class _Doubt:
    void: Void
    until: float
    """When the lease has ended at the latest."""
    at: float
    """When to void it; not before."""
    is_last: bool = False


class DoubtfulHolds:
    """The doubtful holds of one office. `void` raises `Unavailable` if the office does not answer."""

    def __init__(
        self, void: Callable[[Sequence[Void]], Awaitable[object]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._void = void
        self._clock = clock
        self._waiting: deque[_Doubt] = deque(maxlen=HOLDS_MAX)
        self._is_any = asyncio.Event()

    def add(self, holds: Sequence[Hold], lease_seconds: int) -> None:
        """Remember holds that were asked for but not answered; their leases last so many seconds."""
        now = self._clock()
        self._waiting.extend(_Doubt(hold.void(), now + lease_seconds, now) for hold in holds)
        self._is_any.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def run(self) -> None:
        """Give doubtful holds back as they come due, until cancelled."""
        while True:
            await self._is_any.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            await self.give_back()

    async def give_back(self) -> None:
        """Void the holds that are due now, as far as the office answers."""
        now = self._clock()
        due = [one for one in self._waiting if one.at <= now][:BATCH_MAX]
        try:
            if due:
                await self._void([one.void for one in due])
        except Unavailable:
            again: list[_Doubt] = due
        else:
            again = [_Doubt(one.void, one.until, now + AGAIN_SECONDS, True) for one in due if not one.is_last]
        rest = set(map(id, due))
        kept = [one for one in self._waiting if id(one) not in rest] + again
        self._waiting = deque((one for one in kept if one.until > now), maxlen=HOLDS_MAX)
        if not self._waiting:
            self._is_any.clear()
