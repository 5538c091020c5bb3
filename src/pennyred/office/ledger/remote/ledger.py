"""A `Ledger` that another process of this machine has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pennyred.office.ledger.callers import KeptAnswer, Receiver, ReceiverOutcome, require_short
from pennyred.office.ledger.protocol import (
    OFFICE_SALES,
    Account,
    AccountOutcome,
    Audit,
    CreditOutcome,
    Entry,
    OpenAnswer,
    SweepReport,
    VoucherAnswer,
    require_stamps,
)
from pennyred.office.ledger.remote import accounting, bookkeeping
from pennyred.office.ledger.remote.asks import Hold, RefundAll, SettleAll, SettleStamps, VoidAll
from pennyred.office.ledger.remote.connection import Connection
from pennyred.office.ledger.remote.inhand import HoldsInHand
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.licence import Revocations
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import StampKey
from pennyred.storage.passing import Looker, Passed

OPEN_SECONDS = 10.0
"""How long to wait for the first answer of a process that is being started."""
COMMAND = -1
"""The number of a process that is no worker of the service."""


class RemoteLedger:
    """Implements `Ledger`; each operation is as `Ledger` describes it. Made by `open`; for one event loop."""

    def __init__(self, socket: Path, worker: int) -> None:
        self._in_hand = HoldsInHand()
        self._connection = Connection(socket, worker, self._to_hold_again)
        self._next_id = self._connection.next_id
        self._ask = self._connection.ask

    @classmethod
    async def open(cls, socket: Path, *, worker: int = COMMAND, seconds: float = OPEN_SECONDS) -> Self:
        """Connect to the process that listens there. Raises `Unavailable` where none answers within the time.

        Only holds of a worker of the service (`worker` is its number) are held again after a restart of that process.
        """
        ledger = cls(socket, worker)
        await ledger._connection.open(seconds)
        return ledger

    async def hold(
        self, receiver: str, orders: Sequence[HoldOrder], *, now: int, is_lasting: bool = True
    ) -> list[HoldAnswer]:
        """Reserve the prices of stamps."""
        answers: list[HoldAnswer] = await self._ask(Hold(self._next_id(), receiver, orders, now, is_lasting))
        if not is_lasting:
            self._in_hand.note(receiver, orders, answers, now)
        return answers

    async def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """Take what was held. To find that, no stamp is needed: none travels with it."""
        bare = [one.without_stamp() for one in settles]
        outcomes: list[SettleOutcome] = await self._ask(SettleAll(self._next_id(), receiver, bare, now))
        self._in_hand.forget(settles)
        return outcomes

    async def settle_stamps(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[SettleOutcome]:
        """Take the price of stamps, held or not."""
        outcomes: list[SettleOutcome] = await self._ask(SettleStamps(self._next_id(), receiver, orders, now))
        self._in_hand.forget(orders)
        return outcomes

    async def void(self, receiver: str, voids: Sequence[Void], *, now: int) -> list[VoidOutcome]:
        """Give back what is held."""
        self._in_hand.forget(voids)  # whatever is answered: it must not be held again
        outcomes: list[VoidOutcome] = await self._ask(VoidAll(self._next_id(), receiver, voids, now))
        return outcomes

    async def refund(self, receiver: str, refunds: Sequence[Settle], *, now: int) -> list[RefundOutcome]:
        """Pay settled stamps back."""
        outcomes: list[RefundOutcome] = await self._ask(RefundAll(self._next_id(), receiver, refunds, now))
        return outcomes

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """Open a sender's account."""
        answer: OpenAnswer = await self._ask(
            accounting.OpenAccount(self._next_id(), account, address, public_key, daily_cap, now)
        )
        return answer

    async def close_account(self, account: str) -> AccountOutcome:
        """Close a sender's or receiver's account."""
        outcome: AccountOutcome = await self._ask(accounting.CloseAccount(self._next_id(), account))
        return outcome

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """Give an account another key."""
        outcome: AccountOutcome = await self._ask(accounting.ReplaceKey(self._next_id(), account, public_key))
        return outcome

    async def account(self, account: str) -> Account | None:
        """Find an account by its id."""
        found: Account | None = await self._ask(accounting.FindAccount(self._next_id(), account))
        return found

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """Find an account by its key."""
        found: Account | None = await self._ask(accounting.FindAccountByKey(self._next_id(), public_key))
        return found

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """List a page of accounts."""
        found: list[Account] = await self._ask(accounting.ListAccounts(self._next_id(), after, limit))
        return found

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """List a page of a statement."""
        found: list[Entry] = await self._ask(accounting.ListEntries(self._next_id(), account, after, limit))
        return found

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """Move stamps into an account."""
        require_stamps(stamps)
        outcome: CreditOutcome = await self._ask(
            accounting.Credit(self._next_id(), account, stamps, reason, now, source)
        )
        return outcome

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """Add vouchers by their hashes."""
        require_stamps(stamps)
        await self._ask(accounting.CreateVouchers(self._next_id(), hashes, stamps, now))

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """Credit a voucher once."""
        answer: VoucherAnswer = await self._ask(accounting.RedeemVoucher(self._next_id(), account, voucher_hash, now))
        return answer

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """Register a new receiver."""
        outcome: ReceiverOutcome = await self._ask(
            bookkeeping.AddReceiver(self._next_id(), name, domains, token_hash, now)
        )
        return outcome

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """Let a receiver redeem for one more domain."""
        outcome: ReceiverOutcome = await self._ask(bookkeeping.AddDomain(self._next_id(), name, domain))
        return outcome

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """Find a receiver by its token."""
        found: Receiver | None = await self._ask(bookkeeping.FindReceiver(self._next_id(), token_hash))
        return found

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """Remember a token's id."""
        is_new: bool = await self._ask(bookkeeping.RememberToken(self._next_id(), jti, expires_at, now))
        return is_new

    async def revocations(self, *, after: int = 0) -> Revocations:
        """List a page of revoked licences."""
        found: Revocations = await self._ask(bookkeeping.ListRevocations(self._next_id(), after))
        return found

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """Keep an answer for a day."""
        require_short(kept)
        await self._ask(bookkeeping.KeepAnswer(self._next_id(), name, kept, now))

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """Find an answer that was kept."""
        found: KeptAnswer | None = await self._ask(bookkeeping.FindAnswer(self._next_id(), name, now))
        return found

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """Prove what stamps were used for."""
        found: list[SealedUse | None] = await self._ask(bookkeeping.ProveUses(self._next_id(), keys))
        return found

    async def head(self) -> BatchHead | None:
        """Find the newest link of the chain."""
        found: BatchHead | None = await self._ask(bookkeeping.FindHead(self._next_id()))
        return found

    async def head_of(self, number: int) -> BatchHead | None:
        """Find a link of the chain by its number."""
        found: BatchHead | None = await self._ask(bookkeeping.FindHeadOf(self._next_id(), number))
        return found

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """Begin a new epoch of the chain."""
        head: BatchHead = await self._ask(bookkeeping.BeginEpoch(self._next_id(), epoch_id, after, now))
        return head

    async def passed(self, looker: Looker) -> Passed:
        """Tell how much time has really passed. What the looker remembers is in the other process."""
        found: Passed = await self._ask(
            bookkeeping.TellPassed(self._next_id(), looker.name, looker.clock(), looker.monotonic())
        )
        return found

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Void or settle what was left in doubt."""
        report: SweepReport = await self._ask(bookkeeping.Sweep(self._next_id(), now, until))
        return report

    async def spill(self) -> None:
        """Have the process that has the ledger write all that it knows."""
        await self._ask(bookkeeping.Spill(self._next_id()))

    async def audit(self) -> Audit:
        """Recompute every balance."""
        found: Audit = await self._ask(bookkeeping.AuditBooks(self._next_id()))
        return found

    async def close(self) -> None:
        """Wait for what was asked, and close. The process that has the ledger goes on."""
        await self._connection.close()

    def _to_hold_again(self) -> Iterator[Hold]:
        for receiver, orders, now in self._in_hand.to_hold_again():
            yield Hold(self._next_id(), receiver, orders, now, is_lasting=False, is_again=True)
