"""The ledger in dictionaries: the plain model the other back ends must agree with, and a quick one for tests.

It keeps the whole protocol; only that nothing survives the process, and that one event loop uses it.
"""

from collections.abc import Sequence
from dataclasses import replace

from pennyred.ledger.batch import Batch, Pair, use_of
from pennyred.ledger.chaining import Moved
from pennyred.ledger.memory_journal import Journal
from pennyred.ledger.protocol import (
    HOLDS_PER_SWEEP_MAX,
    OFFICE_SALES,
    OFFICE_VOUCHERS,
    PAGE_MAX,
    TOKEN_LIFE_SECONDS_MAX,
    Account,
    AccountOutcome,
    AccountState,
    Audit,
    CreditOutcome,
    Entry,
    EntryKind,
    OpenAnswer,
    OpenOutcome,
    Receiver,
    ReceiverOutcome,
    StampKey,
    SweepReport,
    VoucherAnswer,
    VoucherOutcome,
    is_internal,
    receiver_account,
    require_stamps,
)
from pennyred.postage.chain import BatchHead, split_place
from pennyred.postage.errors import Unavailable
from pennyred.postage.ledger_rules import (
    IN_DOUBT_DAYS,
    AccountFigures,
    HoldFacts,
    HoldOrder,
    RefundOutcome,
    StampRecord,
    StampState,
    droppable_days,
    is_to_be_swept,
    utc_day,
)
from pennyred.postage.reasons import Reason
from pennyred.postage.receipt import SealedUse, seal
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


