"""A ledger in an SQL database. Each operation is named once, with the function of a connection that does it.

Both back ends are this class, with connections of their own kind. Their modules `accounts`, `receivers`, `chain` and
`passing` have functions of the same names and shapes. The first argument of each is a connection inside a transaction.
Those of PostgreSQL are coroutines. What each back end does in its own way (`sweep`, `spill`, `audit`, `close`) is in
the back end.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from pennyred.office.ledger.callers import KeptAnswer, Receiver, ReceiverOutcome
from pennyred.office.ledger.protocol import (
    OFFICE_SALES,
    Account,
    AccountOutcome,
    CreditOutcome,
    Entry,
    OpenAnswer,
    VoucherAnswer,
    require_stamps,
)
from pennyred.office.ledger.requests import (
    HoldRequest,
    RefundRequest,
    Request,
    SettleRequest,
    StampSettleRequest,
    VoidRequest,
)
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.licence import Revocations
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import StampKey
from pennyred.storage.passing import Looker, Passed

T = TypeVar("T")


class SqlLedger(ABC):
    """What both back ends of a `Ledger` have in common. `Ledger` describes each operation."""

    # The back end's modules. Their types differ with its connection, so no checker of types sees through these four:
    # that both have what is called here, in one shape, is held by tests/office/ledger/test_sql.py.
    _accounts: ClassVar[Any]
    _receivers: ClassVar[Any]
    _chain: ClassVar[Any]
    _passing: ClassVar[Any]

    @abstractmethod
    async def _read(self, work: Callable[[Any], T]) -> T:
        """Do `work` with a connection, in a transaction that need not write."""

    @abstractmethod
    async def _write(self, work: Callable[[Any], T], *, is_repeatable: bool = True) -> T:
        """Do `work` with a connection. When this returns, what it did is committed.

        `is_repeatable`: doing it once more is harmless where it may have been done already.
        """

    async def _note(self, work: Callable[[Any], T], *, is_repeatable: bool = True) -> T:
        """Write what touches neither stamps nor accounts."""
        return await self._write(work, is_repeatable=is_repeatable)

    @abstractmethod
    async def _redeem(self, request: Request | RefundRequest) -> list[Any]:
        """Answer a request by the list its kind promises, together with those of other callers."""

    async def hold(
        self, receiver: str, orders: Sequence[HoldOrder], *, now: int, is_lasting: bool = True
    ) -> list[HoldAnswer]:
        """Reserve the prices of stamps, as `Ledger.hold` says."""
        return await self._redeem(HoldRequest(receiver, orders, now, is_lasting))

    async def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """Take what was held, as `Ledger.settle` says."""
        return await self._redeem(SettleRequest(receiver, settles, now))

    async def settle_stamps(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[SettleOutcome]:
        """Take the price of stamps, held or not, as `Ledger.settle_stamps` says."""
        return await self._redeem(StampSettleRequest(receiver, orders, now))

    async def void(self, receiver: str, voids: Sequence[Void], *, now: int) -> list[VoidOutcome]:
        """Give back what is held, as `Ledger.void` says."""
        return await self._redeem(VoidRequest(receiver, voids, now))

    async def refund(self, receiver: str, refunds: Sequence[Settle], *, now: int) -> list[RefundOutcome]:
        """Pay settled stamps back, as `Ledger.refund` says."""
        return await self._redeem(RefundRequest(receiver, refunds, now))

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """Open a sender's account, as `Ledger.open_account` says."""
        return await self._write(
            lambda db: self._accounts.open_account(db, account, address, public_key, daily_cap=daily_cap, now=now)
        )

    async def close_account(self, account: str) -> AccountOutcome:
        """Close an account, as `Ledger.close_account` says."""
        return await self._write(lambda db: self._accounts.close_account(db, account))

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """Give an account another key, as `Ledger.replace_key` says."""
        return await self._write(lambda db: self._accounts.replace_key(db, account, public_key))

    async def account(self, account: str) -> Account | None:
        """Find an account by its id, as `Ledger.account` says."""
        return await self._read(lambda db: self._accounts.account(db, account))

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """Find an account by its key, as `Ledger.account_by_key` says."""
        return await self._read(lambda db: self._accounts.account_by_key(db, public_key))

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """List a page of accounts, as `Ledger.accounts` says."""
        return await self._read(lambda db: self._accounts.accounts(db, after, limit))

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """List a page of a statement, as `Ledger.entries` says."""
        return await self._read(lambda db: self._accounts.entries(db, account, after, limit))

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """Move stamps into an account, as `Ledger.credit` says."""
        require_stamps(stamps)
        return await self._write(
            lambda db: self._accounts.credit(db, account, stamps, reason, source=source, now=now), is_repeatable=False
        )

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """Add vouchers, as `Ledger.create_vouchers` says."""
        require_stamps(stamps)
        await self._write(lambda db: self._accounts.create_vouchers(db, hashes, stamps, now), is_repeatable=False)

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """Credit a voucher once, as `Ledger.redeem_voucher` says."""
        return await self._write(lambda db: self._accounts.redeem_voucher(db, account, voucher_hash, now))

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """Register a receiver, as `Ledger.add_receiver` says."""
        return await self._write(lambda db: self._receivers.add_receiver(db, name, domains, token_hash, now))

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """Find a receiver by its token, as `Ledger.receiver_by_token` says."""
        return await self._read(lambda db: self._receivers.receiver_by_token(db, token_hash))

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """Remember a token's id, as `Ledger.remember_jti` says."""
        return await self._note(lambda db: self._receivers.remember_jti(db, jti, expires_at, now), is_repeatable=False)

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """Let a receiver redeem for one more domain, as `Ledger.add_domain` says."""
        return await self._write(lambda db: self._receivers.add_domain(db, name, domain))

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """Keep an answer, as `Ledger.keep_answer` says."""
        await self._note(lambda db: self._receivers.keep_answer(db, name, kept, now))

    async def revocations(self, *, after: int = 0) -> Revocations:
        """List a page of revoked licences, as `Ledger.revocations` says."""
        return await self._read(lambda db: self._accounts.revocations(db, after))

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """Find an answer that was kept, as `Ledger.kept_answer` says."""
        return await self._read(lambda db: self._receivers.kept_answer(db, name, now))

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """Prove what stamps were used for, as `Ledger.uses` says."""
        return await self._read(lambda db: self._chain.uses(db, keys))

    async def head(self) -> BatchHead | None:
        """Find the newest link of the chain, as `Ledger.head` says."""
        return await self._read(self._chain.last_head)

    async def head_of(self, number: int) -> BatchHead | None:
        """Find a link of the chain by its number, as `Ledger.head_of` says."""
        return await self._read(lambda db: self._chain.head_of(db, number))

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """Begin a new epoch of the chain, as `Ledger.begin_epoch` says."""
        return await self._write(lambda db: self._chain.begin_epoch(db, epoch_id, after, now), is_repeatable=False)

    async def passed(self, looker: Looker) -> Passed:
        """Tell how much time has really passed, as `Ledger.passed` says."""
        found: Passed
        found, memory = await self._note(lambda db: self._passing.look(db, looker))
        looker.keep(memory)
        return found
