"""The holds of letters under way that need not last, to hold them again where the ledger's process was started anew."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.redemption import HoldAnswer, Settle, Void
from pennyred.postage.stamp import StampKey

HOLDS_MAX = 20_000
"""More than letters are under way in one worker. Of more the oldest are forgotten: they are held, but not again."""
_PER_ASK = 500
_LOOK_SECONDS = 60


class HoldsInHand:
    """What this process holds. A hold is forgotten when it is settled or given back, and at the end of its lease."""

    def __init__(self) -> None:
        self._held: dict[StampKey, tuple[str, HoldOrder]] = {}
        self._now = 0
        self._looked_at = 0

    def __len__(self) -> int:
        return len(self._held)

    def note(self, receiver: str, orders: Sequence[HoldOrder], answers: Sequence[HoldAnswer], now: int) -> None:
        """Remember what these answers say is held; `now` is the time of the question."""
        for order, answer in zip(orders, answers, strict=True):
            if answer.outcome.is_held:
                self._held.pop(order.key, None)
                self._held[order.key] = receiver, order
        self._now = now
        if abs(now - self._looked_at) >= _LOOK_SECONDS or len(self._held) > HOLDS_MAX:
            self._look()

    def forget(self, items: Sequence[Settle | Void | HoldOrder]) -> None:
        """Forget what was settled or given back."""
        for item in items:
            self._held.pop(item.key, None)

    def to_hold_again(self) -> Iterator[tuple[str, list[HoldOrder], int]]:
        """Receiver, orders and time, list by list. Each order is a group of its own, as they are of many letters."""
        self._look()
        by_receiver: dict[str, list[HoldOrder]] = {}
        for receiver, order in self._held.values():
            by_receiver.setdefault(receiver, []).append(order)
        for receiver, orders in by_receiver.items():
            for first in range(0, len(orders), _PER_ASK):
                some = orders[first : first + _PER_ASK]
                yield receiver, [replace(order, group=group) for group, order in enumerate(some)], self._now

    def _look(self) -> None:
        """Forget what has come to the end of its lease, and the oldest of too many."""
        self._looked_at = self._now
        for key in [key for key, (_, order) in self._held.items() if order.lease_until <= self._now]:
            del self._held[key]
        while len(self._held) > HOLDS_MAX:
            del self._held[next(iter(self._held))]
