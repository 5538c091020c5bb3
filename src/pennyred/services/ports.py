"""What the verbs need from outside, as shapes: who answers is decided by `programs`.

Every method may raise `Unavailable`, which always means "later", and nothing else that is expected.
"""

from collections.abc import Sequence
from typing import Protocol

from pennyred.postage.policy import AllowanceClaim
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


class Redeemer(Protocol):
    """An office as a gate sees it: inside the same process or over the network, on behalf of one receiver.

    Each call takes a list and answers with a list of the same length and order. Every call may be repeated.
    """

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Reserve each stamp's price; holds of one group are held together or not at all."""
        ...

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Take what was held. When this returns, it is durable."""
        ...

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give back what was held under this tx."""
        ...


class AllowanceBook(Protocol):
    """The gate's counters of what came free: by UTC day, shared by all workers, surviving a restart."""

    async def take(self, day: int, claims: Sequence[AllowanceClaim]) -> bool:
        """Count all claims if each stays within its limit, else count none and answer False."""
        ...

    async def give_back(self, day: int, claims: Sequence[AllowanceClaim]) -> None:
        """Uncount what `take` counted: the letter was not delivered."""
        ...


class SettlementOutbox(Protocol):
    """Settlements the office has not confirmed yet, kept durably until it does."""

    async def add(self, settles: Sequence[Settle], *, now: int) -> None:
        """Write them down; when this returns they survive a crash."""
        ...

    async def pending(self, limit: int) -> Sequence["PendingSettlement"]:
        """Those not confirmed yet, oldest first."""
        ...

    async def done(self, ids: Sequence[int]) -> None:
        """Forget those the office has answered."""
        ...


class PartlyBook(Protocol):
    """Who has had a letter that others of its recipients must wait for; letters are named by `Standing.letter_hash`."""

    async def had(self, letters: Sequence[bytes]) -> frozenset[bytes]:
        """Those that were delivered in an earlier attempt."""
        ...

    async def add(self, day: int, letters: Sequence[bytes]) -> None:
        """Note that these were delivered; when this returns, it is durable."""
        ...


class PendingSettlement(Protocol):
    """One line of the outbox."""

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def settle(self) -> Settle: ...  # noqa: D102
