"""The office as a gate uses it: implements `ports.Redeemer` for one receiver."""

from collections.abc import Callable, Collection, Mapping, Sequence

from pennyred.office.checking import StampChecker
from pennyred.office.ledger.protocol import Ledger
from pennyred.postage.ledger_rules import LEASE_SECONDS_MAX, HoldOrder
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome

_NOT_SERVED = HoldAnswer(HoldOutcome.WRONG_RECEIVER)


class LedgerRedeemer:
    """Holds, settles and voids for the receiver named `receiver`.

    If `domains` are given, it holds for these only, whatever the ledger allows the receiver. `checker` verifies every
    stamp, because a gate elsewhere is not trusted (ARCHITECTURE.md, "The states of a stamp"). It is None for the gate
    in this process, which has just verified them with this office's keys; then only the times are checked again.
    """

    def __init__(
        self,
        ledger: Ledger,
        receiver: str,
        keys: Mapping[str, bytes],
        *,
        clock: Callable[[], int],
        checker: StampChecker | None,
        domains: Collection[str] = (),
        look_for: Callable[[str, str], object] = lambda issuer, selector: None,  # noqa: ARG005
        are_holds_lasting: bool = True,
    ) -> None:
        """`look_for` is called with issuer and selector of a key that is not in `keys`; it may add the key to them.

        Without `are_holds_lasting` the ledger may forget its holds in a crash: this gate settles with its stamps.
        """
        self._ledger = ledger
        self._receiver = receiver
        self._keys = keys
        self._clock = clock
        self._checker = checker
        self._domains = frozenset(domains)
        self._look_for = look_for
        self._are_holds_lasting = are_holds_lasting

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Reserve the stamps; see `ports.Redeemer`."""
        now = self._clock()
        lease_until = now + min(lease_seconds, LEASE_SECONDS_MAX)
        flaws = await self._flaws(holds, now)
        orders = [self._order(hold, flaw, lease_until) for hold, flaw in zip(holds, flaws, strict=True)]
        answers = await self._ledger.hold(self._receiver, orders, now=now, is_lasting=self._are_holds_lasting)
        return [
            _NOT_SERVED if answer.outcome is HoldOutcome.INVALID and self._is_foreign(hold) else answer
            for hold, answer in zip(holds, answers, strict=True)
        ]

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Take the price of the stamps; see `ports.Redeemer`."""
        return await self._ledger.settle(self._receiver, settles, now=self._clock())

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give the price of the stamps back; see `ports.Redeemer`."""
        return await self._ledger.void(self._receiver, voids, now=self._clock())

    def _order(self, hold: Hold, flaw: Reason | None, lease_until: int) -> HoldOrder:
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
            # A flaw, not a refusal: the letter may have been paid for while this gate still served that domain.
            flaw=Reason.WRONG_RECIPIENT if flaw is None and self._is_foreign(hold) else flaw,
        )

    def _is_foreign(self, hold: Hold) -> bool:
        return bool(self._domains) and hold.domain not in self._domains

    async def _flaws(self, holds: Sequence[Hold], now: int) -> list[Reason | None]:
        if self._checker is not None:
            for licence in (hold.stamp.licence for hold in holds):
                if licence.selector not in self._keys:
                    self._look_for(licence.issuer, licence.selector)
            return await self._checker.flaws(holds, self._keys, now=now)
        return [hold.flaw or (Reason.EXPIRED if hold.stamp.expires_at <= now else None) for hold in holds]
