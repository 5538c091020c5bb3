"""The rules of a ledger: which states a stamp can have and which answer an operation gets (ARCHITECTURE.md).

Each `decide_*` answers for one stamp, from facts that the caller has read. The order of its lines is the order of
precedence. Nothing here moves money or stores anything: `office.ledger.batch` applies the answers, and a back end
stores them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import FirstUse, HoldAnswer, HoldOutcome, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import StampKey

EXPIRY_DAYS_AHEAD_MAX = 15
"""How many days ahead a stamp may expire. A stamp lives at most 14 days, and clocks differ by less than a day; a later
day belongs to a stamp that is not valid yet. The limit also bounds the size of the tables."""
DAYS_KEPT_AFTER_EXPIRY = 7
"""How long stamps are remembered after their expiry day. By then every retry and the sweep below are over."""
LEASE_SECONDS_MAX = 4 * 3600
"""The longest a gate may reserve a stamp for one delivery attempt."""
SETTLE_AFTER_EXPIRY_SECONDS = DAY_SECONDS
"""How long after its end a stamp may still be taken for a letter that was delivered in time, where no hold is found."""
SWEEP_AFTER_SECONDS = 5 * DAY_SECONDS
"""How long after the end of its lease a hold is given up: SMTP clients retry for about 5 days (RFC 5321 4.5.4.1)."""
IN_DOUBT_DAYS = 30
IN_DOUBT_HOLDS_MIN = 100
IN_DOUBT_PERCENT_MAX = 1
"""When abandoned holds are settled and not voided; see `decide_sweep`."""


class StampState(IntEnum):
    """The state of a stamp in a ledger; a stamp without a record is unseen. The numbers are stored: never reuse one."""

    HELD = 1
    VOIDED = 2
    SETTLED = 3
    REFUNDED = 4


class StampRecord(NamedTuple):
    """One stamp as it is stored. It is a tuple, not a dataclass, because it is made for every row that is read."""

    state: int
    """A `StampState`, as the plain integer from the row."""
    receiver: str
    domain: str
    letter: bytes
    tx: bytes
    """The delivery attempt that holds the stamp, 16 bytes; empty if none does."""
    price: int
    cap_day: int
    """The UTC day on whose cap the stamp was counted, days since 1970-01-01."""
    lease_until: int
    """When the lease of the hold ends, seconds since 1970 UTC; 0 if the stamp is not held."""
    settled_at: int
    """When the stamp was settled, seconds since 1970 UTC; 0 if it was not."""
    place: int = 0
    """Where its settlement stands in the journal's chain (`chain.place_of`); 0 if nowhere."""

    @property
    def first_use(self) -> FirstUse:
        """The evidence that the stamp is spent, for the answer to another letter."""
        return FirstUse(self.receiver, self.domain, self.letter, self.settled_at)


@dataclass(slots=True)
class AccountFigures:
    """A sender's account while a batch is decided, in stamps. Mutable: each stamp must see what others took before."""

    is_open: bool
    public_key: bytes
    daily_cap: int
    balance: int
    held: int
    used_today: int
    """Stamps held or settled on this UTC day, without those that were given back."""

    @property
    def available(self) -> int:
        """How many stamps may still be held."""
        return self.balance - self.held


class HoldOrder(Struct, frozen=True, gc=False):
    """One stamp to be held, with what the office has read from the stamp itself.

    Raises ValueError for a price below 1 or a wrong length; a parsed stamp never has these.
    """

    tx: bytes
    group: int
    account: str
    serial: bytes
    expiry_day: int
    price: int
    public_key: bytes
    """The key in the licence. If the account has another key now, the licence is revoked."""
    domain: str
    letter: bytes
    lease_until: int
    flaw: Reason | None = None
    """What the office's own check, or the gate (`Hold.flaw`), found wrong. The ledger is asked all the same, because an
    earlier hold or settlement comes first: an honest retry is told that the stamp was settled, even if it has expired
    since or the gate would not take it any more. But a stamp with a flaw is never held anew."""

    def __post_init__(self) -> None:
        if self.price < 1 or len(self.serial) != 16 or len(self.tx) != 16 or len(self.letter) != 32:
            raise ValueError("a hold order needs a positive price, 16 bytes of serial and tx, 32 of letter")

    @property
    def key(self) -> StampKey:
        """The stamp's key in a ledger: account, expiry day, serial."""
        return self.account, self.expiry_day, self.serial


class HoldFacts(NamedTuple):
    """The facts that are the same for all holds in a list from one receiver."""

    receiver: str
    domains: frozenset[str]
    """The domains registered to the receiver; `*` means any. Empty if the receiver is unknown or closed."""
    floor_day: int
    """The latest expiry day whose stamps were forgotten, days since 1970-01-01."""
    now: int


