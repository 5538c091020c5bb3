"""A redeemer that counts the answers of another one. Implements `ports.Redeemer`."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from pennyred.gate.ports import Redeemer
from pennyred.metrics.catalogue import UNAVAILABLE
from pennyred.metrics.sheet import Counter
from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome

T = TypeVar("T")


class CountedRedeemer:
    """Passes questions on, and counts the answers."""

    def __init__(self, redeemer: Redeemer, counter: Counter) -> None:
        self._redeemer = redeemer
        self._counter = counter
        self.is_answering = True
        """Whether the office has answered the last question; True before the first."""

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Hold stamps, as `ports.Redeemer.hold` says; the answers are counted."""
        answers = await self._ask("hold", len(holds), self._redeemer.hold(holds, lease_seconds=lease_seconds))
        for answer in answers:
            self._counter.add("hold", answer.outcome)
        return answers

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Settle held stamps, as `ports.Redeemer.settle` says; the answers are counted."""
        outcomes = await self._ask("settle", len(settles), self._redeemer.settle(settles))
        for outcome in outcomes:
            self._counter.add("settle", outcome)
        return outcomes

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give held stamps back, as `ports.Redeemer.void` says; the answers are counted."""
        outcomes = await self._ask("void", len(voids), self._redeemer.void(voids))
        for outcome in outcomes:
            self._counter.add("void", outcome)
        return outcomes

    async def _ask(self, operation: str, count: int, asked: Awaitable[list[T]]) -> list[T]:
        try:
            answers = await asked
        except Unavailable:
            self.is_answering = False
            self._counter.add(operation, UNAVAILABLE, by=count)
            raise
        self.is_answering = True
        return answers
