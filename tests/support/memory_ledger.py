"""The ledger in dictionaries: the plain model both back ends must agree with, and a quick one for tests.

It keeps the whole protocol; only that nothing survives the process, and that one event loop uses it.
"""

from collections.abc import Sequence

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Pair, use_of
from pennyred.office.ledger.chaining import Moved
from pennyred.office.ledger.protocol import (
    HOLDS_PER_SWEEP_MAX,
    AccountState,
    Audit,
    EntryKind,
    SweepReport,
    receiver_account,
)
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
)
from pennyred.postage.proofs.chain import BatchHead, Epoch, split_place
from pennyred.postage.proofs.merkle import Tree
from pennyred.postage.proofs.receipt import SealedUse, seal
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.postage.stamp import StampKey
from pennyred.storage.passing import Looker, Passed
from tests.support.memory_offices import MemoryOffices


class MemoryLedger(MemoryOffices):
    """A `Ledger` that forgets everything when the process ends."""

    def __init__(self) -> None:
        super().__init__()
        self._stamps: dict[StampKey, StampRecord] = {}
        self._used: dict[tuple[str, int], int] = {}
        self._pair_use: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._floor_day = 0
        self._clocks: dict[str, int] = {}
        self._believed = self._last_clock = 0

    async def hold(
        self, receiver: str, orders: Sequence[HoldOrder], *, now: int, is_lasting: bool = True
    ) -> list[HoldAnswer]:
        """See `Ledger.hold`."""
        batch = self._batch(orders, now)
        answers = batch.hold(orders, self._facts(receiver, now))
        self._store(batch, EntryKind.SETTLE, now)
        return answers

    async def settle_stamps(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[SettleOutcome]:
        """See `Ledger.settle_stamps`."""
        batch = self._batch(orders, now)
        outcomes = batch.settle_stamps(orders, self._facts(receiver, now))
        self._store(batch, EntryKind.SETTLE, now)
        return outcomes

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

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """See `Ledger.uses`."""
        self._require_open()
        return [self._sealed(key) for key in keys]

    async def head(self) -> BatchHead | None:
        """See `Ledger.head`."""
        self._require_open()
        return self._journal.batches[-1][0] if self._journal.batches else None

    async def head_of(self, number: int) -> BatchHead | None:
        """See `Ledger.head_of`."""
        self._require_open()
        return self._journal.batches[number - 1][0] if 0 < number <= len(self._journal.batches) else None

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """See `Ledger.begin_epoch`."""
        self._require_open()
        return self._journal.begin_epoch(epoch_id, after, at=now)

    async def passed(self, looker: Looker) -> Passed:
        """See `Ledger.passed`."""
        self._require_open()
        own = self._clocks[looker.name] = looker.clock()
        found, memory, gone = looker.weigh(list(self._clocks.items()), self._believed, self._last_clock, own)
        self._clocks = {name: clock for name, clock in self._clocks.items() if name not in gone}
        self._believed, self._last_clock, self._forget_at = found.believed, found.clock, found.until
        looker.keep(memory)
        return found

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """See `Ledger.sweep`."""
        self._require_open()
        overdue = [
            (stamp.lease_until, *key)
            for key, stamp in self._stamps.items()
            if stamp.state == StampState.HELD and is_to_be_swept(stamp.lease_until, until)
        ]
        keys = [(account, day, serial) for _, account, day, serial in sorted(overdue)[:HOLDS_PER_SWEEP_MAX]]
        batch = Batch(
            self._stamps, self._figures({key[0] for key in keys}, now), today=utc_day(now), number=self._number
        )
        voided, settled = batch.sweep(keys, self._usage(now), now=now)
        self._store(batch, EntryKind.SWEEP, now)
        droppable = self._droppable(until)
        for day in droppable[:1]:
            self._floor_day = max(self._floor_day, day)
            self._stamps = {key: stamp for key, stamp in self._stamps.items() if key[1] != day}
        is_more = len(keys) == HOLDS_PER_SWEEP_MAX or len(droppable) > 1
        return SweepReport(voided, settled, tuple(droppable[:1]), is_more)

    async def spill(self) -> None:
        """Nobody can read what it has beside it."""

    async def audit(self) -> Audit:
        """See `Ledger.audit`."""
        self._require_open()
        return self._journal.audit(
            [(key[0], stamp.price) for key, stamp in self._stamps.items() if stamp.state == StampState.HELD]
        )

    async def close(self) -> None:
        """See `Ledger.close`."""
        self._is_closed = True

    def forget_holds(self) -> None:
        """As a crash makes a ledger whose open holds stand only in memory."""
        for key, stamp in list(self._stamps.items()):
            if stamp.state == StampState.HELD:
                del self._stamps[key]
                self._journal.hold(key[0], -stamp.price)
                self._used[key[0], stamp.cap_day] -= stamp.price

    def _sealed(self, key: StampKey) -> SealedUse | None:
        record = self._stamps.get(key)
        if record is None or not record.place:
            return None
        number, index = split_place(record.place)
        head, details = self._journal.batches[number - 1]
        return seal(use_of(key, record), head, index, Tree(details))

    def _batch(self, items: Sequence[HoldOrder | Settle | Void], now: int) -> Batch:
        self._require_open()
        figures = self._figures({item.account for item in items}, now)
        return Batch(self._stamps, figures, today=utc_day(now), number=self._number)

    def _facts(self, receiver: str, now: int) -> HoldFacts:
        account = self._journal.accounts.get(receiver_account(receiver))
        is_open = account is not None and account.state is AccountState.OPEN
        domains = frozenset(self._receivers[receiver][0].domains if is_open else ())
        return HoldFacts(receiver, domains, self._floor_day, now)

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
        self._journal.pay(kind, changes.paid, changes.earned, now=now)
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

    def _droppable(self, until: int) -> list[int]:
        """A day is remembered once a stamp of it was voided or settled."""
        held = [key[1] for key, stamp in self._stamps.items() if stamp.state == StampState.HELD]
        days = {key[1] for key, stamp in self._stamps.items() if stamp.state != StampState.HELD}
        return droppable_days(days, min(held, default=None), until)