class RefundOutcome(StrEnum):
    """The possible answers to a refund."""

    REFUNDED = "refunded"
    ALREADY_REFUNDED = "already-refunded"
    NOT_SETTLED = "not-settled"
    """Not settled for this receiver and letter: no change."""
    NO_FUNDS = "no-funds"
    """The receiver has spent what it would have to give back: no change."""


class SweepDecision(Enum):
    """What to do with a hold that nobody settled or voided."""

    VOID = "void"
    SETTLE = "settle"


def may_redeem_for(domains: frozenset[str], domain: str) -> bool:
    """Whether a receiver with these registered domains may redeem stamps for `domain`."""
    return domain in domains or "*" in domains


_ANSWERS = {outcome: HoldAnswer(outcome) for outcome in HoldOutcome}
_HELD, _RENEWED, _IN_PROGRESS = (
    _ANSWERS[outcome] for outcome in (HoldOutcome.HELD, HoldOutcome.RENEWED, HoldOutcome.IN_PROGRESS)
)
"""Nearly every letter is given one of these: to look one up costs as much as to decide."""
_STATE_HELD, _STATE_VOIDED = int(StampState.HELD), int(StampState.VOIDED)
_SETTLED_AS = {
    HoldOutcome.HELD: SettleOutcome.SETTLED,
    HoldOutcome.IN_PROGRESS: SettleOutcome.IN_PROGRESS,
    HoldOutcome.SPENT: SettleOutcome.SPENT,
    HoldOutcome.WRONG_RECEIVER: SettleOutcome.WRONG_RECEIVER,
    HoldOutcome.INVALID: SettleOutcome.INVALID,
    HoldOutcome.UNKNOWN_ACCOUNT: SettleOutcome.UNKNOWN_ACCOUNT,
    HoldOutcome.ACCOUNT_CLOSED: SettleOutcome.ACCOUNT_CLOSED,
    HoldOutcome.REVOKED: SettleOutcome.REVOKED,
    HoldOutcome.EXPIRED: SettleOutcome.EXPIRED,
    HoldOutcome.OVER_CAP: SettleOutcome.OVER_CAP,
    HoldOutcome.INSUFFICIENT_BALANCE: SettleOutcome.NO_FUNDS,
}
"""What becomes of a settle that carries its stamp, by what a hold of that stamp would be told."""


def decide_hold(
    order: HoldOrder,
    stamp: StampRecord | None,
    account: AccountFigures | None,
    facts: HoldFacts,
    *,
    grace_seconds: int = 0,
) -> HoldAnswer:
    """Answer one hold as if it were alone in its group. The first line that applies is the answer.

    `grace_seconds` is for how long a stamp may have expired.
    """
    if order.flaw is Reason.WRONG_RECEIVER or not may_redeem_for(facts.domains, order.domain):
        return _ANSWERS[HoldOutcome.WRONG_RECEIVER]
    if stamp is not None and stamp.state != _STATE_VOIDED:
        is_same = stamp.receiver == facts.receiver and stamp.letter == order.letter
        if stamp.state == _STATE_HELD:
            # A tx is a delivery attempt of one letter: the same tx with another letter is not a repetition.
            is_renewed = is_same and (stamp.tx == order.tx or not is_leased(stamp.lease_until, facts.now))
            return _RENEWED if is_renewed else _IN_PROGRESS
        if is_same:
            return _ANSWERS[HoldOutcome.ALREADY_SETTLED]
        return _decide_new_hold(order, stamp, account, facts, grace_seconds)
    return _decide_new_hold(order, None, account, facts, grace_seconds)


def _decide_new_hold(  # noqa: PLR0911 - one ordered list, each line a rule
    order: HoldOrder, used: StampRecord | None, account: AccountFigures | None, facts: HoldFacts, grace_seconds: int
) -> HoldAnswer:
    """Answer a hold that is not a repetition; `used` is the stamp's record if it was settled for another letter."""
    flaw, expiry_day, price = order.flaw, order.expiry_day, order.price
    if flaw is not None and flaw is not Reason.EXPIRED:
        return HoldAnswer(HoldOutcome.INVALID, reason=flaw.value)
    if expiry_day > utc_day(facts.now) + EXPIRY_DAYS_AHEAD_MAX:
        return HoldAnswer(HoldOutcome.INVALID, reason=Reason.NOT_YET_VALID.value)
    if account is None:
        return _ANSWERS[HoldOutcome.UNKNOWN_ACCOUNT]
    if not account.is_open:
        return _ANSWERS[HoldOutcome.ACCOUNT_CLOSED]
    if order.public_key != account.public_key:
        return _ANSWERS[HoldOutcome.REVOKED]
    first_day = utc_day(facts.now - grace_seconds)
    if flaw is Reason.EXPIRED or expiry_day <= facts.floor_day or expiry_day < first_day:
        return _ANSWERS[HoldOutcome.EXPIRED]
    if used is not None:
        return HoldAnswer(HoldOutcome.SPENT, first_use=used.first_use)
    if account.used_today + price > account.daily_cap:
        return _ANSWERS[HoldOutcome.OVER_CAP]
    if account.balance - account.held < price:
        return _ANSWERS[HoldOutcome.INSUFFICIENT_BALANCE]
    return _HELD


