"""Stamps accepted on trust while their office does not answer (`on_office_down = "accept"`).

Only stamps that pass all offline checks are accepted, only of accounts that this gate has settled for before, and only
a few. So the loss by a stolen account is limited, and so is the receiver's. These stamps are written into the gate's
state, which serves as a small ledger meanwhile: the same letter finds its stamp paid, another letter finds it spent.
Stamps spent at this gate before are known there too. When the office answers, the stamps are held and settled there in
order. An account that does not pay for its stamps is not trusted again.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from pennyred.days import DAY_SECONDS
from pennyred.gate.letterlog import LetterLog
from pennyred.gate.memory.accepted import Accepted
from pennyred.gate.ports import Redeemer
from pennyred.postage.errors import Unavailable
from pennyred.postage.licence import Licence
from pennyred.postage.redemption import (
    Hold,
    HoldAnswer,
    HoldOutcome,
    Settle,
    SettleOutcome,
    Void,
    VoidOutcome,
)

REDEEM_LEASE_SECONDS = 120
POSTPONE_SECONDS = 600
"""The pause before a stamp is presented again, if its office says that time will cure its flaw."""
NOTE_SECONDS = DAY_SECONDS
"""How often it is noted that stamps of an account were settled."""
NOTED_MAX = 10_000
SPENT_UNWRITTEN_MAX = 10_000
"""The most stamps spent here that are not written to the state yet: those of about the last second."""

_AT_ONCE = 500
_GONE = (HoldOutcome.ALREADY_SETTLED, HoldOutcome.SPENT)
_LATER = (HoldOutcome.IN_PROGRESS, HoldOutcome.OVER_CAP, HoldOutcome.GROUP_FAILED)
_BLAMED = tuple(
    outcome.value
    for outcome in (
        HoldOutcome.UNKNOWN_ACCOUNT,
        HoldOutcome.ACCOUNT_CLOSED,
        HoldOutcome.INSUFFICIENT_BALANCE,
        SettleOutcome.NO_FUNDS,
    )
)
"""Reasons that only the account's owner can cause. Others are not his fault: the office was silent too long, this gate
may not redeem there, a stolen key was replaced, or a thief has used a copy of his stamp first."""


@dataclass(frozen=True, slots=True)
class TrustLimits:
    """The most stamps that are accepted on trust and not yet redeemed."""

    per_account: int
    total: int
    """The limit for all accounts of all offices together."""


class TrustingRedeemer:
    """Implements `ports.Redeemer` over an office's own redeemer; `run` presents the stamps that are owed."""

    def __init__(
        self,
        issuer: str,
        redeemer: Redeemer,
        book: Accepted,
        log: LetterLog,
        *,
        limits: TrustLimits,
        clock: Callable[[], int],
        is_revoked: Callable[[Licence], bool] = lambda _: False,
        is_accepting: bool = True,
    ) -> None:
        """`is_accepting`: whether stamps are taken on trust. If not, only those taken before are presented."""
        self._issuer = issuer
        self._is_accepting = is_accepting
        self._redeemer = redeemer
        self._book = book
        self._log = log
        self.limits = limits
        """The limits in use; a reload may replace them."""
        self._clock = clock
        self._is_revoked = is_revoked
        self._is_owing = True
        """Whether stamps of this office may be owed; if not, the state is not asked."""
        self._takes = 0
        self._noted: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._spent: deque[Settle] = deque(maxlen=SPENT_UNWRITTEN_MAX)

    async def hold(self, holds: Sequence[Hold], *, lease_seconds: int) -> list[HoldAnswer]:
        """Hold at the office; if it does not answer, on trust. See `ports.Redeemer.hold`."""
        try:
            if self._is_owing:
                owed, is_in_progress = await self._book.open_among(holds, now=self._clock())
                if is_in_progress:
                    return [HoldAnswer(HoldOutcome.IN_PROGRESS)] * len(holds)
                if owed:  # ask the state before the office: else the same letter would be held and delivered again
                    await self._present(owed)
            answers = await self._redeemer.hold(holds, lease_seconds=lease_seconds)
        except Unavailable as trouble:
            if not trouble.is_silence or not (self._is_accepting or self._is_owing):
                raise
            return await self._take(holds, lease_seconds, trouble)
        if self._is_accepting:
            pairs = zip(holds, answers, strict=True)
            self._spent += [_first_use(hold, answer) for hold, answer in pairs if answer.outcome in _GONE]
        return answers

    async def settle(self, settles: Sequence[Settle]) -> list[SettleOutcome]:
        """Settle at the office what it holds, and owe what was accepted on trust; see `ports.Redeemer.settle`."""
        if not self._is_owing and not self._is_accepting:
            return await self._redeemer.settle(settles)
        owed = await self._book.owe(settles) if self._is_owing else [False] * len(settles)
        rest = [settle for settle, is_owed in zip(settles, owed, strict=True) if not is_owed]
        if self._is_accepting:
            self._spent += [
                settle.without_stamp() for settle in rest
            ]  # whatever the office answers: these letters were delivered
        outcomes = iter(await self._redeemer.settle(rest) if rest else [])
        answers = [SettleOutcome.SETTLED if is_owed else next(outcomes) for is_owed in owed]
        paid = zip(settles, owed, answers, strict=True)
        if self._is_accepting:
            await self._note([settle for settle, is_owed, answer in paid if not is_owed and answer.is_paid])
        return answers

    async def void(self, voids: Sequence[Void]) -> list[VoidOutcome]:
        """Give holds back, at the office too: it may have one that it did not confirm. See `ports.Redeemer.void`."""
        released = await self._book.release(voids) if self._is_owing else [False] * len(voids)
        try:
            outcomes = await self._redeemer.void(voids)
        except Unavailable:
            if not all(released):
                raise
            outcomes = [VoidOutcome.NOT_HELD] * len(voids)
        pairs = zip(released, outcomes, strict=True)
        return [VoidOutcome.VOIDED if is_released else outcome for is_released, outcome in pairs]

    async def run(self, pause_seconds: float) -> None:
        """Present owed stamps until each is paid or lost. Ends when cancelled, or when no more can be owed."""
        while self._is_accepting or self._is_owing:
            try:
                await self.flush()
                await self._book.sweep()
                await self.redeem()
                takes = self._takes
                is_owing = await self._book.is_owing(self._issuer)
                if takes == self._takes:  # none was taken while the list was read
                    self._is_owing = is_owing
            except Unavailable:
                pass  # the office or the state does not answer: try the next time
            await asyncio.sleep(pause_seconds)

    async def flush(self) -> None:
        """Write down what was spent lately. While the office answers, no letter waits for that; see `_take`."""
        while some := [self._spent.popleft() for _ in range(min(len(self._spent), _AT_ONCE))]:
            try:
                await self._book.note_spent(some)
            except Unavailable:
                self._spent.extendleft(reversed(some))
                raise

    async def redeem(self) -> None:
        """Present the stamps that are owed now. Raises `Unavailable` if the office or the state does not answer."""
        while holds := await self._book.waiting(self._issuer, now=self._clock()):
            await self._present(holds)

    async def _take(self, holds: Sequence[Hold], lease_seconds: int, trouble: Unavailable) -> list[HoldAnswer]:
        if any(self._is_revoked(hold.stamp.licence) for hold in holds):
            raise trouble  # not trusted, and not refused here either: the office may know the letter
        await self.flush()
        now = self._clock()
        self._is_owing = True
        self._takes += 1
        outcomes = await self._book.take(
            holds,
            lease_until=now + lease_seconds,
            now=now,
            per_account_max=self.limits.per_account if self._is_accepting else 0,
            total_max=self.limits.total if self._is_accepting else 0,
        )
        self._takes += 1
        pairs = list(zip(holds, outcomes, strict=True))
        unknown = [hold for hold, outcome in pairs if outcome is HoldOutcome.GROUP_FAILED]
        if len(unknown) == len(holds) or any(hold.flaw is not None for hold in unknown):
            raise trouble  # no (further) trust in this account, or only the office knows the letter
        if taken := [hold for hold, outcome in pairs if outcome is HoldOutcome.HELD]:
            self._log.trusted(taken, str(trouble))
        return [HoldAnswer(outcome) for outcome in outcomes]

    async def _present(self, holds: Sequence[Hold]) -> None:
        """Hold and settle each owed stamp at the office, one by one, and note what became of it."""
        alone = [replace(hold, group=place) for place, hold in enumerate(holds)]
        answers = await self._redeemer.hold(alone, lease_seconds=REDEEM_LEASE_SECONDS)
        held = [hold.settle() for hold, answer in zip(holds, answers, strict=True) if answer.outcome.is_held]
        outcomes = await self._redeemer.settle(held) if held else []
        told = list(zip(held, outcomes, strict=True))
        paid = [settle for settle, outcome in told if outcome.is_paid]
        later = [settle for settle, outcome in told if outcome.may_change]
        unpaid = [(one, outcome.value) for one, outcome in told if not outcome.is_paid and not outcome.may_change]
        for hold, answer in zip(holds, answers, strict=True):
            if answer.outcome is HoldOutcome.ALREADY_SETTLED:
                paid.append(hold.settle())
            elif answer.outcome in _LATER:
                later.append(hold.settle())
            elif not answer.outcome.is_held:
                unpaid.append((hold.settle(), answer.outcome.value))
        await self._book.redeemed(paid)
        if paid:
            self._log.redeemed(self._issuer, len(paid))
        if later:
            await self._book.postpone(later, until=self._clock() + POSTPONE_SECONDS)
        for settle, why in unpaid:
            lost = await self._book.lost([settle], is_blamed=why in _BLAMED)
            if lost:  # another worker may have got the same answer
                self._log.unredeemed(lost, why)

    async def _note(self, settles: Sequence[Settle]) -> None:
        """Note the accounts that this gate has settled for, each once a day."""
        now = self._clock()
        accounts = {(settle.issuer, settle.account) for settle in settles}
        new = {one for one in accounts if now - self._noted.get(one, -NOTE_SECONDS) >= NOTE_SECONDS}
        if not new:
            return
        try:
            await self._book.note_settled(new, now=now)
        except Unavailable:
            return  # it is settled all the same; the next one will be noted
        for one in new:
            self._noted[one] = now
            self._noted.move_to_end(one)
        while len(self._noted) > NOTED_MAX:
            self._noted.popitem(last=False)


def _first_use(hold: Hold, answer: HoldAnswer) -> Settle:
    """The earlier use of a stamp that cannot be used again; its letter is empty if that may not be this gate's."""
    letter = hold.letter
    if answer.outcome is HoldOutcome.SPENT:
        used = answer.first_use.letter if answer.first_use is not None else b""
        letter = used if used != hold.letter else b""  # the same letter, but at another receiver
    return replace(hold.settle().without_stamp(), letter=letter)
