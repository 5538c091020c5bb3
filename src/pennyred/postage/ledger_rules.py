"""What may happen to a stamp in a ledger: the states and their precedence (ARCHITECTURE.md), as ordered functions.

Each `decide_*` answers for one stamp, from facts somebody else has read; the order of its lines is the order of
precedence. Nothing here moves money or remembers anything: `office.ledger.batch` applies the answers, a back end stores
them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import FirstUse, HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome

DAY_SECONDS = 86_400
EXPIRY_DAYS_AHEAD_MAX = 15
"""A stamp lives 14 days at most and clocks differ, so a later day is of a stamp not valid yet; it bounds the tables."""
DAYS_KEPT_AFTER_EXPIRY = 7
"""So long after it ends a day's stamps are remembered; the sweep below and every retry are over by then."""
LEASE_SECONDS_MAX = 4 * 3600
"""The longest a gate may reserve a stamp for one delivery attempt."""
SWEEP_AFTER_SECONDS = 5 * DAY_SECONDS
"""A hold whose lease ended so long ago is given up: SMTP clients retry for 5 days at most (RFC 5321 4.5.4.1)."""
IN_DOUBT_DAYS = 30
IN_DOUBT_HOLDS_MIN = 100
IN_DOUBT_PERCENT_MAX = 1


class StampState(IntEnum):
    """What a ledger remembers of a stamp; one it does not know is unseen. The numbers are stored: never reuse one."""

    HELD = 1
    VOIDED = 2
    SETTLED = 3
    REFUNDED = 4


class StampRecord(NamedTuple):
    """One stamp as stored. A tuple, not a dataclass: it is a table's row, made by the hundred thousand."""

    state: int
    """A `StampState`; a plain integer as it comes from the row."""
    receiver: str
    domain: str
    letter: bytes
    tx: bytes
    """Of the attempt that holds it; empty when none does."""
    price: int
    cap_day: int
    """The UTC day whose cap it was counted on."""
    lease_until: int
    """0 when not held."""
    settled_at: int
    """0 until settled."""
    place: int = 0
    """Of its settlement in the journal's chain (`chain.place_of`); 0 where there is none."""

    @property
    def first_use(self) -> FirstUse:
        """The evidence that it is spent."""
        return FirstUse(self.receiver, self.domain, self.letter, self.settled_at)


@dataclass(slots=True)
class AccountFigures:
    """A sender's account as one batch works on it; mutable, because each stamp of a batch sees those before it."""

    is_open: bool
    public_key: bytes
    daily_cap: int
    balance: int
    held: int
    used_today: int
    """Stamps held or settled on the office's UTC day, those given back deducted."""

    @property
    def available(self) -> int:
        """What may be held."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """One stamp to be held, as the office read it from the stamp itself.

    Raises ValueError where the price is not positive or a length is wrong: parsing a stamp rules that out.
    """

    tx: bytes
    group: int
    account: str
    serial: bytes
    expiry_day: int
    price: int
    public_key: bytes
    """The licence's; the account's own must be the same, else the licence is revoked."""
    domain: str
    letter: bytes
    lease_until: int
    flaw: Reason | None = None
    """What the office's own check found wrong, or the gate itself (`Hold.flaw`). It comes after what was settled or
    held before, so the ledger is asked all the same: an honest retry of a stamp that has expired meanwhile, or that the
    gate would not take any more, is told that it was settled. But with a flaw nothing is held that is not held yet."""

    def __post_init__(self) -> None:
        if self.price < 1 or len(self.serial) != 16 or len(self.tx) != 16 or len(self.letter) != 32:
            raise ValueError("a hold order needs a positive price, 16 bytes of serial and tx, 32 of letter")


class HoldFacts(NamedTuple):
    """What a whole list of holds of one receiver is judged by."""

    receiver: str
    domains: frozenset[str]
    """Registered to the receiver; `*` is any; empty where it is unknown or closed."""
    floor_day: int
    """The last day whose stamps were forgotten."""
    now: int


class RefundOutcome(StrEnum):
    """What a refund can answer."""

    REFUNDED = "refunded"
    ALREADY_REFUNDED = "already-refunded"
    NOT_SETTLED = "not-settled"
    """Not settled for this receiver and letter: no change."""
    NO_FUNDS = "no-funds"
    """The receiver has spent what it would have to give back: no change."""


class SweepDecision(Enum):
    """What becomes of a hold that nobody settled or voided."""

    VOID = "void"
    SETTLE = "settle"


def utc_day(now: int) -> int:
    """The UTC day of a time, as days since 1970-01-01."""
    return now // DAY_SECONDS


def may_redeem_for(domains: frozenset[str], domain: str) -> bool:
    """Whether a receiver with these registered domains may redeem a stamp for this one."""
    return domain in domains or "*" in domains


_ANSWERS = {outcome: HoldAnswer(outcome) for outcome in HoldOutcome}


def decide_hold(
    order: HoldOrder, stamp: StampRecord | None, account: AccountFigures | None, facts: HoldFacts
) -> HoldAnswer:
    """Answer one hold as if it were alone in its group; the first line that applies is the answer."""
    if order.flaw is Reason.WRONG_RECEIVER or not may_redeem_for(facts.domains, order.domain):
        return _ANSWERS[HoldOutcome.WRONG_RECEIVER]
    if stamp is not None and stamp.state != StampState.VOIDED:
        is_same = stamp.receiver == facts.receiver and stamp.letter == order.letter
        if stamp.state == StampState.HELD:
            # A tx is a delivery attempt of one letter: the same one for another letter is no repetition.
            is_renewed = is_same and (stamp.tx == order.tx or not is_leased(stamp.lease_until, facts.now))
            return _ANSWERS[HoldOutcome.RENEWED if is_renewed else HoldOutcome.IN_PROGRESS]
        if is_same:
            return _ANSWERS[HoldOutcome.ALREADY_SETTLED]
        return _decide_new_hold(order, stamp, account, facts)
    return _decide_new_hold(order, None, account, facts)


def _decide_new_hold(  # noqa: PLR0911 - one ordered list, each line a rule
    order: HoldOrder, used: StampRecord | None, account: AccountFigures | None, facts: HoldFacts
) -> HoldAnswer:
    """Answer a hold that repeats nothing; `used` is the stamp's record where it was settled for something else."""
    if order.flaw is not None and order.flaw is not Reason.EXPIRED:
        return HoldAnswer(HoldOutcome.INVALID, reason=order.flaw.value)
    today = utc_day(facts.now)
    if order.expiry_day > today + EXPIRY_DAYS_AHEAD_MAX:
        return HoldAnswer(HoldOutcome.INVALID, reason=Reason.NOT_YET_VALID.value)
    if account is None:
        return _ANSWERS[HoldOutcome.UNKNOWN_ACCOUNT]
    if not account.is_open:
        return _ANSWERS[HoldOutcome.ACCOUNT_CLOSED]
    if order.public_key != account.public_key:
        return _ANSWERS[HoldOutcome.REVOKED]
    if order.flaw is Reason.EXPIRED or order.expiry_day <= facts.floor_day or order.expiry_day < today:
        return _ANSWERS[HoldOutcome.EXPIRED]
    if used is not None:
        return HoldAnswer(HoldOutcome.SPENT, first_use=used.first_use)
    if account.used_today + order.price > account.daily_cap:
        return _ANSWERS[HoldOutcome.OVER_CAP]
    if account.available < order.price:
        return _ANSWERS[HoldOutcome.INSUFFICIENT_BALANCE]
    return _ANSWERS[HoldOutcome.HELD]