class MemoryLedger:
    """A `Ledger` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._journal = Journal()
        self._stamps: dict[StampKey, StampRecord] = {}
        self._used: dict[tuple[str, int], int] = {}
        self._pair_use: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._floor_day = 0
        self._vouchers: dict[bytes, tuple[int, str | None]] = {}
        self._receivers: dict[str, tuple[Receiver, bytes]] = {}
        self._tokens: dict[str, int] = {}
        self._is_closed = False

    async def hold(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[HoldAnswer]:
        """See `Ledger.hold`."""
        batch = self._batch(orders, now)
        account = self._journal.accounts.get(receiver_account(receiver))
        is_open = account is not None and account.state is AccountState.OPEN
        domains = frozenset(self._receivers[receiver][0].domains if is_open else ())
        answers = batch.hold(orders, HoldFacts(receiver, domains, self._floor_day, now))
        self._store(batch, EntryKind.SETTLE, now)
        return answers

    async def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """See `Ledger.settle`."""
        batch = self._batch(settles, now)
        outcomes = batch.settle(receiver, settles, now=now)
        self._store(batch, EntryKind.SETTLE, now)
        return outcomes

    async def void(self, receiver: str, voids: Sequence[Void], *, now: int) -> list[VoidOutcome]:
        """See `Ledger.void`."""
        batch = self._batch(voids, now)
        outcomes = batch.void(receiver, voids)
        self._store(batch, EntryKind.SETTLE, now)
        return outcomes

    async def refund(self, receiver: str, refunds: Sequence[Settle], *, now: int) -> list[RefundOutcome]:
        """See `Ledger.refund`."""
        batch = self._batch(refunds, now)
        account = self._journal.accounts.get(receiver_account(receiver))
        outcomes = batch.refund(receiver, refunds, account.balance if account else 0)
        self._store(batch, EntryKind.REFUND, now)
        return outcomes

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """See `Ledger.open_account`."""
        existing = await self.account_by_key(public_key)
        if existing is not None:
            return OpenAnswer(OpenOutcome.EXISTS, existing)
        if account in self._journal.accounts:
            return OpenAnswer(OpenOutcome.ID_TAKEN, None)
        return OpenAnswer(OpenOutcome.OPENED, self._journal.open(account, address, public_key, daily_cap, at=now))

    async def close_account(self, account: str) -> AccountOutcome:
        """See `Ledger.close_account`."""
        return self._change(account, state=AccountState.CLOSED)

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """See `Ledger.replace_key`."""
        owner = await self.account_by_key(public_key)
        if owner is not None and owner.id != account:
            return AccountOutcome.KEY_IN_USE
        current = self._journal.accounts.get(account)
        if current is None or not current.public_key:
            return AccountOutcome.UNKNOWN_ACCOUNT
        return self._change(account, public_key=public_key)

    async def account(self, account: str) -> Account | None:
        """See `Ledger.account`."""
        self._require_open()
        return self._journal.accounts.get(account)

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """See `Ledger.account_by_key`."""
        self._require_open()
        senders = (account for account in self._journal.accounts.values() if account.public_key)
        return next((account for account in senders if account.public_key == public_key), None)

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """See `Ledger.accounts`."""
        self._require_open()
        ids = sorted(account for account in self._journal.accounts if account > after)
        return [self._journal.accounts[account] for account in ids[: min(limit, PAGE_MAX)]]

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """See `Ledger.entries`."""
        self._require_open()
        entries = [entry for entry in self._journal.entries.get(account, []) if entry.id > after]
        return entries[: min(limit, PAGE_MAX)]

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """See `Ledger.credit`."""
        require_stamps(stamps)
        target, payer = await self.account(account), await self.account(source)
        if target is None or payer is None or is_internal(account):
            return CreditOutcome.UNKNOWN_ACCOUNT
        if target.state is AccountState.CLOSED:
            return CreditOutcome.ACCOUNT_CLOSED
        if not is_internal(source) and payer.available < stamps:
            return CreditOutcome.NO_FUNDS
        self._journal.credit(EntryKind.CREDIT, reason, payer=source, payee=account, stamps=stamps, at=now)
        return CreditOutcome.CREDITED

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:  # noqa: ARG002
        """See `Ledger.create_vouchers`."""
        self._require_open()
        require_stamps(stamps)
        if len(set(hashes)) < len(hashes) or any(voucher in self._vouchers for voucher in hashes):
            raise ValueError("a voucher with this code exists")
        self._vouchers.update((voucher, (stamps, None)) for voucher in hashes)

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """See `Ledger.redeem_voucher`."""
        target = await self.account(account)
        if voucher_hash not in self._vouchers:
            return VoucherAnswer(VoucherOutcome.UNKNOWN_VOUCHER)
        stamps, owner = self._vouchers[voucher_hash]
        if owner is not None:
            is_own = owner == account
            return (
                VoucherAnswer(VoucherOutcome.REDEEMED, stamps) if is_own else VoucherAnswer(VoucherOutcome.ALREADY_USED)
            )
        if target is None:
            return VoucherAnswer(VoucherOutcome.UNKNOWN_ACCOUNT)
        if target.state is AccountState.CLOSED:
            return VoucherAnswer(VoucherOutcome.ACCOUNT_CLOSED)
        self._vouchers[voucher_hash] = (stamps, account)
        self._journal.credit(EntryKind.VOUCHER, "", payer=OFFICE_VOUCHERS, payee=account, stamps=stamps, at=now)
        return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """See `Ledger.add_receiver`."""
        self._require_open()
        if name in self._receivers:
            return ReceiverOutcome.NAME_TAKEN
        self._receivers[name] = (Receiver(name, tuple(domains)), token_hash)
        self._journal.open(receiver_account(name), "", b"", 0, at=now)
        return ReceiverOutcome.ADDED

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """See `Ledger.receiver_by_token`."""
        self._require_open()
        for receiver, its_hash in self._receivers.values():
            state = self._journal.accounts[receiver_account(receiver.name)].state
            if its_hash == token_hash and state is AccountState.OPEN:
                return receiver
        return None

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """See `Ledger.remember_jti`."""
        self._require_open()
        if not now < expires_at <= now + TOKEN_LIFE_SECONDS_MAX:
            return False
        self._tokens = {seen: until for seen, until in self._tokens.items() if until > now}
        is_new = jti not in self._tokens
        self._tokens.setdefault(jti, expires_at)
        return is_new

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """See `Ledger.uses`."""
        self._require_open()
        return [self._sealed(key) for key in keys]

    async def head(self) -> BatchHead | None:
        """See `Ledger.head`."""
        self._require_open()
        return self._journal.batches[-1][0] if self._journal.batches else None

    async def sweep(self, *, now: int) -> SweepReport:
        """See `Ledger.sweep`."""
        self._require_open()
        overdue = [
            (stamp.lease_until, *key)
            for key, stamp in self._stamps.items()
            if stamp.state == StampState.HELD and is_to_be_swept(stamp.lease_until, now)
        ]
        keys = [(account, day, serial) for _, account, day, serial in sorted(overdue)[:HOLDS_PER_SWEEP_MAX]]
        batch = Batch(
            self._stamps, self._figures({key[0] for key in keys}, now), today=utc_day(now), number=self._number
        )
        voided, settled = batch.sweep(keys, self._usage(now), now=now)
        self._store(batch, EntryKind.SWEEP, now)
        droppable = self._droppable(now)
        for day in droppable[:1]:
            self._floor_day = max(self._floor_day, day)
            self._stamps = {key: stamp for key, stamp in self._stamps.items() if key[1] != day}
        is_more = len(keys) == HOLDS_PER_SWEEP_MAX or len(droppable) > 1
        return SweepReport(voided, settled, tuple(droppable[:1]), is_more)

    async def audit(self) -> Audit:
        """See `Ledger.audit`."""
        self._require_open()
        return self._journal.audit(
            [(key[0], stamp.price) for key, stamp in self._stamps.items() if stamp.state == StampState.HELD]
        )

    async def close(self) -> None:
        """See `Ledger.close`."""
        self._is_closed = True

    def _sealed(self, key: StampKey) -> SealedUse | None:
        record = self._stamps.get(key)
        if record is None or not record.place:
            return None
        number, index = split_place(record.place)
        head, details = self._journal.batches[number - 1]
        return seal(use_of(key, record), head, index, details)

    def _require_open(self) -> None:
        if self._is_closed:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "the ledger is closed")

    def _change(self, account: str, **fields: object) -> AccountOutcome:
        self._require_open()
        current = self._journal.accounts.get(account)
        if current is None or is_internal(account):
            return AccountOutcome.UNKNOWN_ACCOUNT
        self._journal.accounts[account] = replace(current, **fields)  # type: ignore[arg-type]
        return AccountOutcome.DONE

    def _batch(self, items: Sequence[HoldOrder | Settle | Void], now: int) -> Batch:
        self._require_open()
        figures = self._figures({item.account for item in items}, now)
        return Batch(self._stamps, figures, today=utc_day(now), number=self._number)

    @property
    def _number(self) -> int:
        """Of the next batch in the chain."""
        return len(self._journal.batches) + 1

    def _figures(self, accounts: set[str], now: int) -> dict[str, AccountFigures]:
        figures = {}
        for account in (self._journal.accounts[name] for name in accounts if name in self._journal.accounts):
            if account.public_key:
                used = self._used.get((account.id, utc_day(now)), 0)
                is_open = account.state is AccountState.OPEN
                figures[account.id] = AccountFigures(
                    is_open, account.public_key, account.daily_cap, account.balance, account.held, used
                )
        return figures

    def _store(self, batch: Batch, kind: EntryKind, now: int) -> None:
        """Write what a batch has changed besides the stamps, which it changed itself."""
        changes = batch.changes
        for account, stamps in changes.held.items():
            self._journal.hold(account, stamps)
        for (sender, name), stamps in changes.paid.items():
            if stamps:
                self._journal.pay(kind, sender, name, stamps, at=now)
        if changes.details:
            self._journal.seal(changes.details, Moved.by(changes), at=now)
        for use, stamps in changes.used.items():
            self._used[use] = self._used.get(use, 0) + stamps
        for pair in {**changes.holds, **changes.in_doubt}:
            holds, in_doubt = self._pair_use.get((*pair, utc_day(now)), (0, 0))
            self._pair_use[(*pair, utc_day(now))] = (holds + changes.holds[pair], in_doubt + changes.in_doubt[pair])

    def _usage(self, now: int) -> dict[Pair, tuple[int, int]]:
        usage: dict[Pair, tuple[int, int]] = {}
        for (account, name, day), (holds, in_doubt) in self._pair_use.items():
            if day > utc_day(now) - IN_DOUBT_DAYS:
                before = usage.get((account, name), (0, 0))
                usage[account, name] = (before[0] + holds, before[1] + in_doubt)
        return usage

    def _droppable(self, now: int) -> list[int]:
        """A day is remembered once a stamp of it was voided or settled."""
        held = [key[1] for key, stamp in self._stamps.items() if stamp.state == StampState.HELD]
        days = {key[1] for key, stamp in self._stamps.items() if stamp.state != StampState.HELD}
        return droppable_days(days, min(held, default=None), now)
