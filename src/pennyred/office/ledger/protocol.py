"""What a ledger promises: the one protocol every back end keeps, and the values it speaks in.

Each operation is atomic, and durable when it returns (but see `Redemptions.hold`). It may be repeated without harm;
only `credit` adds each time. A list is one transaction. Its answer is a list of the same length and order, and its
items are handled one after the other. Expected outcomes are values.

`Unavailable` (reason `ledger-unavailable`) is raised when the database does not answer. Whether the operation happened
is then unknown, so repeat it (a credit only after a look at the account's entries). `now` is in seconds since 1970 UTC,
by the office's clock.

Account ids: senders have 16 characters of base32, receivers `receiver:NAME`, internal accounts `office:*`. Only
internal accounts may be below zero: they are where stamps come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pennyred.office.ledger.callers import Callers
from pennyred.office.ledger.redemptions import Redemptions
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.stamp import StampKey
from pennyred.storage.passing import Looker, Passed

OFFICE_SALES = "office:sales"
"""Where stamps sold come from."""
OFFICE_VOUCHERS = "office:vouchers"
"""Where the stamps of redeemed vouchers come from."""
OFFICE_PREFIX = "office:"
"""How ids of internal accounts begin. They belong to nobody, so they are neither credited nor closed."""
RECEIVER_PREFIX = "receiver:"
STAMPS_MAX = 10**12
"""The most stamps that one entry moves: the sum of a million such entries stays far inside 64 bits."""
DIFFERENCES_MAX = 100
"""The most sentences of one audit: a broken chain would have one for each of its links."""
PAGE_MAX = 1000
"""Rows of one page of accounts or entries at most."""

HOLDS_PER_SWEEP_MAX = 1000


def require_stamps(stamps: int) -> None:
    """Raise ValueError unless this is an amount that can be moved: a whole number of stamps, 1 or more."""
    if isinstance(stamps, bool) or not isinstance(stamps, int) or not 1 <= stamps <= STAMPS_MAX:
        raise ValueError(f"{stamps!r} is not a number of stamps from 1 to {STAMPS_MAX}")


def is_internal(account: str) -> bool:
    """Whether this is the id of one of the office's internal accounts."""
    return account.startswith(OFFICE_PREFIX)


def receiver_account(name: str) -> str:
    """The account id of the receiver with this name."""
    return RECEIVER_PREFIX + name


class AccountState(StrEnum):
    """Whether an account may be used."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stands."""

    id: str
    address: str
    """A sender's e-mail address; empty otherwise."""
    public_key: bytes
    """A sender's current Ed25519 key; empty otherwise."""
    daily_cap: int
    state: AccountState
    opened_at: int
    balance: int
    held: int
    spent: int
    """A sender's stamps ever settled, less those refunded."""

    @property
    def available(self) -> int:
        """The balance less what is held."""
        return self.balance - self.held


class OpenOutcome(StrEnum):
    """What opening an account can answer."""

    OPENED = "opened"
    EXISTS = "exists"
    """This key has an account already: opening was repeated. That account is the answer, whatever its id."""
    ID_TAKEN = "id-taken"
    """The id belongs to another key: choose another at random."""


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """The answer to opening an account; `account` is None only with `id-taken`."""

    outcome: OpenOutcome
    account: Account | None


class AccountOutcome(StrEnum):
    """What closing an account or replacing its key can answer."""

    DONE = "done"
    """It is done now, or was done before."""
    UNKNOWN_ACCOUNT = "unknown-account"
    KEY_IN_USE = "key-in-use"
    """Another account has this key."""


class CreditOutcome(StrEnum):
    """What a credit can answer."""

    CREDITED = "credited"
    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"
    NO_FUNDS = "no-funds"
    """The account it comes from has not so much available."""


class VoucherOutcome(StrEnum):
    """What redeeming a voucher can answer."""

    REDEEMED = "redeemed"
    """Also when the same account redeems it again; credited once."""
    ALREADY_USED = "already-used"
    """Another account has redeemed it before."""
    UNKNOWN_VOUCHER = "unknown-voucher"
    UNKNOWN_ACCOUNT = "unknown-account"
    ACCOUNT_CLOSED = "account-closed"


