"""Who may use how many connections to a mail server at once, and who is next.

A slow client must not keep others out, on purpose or not. So each network has a share. A connection that rests (its
user waits for its client) makes room for whoever needs one now: the one that has rested longest goes first, and one of
the same network before any other. If there is no room, one waits for a moment; then the network with the fewest
connections comes first. None of this touches a connection on which a command is under way.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pennyred.gate.smtp.sources import Source
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

PATIENCE_SECONDS = 5.0
"""How long to wait for a connection that others use; clients wait minutes for the reply to MAIL."""
_WAITING_MAX = 4
"""For each connection there may be, so many may wait."""
_WIDER = 2
"""A wider network (an IPv6 /48 with 65,536 networks) may have so many times the share of one network."""


class PoolExhausted(Unavailable):
    """All the connections that are allowed, to all or to this network, are in use."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.UPSTREAM_UNAVAILABLE, f"upstream: {detail}")


@dataclass(eq=False, slots=True)
class Slot:
    """The right to use one connection."""

    source: Source
    is_over: bool = False
    recall: Callable[[], None] | None = None
    """While the slot rests: the call that makes its user give the connection up. Else None."""


@dataclass(eq=False, slots=True)
class _Waiter:
    source: Source
    slot: asyncio.Future[Slot] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Slots:
    """The slots of one mail server; belongs to one event loop."""

    def __init__(self, total: int, per_network: int) -> None:
        self._total = total
        self._per_network = per_network
        self._used = 0
        self._by_network: dict[bytes, int] = {}
        self._resting: OrderedDict[Slot, None] = OrderedDict()
        self._waiting: list[_Waiter] = []

    @property
    def used(self) -> int:
        """How many slots are in use."""
        return self._used

    async def take(self, source: Source, *, is_modest: bool = False) -> Slot:
        """Take a slot, at once or within `PATIENCE_SECONDS`; raises `PoolExhausted`.

        `is_modest`: only a free slot, at once, because another mail server may have one.
        """
        slot = self.take_at_once(source, may_recall=not is_modest)
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
                self.leave(waiter.slot.result())  # the slot came too late
            if isinstance(error, TimeoutError):
                raise self._exhausted(source) from None
            raise

    def leave(self, slot: Slot) -> None:
        """Give a slot back; a second call does nothing."""
        if not slot.is_over:
            self._end(slot)
            if self._waiting:
                self._serve()

    def rest(self, slot: Slot, recall: Callable[[], None]) -> None:
        """Let a slot rest, as its user waits for its client. `recall` makes the user give it up, perhaps at once."""
        if not slot.is_over:
            slot.recall = recall
            self._resting[slot] = None
            if self._waiting:
                self._serve()

    def resume(self, slot: Slot) -> None:
        """The user of a resting slot goes on."""
        if slot.recall is not None:
            slot.recall = None
            self._resting.pop(slot, None)

    def take_at_once(self, source: Source, *, may_recall: bool = True) -> Slot | None:
        """A free slot, or that of a resting user; None if there is neither."""
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
        """Recall the slot that has rested longest (`of`: of this source). False if none rests."""
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
        """Give slots to those who wait: the network with the fewest comes first, then who came first."""
        while self._waiting:
            self._waiting = [waiter for waiter in self._waiting if not waiter.slot.done()]
            for waiter in sorted(self._waiting, key=lambda one: self._used_by(one.source.network)):
                slot = self.take_at_once(waiter.source)
                if slot is not None:
                    self._waiting.remove(waiter)
                    waiter.slot.set_result(slot)
                    break
            else:
                return

    def _is_room_to_wait(self, source: Source) -> bool:
        """Whether one more may wait. If the queue is full, the last one of the network with the most leaves it."""
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
            self._used_by(source.network) >= self._per_network
            or (bool(source.wider) and self._used_by(source.wider) >= _WIDER * self._per_network)
        )

    def _is_room_if_without(self, one: Source, source: Source) -> bool:
        """Whether `source` would be within its share if a slot of `one` were given back."""
        network, wider = self._used_by(source.network), self._used_by(source.wider)
        is_network_well = network - (one.network == source.network) < self._per_network
        is_wider_well = not source.wider or wider - (one.wider == source.wider) < _WIDER * self._per_network
        return is_network_well and is_wider_well

    def _count(self, source: Source, by: int) -> None:
        for name in (source.network, source.wider):
            if not name:
                continue
            if used := self._used_by(name) + by:
                self._by_network[name] = used
            else:
                self._by_network.pop(name, None)

    def _used_by(self, network: bytes) -> int:
        return self._by_network.get(network, 0)

    def _exhausted(self, source: Source) -> PoolExhausted:
        if self._is_at_share(source):
            return PoolExhausted("the client's network has as many connections in use as it may have")
        return PoolExhausted(f"all {self._total} connections are in use")