def is_leased(lease_until: int, now: int) -> bool:
    """Whether a delivery may still be under way. A lease that would last longer than any was given while the clock was
    ahead, and would keep an honest retry waiting until its sender gives up.
    """
    return now < lease_until <= now + LEASE_SECONDS_MAX


def fails_group(outcome: HoldOutcome) -> bool:
    """Whether the other stamps of the letter are not held because of this answer; one settled before harms no other."""
    return not outcome.is_held and outcome is not HoldOutcome.ALREADY_SETTLED


def decide_settle(settle: Settle, receiver: str, stamp: StampRecord | None, available: int) -> SettleOutcome:
    """Answer one settle; `available` is what the sender's account has that is not held."""
    if stamp is None or stamp.receiver != receiver or stamp.letter != settle.letter:
        return SettleOutcome.NO_SUCH_HOLD
    if stamp.state == StampState.HELD:
        return SettleOutcome.SETTLED
    if stamp.state == StampState.VOIDED:
        return SettleOutcome.SETTLED if available >= stamp.price else SettleOutcome.NO_FUNDS
    return SettleOutcome.ALREADY_SETTLED


def decide_void(void: Void, receiver: str, stamp: StampRecord | None) -> VoidOutcome:
    """Answer one void: only the attempt that holds the stamp may give it back."""
    if stamp is None or stamp.state != StampState.HELD or stamp.receiver != receiver or stamp.tx != void.tx:
        return VoidOutcome.NOT_HELD
    return VoidOutcome.VOIDED


def decide_refund(refund: Settle, receiver: str, stamp: StampRecord | None, receiver_balance: int) -> RefundOutcome:
    """Answer one refund, paid out of the receiver's balance."""
    if stamp is None or stamp.receiver != receiver or stamp.letter != refund.letter:
        return RefundOutcome.NOT_SETTLED
    if stamp.state == StampState.REFUNDED:
        return RefundOutcome.ALREADY_REFUNDED
    if stamp.state != StampState.SETTLED:
        return RefundOutcome.NOT_SETTLED
    return RefundOutcome.REFUNDED if receiver_balance >= stamp.price else RefundOutcome.NO_FUNDS


def is_to_be_swept(lease_until: int, now: int) -> bool:
    """Whether a hold's lease ended so long ago that no delivery can still be under way."""
    return lease_until + SWEEP_AFTER_SECONDS < now


def decide_sweep(holds: int, in_doubt: int) -> SweepDecision:
    """Void, unless more than a hundredth of this sender's holds at this receiver would have been voided in doubt.

    `holds` and `in_doubt` are the counts of the last 30 days without this one. A receiver that never settles would read
    for nothing: below 1% it is an accident, above it is a habit.
    """
    if holds >= IN_DOUBT_HOLDS_MIN and (in_doubt + 1) * 100 > holds * IN_DOUBT_PERCENT_MAX:
        return SweepDecision.SETTLE
    return SweepDecision.VOID


def oldest_day_kept(now: int) -> int:
    """The earliest expiry day whose stamps are still remembered; earlier ones may go, once nothing of them is held."""
    return utc_day(now) - DAYS_KEPT_AFTER_EXPIRY


def droppable_days(days: Iterable[int], oldest_open_day: int | None, now: int) -> list[int]:
    """Which of the remembered days may be forgotten, oldest first: 7 days after they end, never with open holds.

    None behind a day that may not: the floor must not pass a day in use. `oldest_open_day` is that of an open hold.
    """
    first_kept = oldest_day_kept(now) if oldest_open_day is None else min(oldest_day_kept(now), oldest_open_day)
    return sorted(day for day in days if day < first_kept)
