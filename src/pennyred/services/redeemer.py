"""The office as a gate in the same process sees it: implements `ports.Redeemer` for one receiver."""

from collections.abc import Callable, Collection, Mapping, Sequence

from pennyred.ledger.protocol import Ledger
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.verdict import check_for_office

LEASE_SECONDS_MAX = 4 * 3600
"""The longest a gate may reserve a stamp for one delivery attempt."""


class LedgerRedeemer:
    """Holds, settles and voids for the receiver called `receiver`.

    `domains`, where there are any, are the only ones it redeems for, whatever the ledger would allow the receiver.
    `is_verified` says that the gate in this very process has verified the stamps with this office's keys just now; then
    only the times are looked at again. Any other gate is believed nothing (README, "The states of a stamp").
    """

    def __init__(
        self,
        ledger: Ledger,
        receiver: str,
        issuer: str,
        keys: Mapping[str, bytes],
        *,
        clock: Callable[[], int],
        is_verified: bool = False,
        domains: Collection[str] = (),
    ) -> None:
        self._ledger = ledger
        self._receiver = receiver
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._is_verified = is_verified
        self._domains = frozenset(domains)

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Reserve; see `ports.Redeemer`."""
        now = self._clock()
        lease_until = now + min(lease_seconds, LEASE_SECONDS_MAX)
        orders = [self._order(hold, lease_until, now) for hold in holds]
        return await self._ledger.hold(self._receiver, orders, now=now)

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Take; see `ports.Redeemer`."""
        return await self._ledger.settle(self._receiver, settles, now=self._clock())

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give back; see `ports.Redeemer`."""
        return await self._ledger.void(self._receiver, voids, now=self._clock())

    def _order(self, hold: Hold, lease_until: int, now: int) -> HoldOrder:
        stamp = hold.stamp
        return HoldOrder(
            tx=hold.tx,
            group=hold.group,
            account=stamp.account,
            serial=stamp.serial,
            expiry_day=stamp.expiry_day,
            price=stamp.price,
            public_key=stamp.licence.public_key,
            domain=hold.domain,
            letter=hold.letter,
            lease_until=lease_until,
            flaw=self._flaw(hold, now),
        )

    def _flaw(self, hold: Hold, now: int) -> Reason | None:
        if self._domains and hold.domain not in self._domains:
            return Reason.WRONG_RECEIVER
        if self._is_verified:
            return Reason.EXPIRED if hold.stamp.expires_at <= now else None
        return check_for_office(hold.stamp, issuer=self._issuer, keys=self._keys, now=now, domain=hold.domain)
