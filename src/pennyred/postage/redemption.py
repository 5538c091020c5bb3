"""The questions a gate asks an office about stamps, and the possible answers.

These are plain values; how they travel (a call inside the process, or HTTP) is not known here. All operations take a
list and answer with a list of the same length and order. Every operation may be repeated without harm.
"""

from enum import StrEnum

from msgspec import Struct

from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp, StampKey


class Settle(Struct, frozen=True, gc=False):
    """A question: take the price, because the mail server has said 250. It matches by the letter, whatever the tx.

    With the stamp, the price is taken also where no hold is found, if the stamp is still good: a hold may have been
    forgotten.
    """

    issuer: str
    account: str
    expiry_day: int
    """The stamp's expiry day, days since 1970-01-01 UTC."""
    serial: bytes
    letter: bytes
    stamp: Stamp | None = None
    """The stamp of that key. None where it is not at hand, or was found to have a flaw."""
    domain: str = ""
    """With the stamp: the recipient's domain, as in `Hold`."""

    @property
    def key(self) -> StampKey:
        """The stamp's key in a ledger: account, expiry day, serial."""
        return self.account, self.expiry_day, self.serial

    def without_stamp(self) -> "Settle":
        """The same question for whoever needs only its key and letter."""
        return self if self.stamp is None else Settle(self.issuer, *self.key, self.letter)


class Void(Struct, frozen=True, gc=False):
    """A question: give the price back, the letter was not delivered. It matches by the tx: a late one harms nothing."""

    issuer: str
    account: str
    expiry_day: int
    serial: bytes
    letter: bytes
    tx: bytes

    @property
    def key(self) -> StampKey:
        """The stamp's key in a ledger: account, expiry day, serial."""
        return self.account, self.expiry_day, self.serial


class Hold(Struct, frozen=True, gc=False):
    """A question: reserve the price of one stamp for one recipient of one letter."""

    tx: bytes
    """16 random bytes, chosen by the gate for this delivery attempt."""
    group: int
    """Holds of one list with the same group are held together or not at all. A group is the stamps of one letter."""
    stamp: Stamp
    """The stamp. Its salt is never sent to an office (`Stamp.for_office`)."""
    domain: str
    """The recipient's domain, canonical (A-labels, lower case)."""
    letter: bytes
    """The letter hash, 32 bytes (`digest.letter_hash`)."""
    flaw: Reason | None = None
    """Why the gate does not take the stamp under its present settings and keys. The stamp is bound to this letter all
    the same, and may have paid it under earlier settings. So the office is asked whether it did; it is never held anew.
    Such a stamp is a group of its own."""
    is_altered: bool = False
    """Whether the body differs from the stamped one. It is not sent to an office; it matters only where the office
    cannot be asked and the gate must decide on trust."""

    def settle(self) -> Settle:
        """What takes what this holds. A stamp with a flaw does not go with it: it pays nothing but by its hold."""
        stamp = self.stamp if self.flaw is None else None
        return Settle(self.stamp.issuer, *self.stamp.key, self.letter, stamp, self.domain if stamp else "")

    def void(self) -> Void:
        """What gives it back."""
        return Void(self.stamp.issuer, *self.stamp.key, self.letter, self.tx)


class HoldOutcome(StrEnum):
    """The possible answers to a hold, in order of precedence: the first that applies is the answer."""

    WRONG_RECEIVER = "wrong-receiver"
    ALREADY_SETTLED = "already-settled"
    IN_PROGRESS = "in-progress"
    RENEWED = "renewed"
    """Held before by this receiver for this letter: repeated with the same tx, or taken over after the lease ended. No
    new charge."""
    INVALID = "invalid"
    """The office's own check of the stamp failed; `HoldAnswer.reason` says why."""
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
        """Whether the price is now reserved under the tx of the question."""
        return self in (HoldOutcome.HELD, HoldOutcome.RENEWED)


class FirstUse(Struct, frozen=True, gc=False):
    """What a stamp was used for first: the evidence that comes with `spent`."""

    receiver: str
    domain: str
    letter: bytes
    at: int
    """When it was settled, seconds since 1970 UTC."""


class HoldAnswer(Struct, frozen=True, gc=False):
    """The answer to one hold."""

    outcome: HoldOutcome
    first_use: FirstUse | None = None
    reason: str = ""
    """With `invalid`: the name of the `Reason` that the office's own check found."""


class SettleOutcome(StrEnum):
    """The possible answers to a settle. Those below `NO_SUCH_HOLD` are only for a settle that carries its stamp."""

    SETTLED = "settled"
    ALREADY_SETTLED = "already-settled"
    """Settled or refunded before, for this receiver and letter: no change."""
    NO_FUNDS = "no-funds"
    """Nothing is held, and the sender's balance is too low to take the price."""
    NO_SUCH_HOLD = "no-such-hold"
    """Nothing is held for this receiver and letter, and the stamp is not at hand: no change."""
    IN_PROGRESS = "in-progress"
    """Held for another letter, or by another receiver: no change as long as it is."""
    SPENT = "spent"
    """Settled or refunded for another letter or receiver."""
    WRONG_RECEIVER = "wrong-receiver"
    INVALID = "invalid"
    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"
    REVOKED = "revoked"
    EXPIRED = "expired"
    """Over for more than a day, or its day is forgotten: it may have been settled then, so it is never charged."""
    OVER_CAP = "over-cap"

    @property
    def is_paid(self) -> bool:
        """Whether the receiver has the price, by this settle or an earlier one."""
        return self in (SettleOutcome.SETTLED, SettleOutcome.ALREADY_SETTLED)

    @property
    def may_change(self) -> bool:
        """Whether it is worth asking again later: the other hold ends, and a cap is of one day."""
        return self in (SettleOutcome.IN_PROGRESS, SettleOutcome.OVER_CAP)


class VoidOutcome(StrEnum):
    """The possible answers to a void."""

    VOIDED = "voided"
    NOT_HELD = "not-held"
    """Not held under this tx: it is unseen, voided, settled, or held by another attempt. No change."""
