"""A redeemer that counts the answers of another one. Implements `ports.Redeemer`."""

from collections.abc import Iterable, Sequence

from pennyred.gate.ports import Redeemer
from pennyred.metrics.catalogue import UNAVAILABLE
from pennyred.metrics.sheet import Counter
from pennyred.postage.errors import Unavailable
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


class CountedRedeemer:
    """Passes questions on, and counts the answers."""

    def __init__(self, redeemer: Redeemer, counter: Counter) -> None:
        self._redeemer = redeemer
        self._counter = counter
        self.is_answering = True
        """Whether the office has answered the last question; True before the first."""

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Hold stamps, as `ports.Redeemer.hold` says; the answers are counted."""
        try:
            answers = await self._redeemer.hold(holds, lease_seconds=lease_seconds)
        except Unavailable:
            self._note_silence("hold", len(holds))
            raise
        self._note("hold", [answer.outcome for answer in answers])
        return answers

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Settle held stamps, as `ports.Redeemer.settle` says; the answers are counted."""
        try:
            outcomes = await self._redeemer.settle(settles)
        except Unavailable:
            self._note_silence("settle", len(settles))
            raise
        self._note("settle", outcomes)
        return outcomes

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give held stamps back, as `ports.Redeemer.void` says; the answers are counted."""
        try:
            outcomes = await self._redeemer.void(voids)
        except Unavailable:
            self._note_silence("void", len(voids))
            raise
        self._note("void", outcomes)
        return outcomes

    def _note(self, operation: str, outcomes: Iterable[str]) -> None:
        self.is_answering = True
        for outcome in outcomes:
            self._counter.add(operation, outcome)

    def _note_silence(self, operation: str, count: int) -> None:
        self.is_answering = False
        self._counter.add(operation, UNAVAILABLE, by=count)
