"""What a ledger promises about stamps: hold, settle, void and refund. Of its protocol, what each letter needs."""

from collections.abc import Sequence
from typing import Protocol

from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


class Redemptions(Protocol):
    """The operations of `Ledger` on stamps. `receiver` is always a receiver's name, never its account id."""

    async def hold(
        self, receiver: str, orders: Sequence[HoldOrder], *, now: int, is_lasting: bool = True
    ) -> list[HoldAnswer]:
        """Reserve the prices of stamps. Orders of one group are held together or not at all.

        Groups are taken in the order of their first orders. Without `is_lasting` a crash may forget these holds: who
        asks so settles with the stamp. A ledger may keep them as durably as any other.
        """
        ...

    async def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """Take what was held for these letters. Also after the stamps have expired, until their day is forgotten."""
        ...

    async def settle_stamps(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[SettleOutcome]:
        """Take the price of stamps whose letters were delivered, held or not: a hold may be forgotten (see `hold`).

        What is not held for its letter is judged as a hold of it would be, and held and settled at once. Groups, leases
        and the tx do not matter.
        """
        ...

    async def void(self, receiver: str, voids: Sequence[Void], *, now: int) -> list[VoidOutcome]:
        """Give back what these delivery attempts hold."""
        ...

    async def refund(self, receiver: str, refunds: Sequence[Settle], *, now: int) -> list[RefundOutcome]:
        """Pay settled stamps back to their senders out of the receiver's balance."""
        ...
