"""Who may use how many connections to a mail server at once, and whose turn it is.

Whoever is slow must not keep others out, on purpose or not. So a network has a share; what waits for its client makes
room for whoever needs a connection now, the longest waiting first, and a network's own before anybody else's; and what
cannot be had at once is waited for, a moment: then whose network has the fewest comes first. None of this touches a
connection that the mail server is being spoken with on.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pennyred.gate.smtp.sources import Source
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

PATIENCE_SECONDS = 5.0
"""So long one waits for a connection that others use; mail servers wait minutes for the answer to MAIL."""
_WAITING_MAX = 4
"""Times as many as there are connections may wait for one."""
_WIDER = 2
"""Times the share of a network is what the wider one it is of may have: an IPv6 /48 has 65,536 networks."""


class PoolExhausted(Unavailable):
    """As many connections as allowed are in use."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.UPSTREAM_UNAVAILABLE, f"upstream: {detail}")


@dataclass(eq=False, slots=True)
class Slot:
    """The right to use one connection."""

    source: Source
    is_over: bool = False
    recall: Callable[[], None] | None = None
    """While it rests: what has its user let go of the connection."""


@dataclass(eq=False, slots=True)
class _Waiter:
    source: Source
    slot: asyncio.Future[Slot] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Slots:
    """Of one mail server; belongs to one event loop."""

    def __init__(self, total: int, per_network: int) -> None:
        self._total = total
        self._per_network = per_network
        self._used = 0
        self._by_network: Counter[bytes] = Counter()
        self._resting: OrderedDict[Slot, None] = OrderedDict()
        self._waiting: list[_Waiter] = []

    @property
    def used(self) -> int:
        """How many are in use."""
        return self._used

    async def take(self, source: Source, *, is_modest: bool = False) -> Slot:
        """One, at once or a moment later; raises `PoolExhausted`.

        `is_modest`: only one that is free, as there may be one elsewhere.
        """
        slot = self._take(source, may_recall=not is_modest)
        if slot is not None:
            return slot
        if is_modest or not self._is_room_to_wait(source):
            raise self._exhausted(source)
        waiter = _Waiter(source)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await waiter.slot
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.slot.done() and not waiter.slot.cancelled():
                self.leave(waiter.slot.result())  # it came too late
            if isinstance(error, TimeoutError):
                raise self._exhausted(source) from None
            raise

    def leave(self, slot: Slot) -> None:
        """It is needed no more; may be called again."""
        if not slot.is_over:
            self._end(slot)
            self._serve()

    def rest(self, slot: Slot, recall: Callable[[], None]) -> None:
        """Its user waits for somebody who is not the mail server; `recall` has him let go, perhaps now."""
        if not slot.is_over:
            slot.recall = recall
            self._resting[slot] = None
            self._serve()

    def resume(self, slot: Slot) -> None:
        """Its user goes on."""
        self._resting.pop(slot, None)
        slot.recall = None

    def _take(self, source: Source, *, may_recall: bool = True) -> Slot | None:
        """One that is free, or that of one who rests."""
        is_at_share = self._is_at_share(source)
        if is_at_share or self._used >= self._total:
            is_had = may_recall and self._recall_one(source if is_at_share else None)
            if not is_had:
                return None
        slot = Slot(source)
        self._used += 1
        self._count(source, 1)
        return slot

    def _recall_one(self, of: Source | None) -> bool:
        """Take that one's slot who rests longest, or longest of this source; False where nobody does."""
        for slot in self._resting:
            if of is None or self._is_room_if_without(slot.source, of):
                recall = slot.recall
                self._end(slot)
                if recall is not None:
                    recall()
                return True
        return False

    def _end(self, slot: Slot) -> None:
        slot.is_over = True
        self.resume(slot)
        self._used -= 1
        self._count(slot.source, -1)

    def _serve(self) -> None:
        """Give those who wait what there is for them: who has the fewest comes first, then who came first."""
        while self._waiting:
            self._waiting = [waiter for waiter in self._waiting if not waiter.slot.done()]
            for waiter in sorted(self._waiting, key=lambda one: self._by_network[one.source.network]):
                slot = self._take(waiter.source)
                if slot is not None:
                    self._waiting.remove(waiter)
                    waiter.slot.set_result(slot)
                    break
            else:
                return

    def _is_room_to_wait(self, source: Source) -> bool:
        """Whether one more may wait; where many do, the last of those leaves of whose network there are most."""
        if len(self._waiting) < _WAITING_MAX * self._total:
            return True
        waiting = Counter(waiter.source.network for waiter in self._waiting)
        last = max(reversed(self._waiting), key=lambda waiter: waiting[waiter.source.network])
        if waiting[last.source.network] <= waiting[source.network] + 1:
            return False
        self._waiting.remove(last)
        if not last.slot.done():
            last.slot.set_exception(self._exhausted(last.source))
        return True

    def _is_at_share(self, source: Source) -> bool:
        return bool(source.network) and (
            self._by_network[source.network] >= self._per_network
            or (bool(source.wider) and self._by_network[source.wider] >= _WIDER * self._per_network)
        )

    def _is_room_if_without(self, one: Source, source: Source) -> bool:
        """Whether there would be room for `source` in its share without one of another's."""
        network, wider = (self._by_network[name] for name in (source.network, source.wider))
        is_network_well = network - (one.network == source.network) < self._per_network
        is_wider_well = not source.wider or wider - (one.wider == source.wider) < _WIDER * self._per_network
        return is_network_well and is_wider_well

    def _count(self, source: Source, by: int) -> None:
        for name in (source.network, source.wider):
            if name:
                self._by_network[name] += by
                if not self._by_network[name]:
                    del self._by_network[name]

    def _exhausted(self, source: Source) -> PoolExhausted:
        if self._is_at_share(source):
            return PoolExhausted("the client's network has as many connections in use as it may have")
        return PoolExhausted(f"all {self._total} connections are in use")