@dataclass(frozen=True, slots=True)
class VoucherAnswer:
    """The answer to a voucher; `stamps` is what it is worth when redeemed, else 0."""

    outcome: VoucherOutcome
    stamps: int = 0


class EntryKind(StrEnum):
    """The reasons for which stamps move."""

    CREDIT = "credit"
    VOUCHER = "voucher"
    SETTLE = "settle"
    REFUND = "refund"
    SWEEP = "sweep"
    """Settled by the sweeper, as too many were left in doubt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an account's statement; what is paid and earned is summed by UTC day."""

    id: int
    """1, 2, 3 for each account."""
    at: int
    """Of what is summed by day, the day's beginning."""
    kind: EntryKind
    stamps: int
    """What the account gained; negative for what it paid."""
    balance: int
    """The account's balance after this entry."""
    detail: str


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did. `is_more`: its bound was reached, and another sweep should follow."""

    voided: int
    settled: int
    dropped_days: tuple[int, ...]
    is_more: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """The ledger recomputed from its journal and its open holds."""

    balanced: bool
    sold: int
    """Stamps that came from `office:*` accounts."""
    settled: int
    refunded: int
    held: int
    outstanding: int
    """Stamps senders have and have not spent; the held ones are among them."""
    differences: tuple[str, ...]
    """One sentence each, at most `DIFFERENCES_MAX`; empty when balanced."""


class Ledger(Redemptions, Callers, Protocol):
    """The ledger of an office. `receiver` is always a receiver's name, never its account id."""

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """Open a sender's account under an id the caller chose at random."""
        ...

    async def close_account(self, account: str) -> AccountOutcome:
        """Close a sender's account, or a receiver's (`receiver:NAME`): no new holds, but settles go on.

        An internal account is unknown here, as it is to `credit`.
        """
        ...

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """Give a sender's account another key: licences of the old one are revoked from now on."""
        ...

    async def account(self, account: str) -> Account | None:
        """An account by its id."""
        ...

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """The sender's account with this current key."""
        ...

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """A page of all accounts, ordered by id, beginning behind `after`; at most `PAGE_MAX`."""
        ...

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """A page of an account's statement, oldest first, beginning behind the entry id `after`; at most `PAGE_MAX`."""
        ...

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """Move `stamps` (1 or more, else ValueError) into an open account.

        They are sold (`source` is the office's account), or are paid out of a receiver's credit.
        """
        ...

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """Add vouchers worth `stamps` each, by the SHA-256 of their codes; ValueError if one exists."""
        ...

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """Credit what a voucher is worth, once."""
        ...

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """What these stamps were settled for, in their order, each with the proof of its place in the journal's chain.

        None for a stamp that is not settled, whose day is forgotten, or that was settled before there was a chain.
        """
        ...

    async def head(self) -> BatchHead | None:
        """The newest link of the journal's chain, with the totals; None before anything was sold."""
        ...

    async def head_of(self, number: int) -> BatchHead | None:
        """The link of the chain with this number; None where there is none."""
        ...

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """Begin a new epoch of the chain, because the ledger was restored and signed links are lost. Answers the newest
        link.

        The id is 16 random octets. Nothing is begun where the newest link's epochs are not those of `after` any more:
        another process has begun one.
        """
        ...

    async def passed(self, looker: Looker) -> Passed:
        """How much time has really passed, for `sweep`. `looker` is that of this process (see `storage.passing`)."""
        ...

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Void or settle what was left in doubt, and forget old days; a bounded piece of work a call.

        `until` is what `passed` has found: what was over by then is swept. Payments are booked at `now`.
        """
        ...

    async def spill(self) -> None:
        """Write, durably, what only a process's memory knows: then who reads the database beside it sees everything."""
        ...

    async def audit(self) -> Audit:
        """Recompute every balance. Takes time in proportion to the journal; disturbs no redemption."""
        ...

    async def close(self) -> None:
        """Finish what was asked and close; whatever is asked later is `Unavailable`."""
        ...
