"""The office as a gate uses it: implements `ports.Redeemer` for one receiver."""

from collections.abc import Callable, Collection, Mapping, Sequence

from pennyred.office.checking import StampChecker
from pennyred.office.ledger.protocol import Ledger
from pennyred.postage.ledger_rules import LEASE_SECONDS_MAX, SETTLE_AFTER_EXPIRY_SECONDS, HoldOrder
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import Hold, HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import Stamp

_NO_TX = bytes(16)
_NOT_SERVED = HoldAnswer(HoldOutcome.WRONG_RECEIVER)


class LedgerRedeemer:
    """Holds, settles and voids for the receiver named `receiver`.

    If `domains` are given, it holds for these only, whatever the ledger allows the receiver. `checker` verifies every
    stamp that is held, and every one that is settled without a hold, because a gate elsewhere is not trusted
    (ARCHITECTURE.md, "The states of a stamp"). Of the gate in this process nothing is verified that it holds
    (`is_gate_trusted`): it has just done so with this office's keys, and only the times are checked again.
    """

    def __init__(
        self,
        ledger: Ledger,
        receiver: str,
        keys: Mapping[str, bytes],
        *,
        clock: Callable[[], int],
        checker: StampChecker,
        is_gate_trusted: bool = False,
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
        self._is_gate_trusted = is_gate_trusted
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
        """Take the price of the stamps; see `ports.Redeemer`.

        Nearly all are held, so the stamps that come with them are looked at only where they are not.
        """
        now = self._clock()
        outcomes = await self._ledger.settle(self._receiver, settles, now=now)
        if SettleOutcome.NO_SUCH_HOLD in outcomes:
            unheld = {
                place: Hold(_NO_TX, place, settle.stamp, settle.domain, settle.letter)
                for place, (settle, outcome) in enumerate(zip(settles, outcomes, strict=True))
                if outcome is SettleOutcome.NO_SUCH_HOLD and settle.stamp is not None
            }
            for place, outcome in zip(unheld, await self._settle_unheld(list(unheld.values()), now), strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _settle_unheld(self, holds: Sequence[Hold], now: int) -> list[SettleOutcome]:
        """Take the price of stamps that nobody remembers holding. They may have waited, so all of each is verified."""
        if not holds:
            return []
        flaws = await self._checked(holds, now)
        orders = [
            self._order(hold, None if _is_hardly_over(hold.stamp, flaw, now) else flaw, lease_until=0)
            for hold, flaw in zip(holds, flaws, strict=True)
        ]
        outcomes = await self._ledger.settle_stamps(self._receiver, orders, now=now)
        return [
            SettleOutcome.WRONG_RECEIVER if outcome is SettleOutcome.INVALID and self._is_foreign(hold) else outcome
            for hold, outcome in zip(holds, outcomes, strict=True)
        ]

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
        if not self._is_gate_trusted:
            return await self._checked(holds, now)
        return [hold.flaw or (Reason.EXPIRED if hold.stamp.expires_at <= now else None) for hold in holds]

    async def _checked(self, holds: Sequence[Hold], now: int) -> list[Reason | None]:
        for licence in (hold.stamp.licence for hold in holds):
            if licence.selector not in self._keys:
                self._look_for(licence.issuer, licence.selector)
        return await self._checker.flaws(holds, self._keys, now=now)


def _is_hardly_over(stamp: Stamp, flaw: Reason | None, now: int) -> bool:
    return flaw is Reason.EXPIRED and now < stamp.expires_at + SETTLE_AFTER_EXPIRY_SECONDS
