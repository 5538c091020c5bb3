"""The words between a gate and an office: what is asked of a stamp, and what can be answered.

Pure values; how they travel (a call inside the process, HTTP between machines) is not known here. All operations take
a list and answer with a list of the same length and order, and every operation may be repeated without harm.
"""

from dataclasses import dataclass
from enum import StrEnum

from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Hold:
    """Reserve the price of one stamp for one recipient of one letter."""

    tx: bytes
    """16 random bytes the gate chose for this delivery attempt."""
    group: int
    """Holds of one list with the same group are all held or none: the stamps of one letter."""
    stamp: Stamp
    """The stamp as signed; the salt never reaches an office (`Stamp.for_office`)."""
    domain: str
    """The recipient's domain, canonical (A-labels, lower case)."""
    letter: bytes
    """The letter hash: 32 bytes, over what was received, naming the recipient."""
    flaw: Reason | None = None
    """Why the gate would not take the stamp as its settings and keys are now. It is bound to this letter all the same,
    and may have paid it when they were others: so it is asked whether it has, and can never be held anew. Such a stamp
    is a group of its own."""
    is_altered: bool = False
    """Whether the body is not the one that was stamped. It does not travel: only where nobody else can be asked, on
    trust, does it matter."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Take the price: the mail server has said 250. Matches the letter, whatever the tx."""

    issuer: str
    account: str
    expiry_day: int
    """The stamp's expiry, days since 1970-01-01 UTC."""
    serial: bytes
    letter: bytes


@dataclass(frozen=True, slots=True)
class Void:
    """Give the price back: the letter was not delivered. Matches the tx, so a late one harms nothing."""

    issuer: str
    account: str
    expiry_day: int
    serial: bytes
    letter: bytes
    tx: bytes


class HoldOutcome(StrEnum):
    """What a hold can answer, in descending precedence: the first that applies is the answer."""

    WRONG_RECEIVER = "wrong-receiver"
    ALREADY_SETTLED = "already-settled"
    IN_PROGRESS = "in-progress"
    RENEWED = "renewed"
    """One's own hold, repeated (same tx) or taken over after its lease (same receiver and letter): no new charge."""
    INVALID = "invalid"
    """The office's own check of the stamp failed; `Held.reason` says why."""
    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SPENT = "spent"
    OVER_CAP = "over-cap"
    INSUFFICIENT_BALANCE = "insufficient-balance"
    GROUP_FAILED = "group-failed"
    """This stamp would have been held, but another of its group was not: nothing was held."""
    HELD = "held"

    @property
    def is_held(self) -> bool:
        """Whether the price is now reserved under the asked tx."""
        return self in (HoldOutcome.HELD, HoldOutcome.RENEWED)


@dataclass(frozen=True, slots=True)
class FirstUse:
    """Evidence with `spent`: what the stamp was used for first."""

    receiver: str
    domain: str
    letter: bytes
    at: int
    """When it was settled, seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """The answer to one hold."""

    outcome: HoldOutcome
    first_use: FirstUse | None = None
    reason: str = ""
    """With `invalid`: the reason name of the office's own check."""


class SettleOutcome(StrEnum):
    """What a settle can answer."""

    SETTLED = "settled"
    ALREADY_SETTLED = "already-settled"
    """Settled or refunded before, for this receiver and letter: no change."""
    NO_FUNDS = "no-funds"
    """It had been voided and the balance no longer allows taking it."""
    NO_SUCH_HOLD = "no-such-hold"
    """Nothing is held for this receiver and letter: no change."""


class VoidOutcome(StrEnum):
    """What a void can answer."""

    VOIDED = "voided"
    NOT_HELD = "not-held"
    """Not held under this tx (unseen, voided, settled, or another attempt's): no change."""