def is_leased(lease_until: int, now: int) -> bool:
    """Whether the delivery that holds a stamp may still be under way; both times are seconds since 1970 UTC.

    A lease longer than `LEASE_SECONDS_MAX` was given while the clock was ahead. It does not count: an honest retry
    would have to wait until its sender gives up.
    """
    return now < lease_until <= now + LEASE_SECONDS_MAX


def fails_group(outcome: HoldOutcome) -> bool:
    """Whether this answer stops the other stamps of its group from being held. A stamp settled before does not."""
    return not outcome.is_held and outcome is not HoldOutcome.ALREADY_SETTLED


def decide_settle(settle: Settle, receiver: str, stamp: StampRecord | None, available: int) -> SettleOutcome:
    """Answer one settle; `available` is how many stamps of the sender's account are not held."""
    if stamp is None or stamp.receiver != receiver or stamp.letter != settle.letter:
        return SettleOutcome.NO_SUCH_HOLD
    if stamp.state == _STATE_HELD:
        return SettleOutcome.SETTLED
    if stamp.state == _STATE_VOIDED:
        return SettleOutcome.SETTLED if available >= stamp.price else SettleOutcome.NO_FUNDS
    return SettleOutcome.ALREADY_SETTLED


def decide_settle_stamp(
    order: HoldOrder, stamp: StampRecord | None, account: AccountFigures | None, facts: HoldFacts
) -> SettleOutcome:
    """Answer one settle that carries its stamp: what is not held for its letter is judged as a hold of it would be.

    The stamp may have expired a little ago: its letter was delivered before this was asked.
    """
    if stamp is not None and stamp.receiver == facts.receiver and stamp.letter == order.letter:
        if stamp.state == StampState.HELD:
            return SettleOutcome.SETTLED
        if stamp.state != StampState.VOIDED:
            return SettleOutcome.ALREADY_SETTLED
    answer = decide_hold(order, stamp, account, facts, grace_seconds=SETTLE_AFTER_EXPIRY_SECONDS)
    return _SETTLED_AS[answer.outcome]


def decide_void(void: Void, receiver: str, stamp: StampRecord | None) -> VoidOutcome:
    """Answer one void: only the attempt that holds the stamp may give it back."""
    if stamp is None or stamp.state != StampState.HELD or stamp.receiver != receiver or stamp.tx != void.tx:
        return VoidOutcome.NOT_HELD
    return VoidOutcome.VOIDED


def decide_refund(refund: Settle, receiver: str, stamp: StampRecord | None, receiver_balance: int) -> RefundOutcome:
    """Answer one refund, which is paid from the receiver's balance (in stamps)."""
    if stamp is None or stamp.receiver != receiver or stamp.letter != refund.letter:
        return RefundOutcome.NOT_SETTLED
    if stamp.state == StampState.REFUNDED:
        return RefundOutcome.ALREADY_REFUNDED
    if stamp.state != StampState.SETTLED:
        return RefundOutcome.NOT_SETTLED
    return RefundOutcome.REFUNDED if receiver_balance >= stamp.price else RefundOutcome.NO_FUNDS


def is_to_be_swept(lease_until: int, now: int) -> bool:
    """Whether a lease ended so long ago that no delivery can still be under way."""
    return lease_until + SWEEP_AFTER_SECONDS < now


def decide_sweep(holds: int, in_doubt: int) -> SweepDecision:
    """Void an abandoned hold, or settle it if this sender's holds at this receiver are abandoned too often.

    `holds` counts the holds of the last 30 days, `in_doubt` those of them that were swept, both without this one. With
    more than 1% it is settled: else a receiver that never settles would get this sender's letters for nothing.
    """
    if holds >= IN_DOUBT_HOLDS_MIN and (in_doubt + 1) * 100 > holds * IN_DOUBT_PERCENT_MAX:
        return SweepDecision.SETTLE
    return SweepDecision.VOID


def oldest_day_kept(now: int) -> int:
    """The earliest expiry day whose stamps must be remembered. Earlier days may be forgotten once none is held."""
    return utc_day(now) - DAYS_KEPT_AFTER_EXPIRY


def droppable_days(days: Iterable[int], oldest_open_day: int | None, now: int) -> list[int]:
    """Which of the remembered expiry days may be forgotten, oldest first: 7 days after they end.

    `oldest_open_day` is the earliest expiry day with an open hold, or None. That day and all later ones are kept, so
    that the floor never passes a day in use.
    """
    first_kept = oldest_day_kept(now) if oldest_open_day is None else min(oldest_day_kept(now), oldest_open_day)
    return sorted(day for day in days if day < first_kept)
