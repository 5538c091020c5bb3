"""The back end: one pool of connections a process, work of many callers merged; the protocol, method by method."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar

from pennyred.office.ledger.callers import KeptAnswer, Receiver, ReceiverOutcome
from pennyred.office.ledger.postgresql import accounts as offices
from pennyred.office.ledger.postgresql import audit, chain, days, receivers, redemption, sweep
from pennyred.office.ledger.protocol import (
    OFFICE_SALES,
    Account,
    AccountOutcome,
    Audit,
    CreditOutcome,
    Entry,
    OpenAnswer,
    StampKey,
    SweepReport,
    VoucherAnswer,
    require_stamps,
)
from pennyred.office.ledger.requests import HoldRequest, RefundRequest, Request, SettleRequest, VoidRequest
from pennyred.postage.errors import Unavailable
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.licence import Revocations
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.storage.mergedwork import MergedWork
from pennyred.storage.migrations import Migration, load_migrations
from pennyred.storage.noting import NoteBatch
from pennyred.storage.passing import Looker, Passed
from pennyred.storage.postgres import (
    CONNECTIONS_MAX,
    Connection,
    Pool,
    connect,
    is_world,
    open_pool,
    persist,
    shown,
    unavailable,
)
from pennyred.storage.postgres_migrations import is_empty, migrate, require_current

T = TypeVar("T")
_APPLICATION = "pennyred ledger"
_DAYS_TRIES = 5


async def migrate_ledger(url: str, *, now: int) -> list[int]:
    """Bring the schema of the ledger at `url` up to date; the numbers of the migrations applied.

    May run while offices serve. Raises SchemaError, or Unavailable when the database does not answer.
    """
    try:
        connection = await connect(url, application=_APPLICATION)
        try:
            applied = await migrate(connection, _migrations(), now=now)
            await days.make(connection, days.ahead(now))
            return applied
        finally:
            await connection.close()
    except Exception as error:
        raise _translated(url, error) from error


def _migrations() -> tuple[Migration, ...]:
    return load_migrations("pennyred.office.ledger", "migrations/postgresql")


def _translated(url: str, error: BaseException) -> BaseException:
    return unavailable(Reason.LEDGER_UNAVAILABLE, url, error) if is_world(error) else error


class PostgresLedger:
    """A `Ledger` in a database. Made by `open`; belongs to one event loop."""

    def __init__(self, url: str, pool: Pool, note_batch: NoteBatch | None = None) -> None:
        self._url = url
        self._pool = pool
        self._work = MergedWork(pool, url, reason=Reason.LEDGER_UNAVAILABLE, note_batch=note_batch)
        self._days: frozenset[int] = frozenset()
        """Partitions that were there when last looked; one that was dropped since is needed by nobody."""

    @classmethod
    async def open(
        cls, url: str, *, now: int, connections_max: int = CONNECTIONS_MAX, note_batch: NoteBatch | None = None
    ) -> Self:
        """Open the ledger at `url`; an empty database is given its schema.

        Raises SchemaTooOld where `migrate_ledger` has to come first, another SchemaError where that would not help, and
        Unavailable when the database does not answer.
        """
        try:
            connection = await connect(url, application=_APPLICATION)
            try:
                if await is_empty(connection):
                    await migrate(connection, _migrations(), now=now)
                await require_current(connection, _migrations(), place=shown(url))
                await days.make(connection, days.ahead(now))
            finally:
                await connection.close()
            pool = await open_pool(url, application=_APPLICATION, connections_max=connections_max)
        except Exception as error:
            raise _translated(url, error) from error
        return cls(url, pool, note_batch)

    async def hold(self, receiver: str, orders: Sequence[HoldOrder], *, now: int) -> list[HoldAnswer]:
        """See `Ledger.hold`."""
        answers: list[HoldAnswer] = await self._redeem(HoldRequest(receiver, orders, now))
        return answers

    async def settle(self, receiver: str, settles: Sequence[Settle], *, now: int) -> list[SettleOutcome]:
        """See `Ledger.settle`."""
        outcomes: list[SettleOutcome] = await self._redeem(SettleRequest(receiver, settles, now))
        return outcomes

    async def void(self, receiver: str, voids: Sequence[Void], *, now: int) -> list[VoidOutcome]:
        """See `Ledger.void`."""
        outcomes: list[VoidOutcome] = await self._redeem(VoidRequest(receiver, voids, now))
        return outcomes

    async def refund(self, receiver: str, refunds: Sequence[Settle], *, now: int) -> list[RefundOutcome]:
        """See `Ledger.refund`."""

        async def answer(connection: Connection, requests: Sequence[RefundRequest]) -> list[list[RefundOutcome]]:
            return await redemption.refund(connection, requests, self._days)

        return await self._with_days(lambda: self._work.answer(answer, RefundRequest(receiver, refunds, now)))

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """See `Ledger.open_account`."""
        return await self._run(
            lambda db: offices.open_account(db, account, address, public_key, daily_cap=daily_cap, now=now)
        )

    async def close_account(self, account: str) -> AccountOutcome:
        """See `Ledger.close_account`."""
        return await self._run(lambda db: offices.close_account(db, account))

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """See `Ledger.replace_key`."""
        return await self._run(lambda db: offices.replace_key(db, account, public_key))

    async def account(self, account: str) -> Account | None:
        """See `Ledger.account`."""
        return await self._run(lambda db: offices.account(db, account))

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """See `Ledger.account_by_key`."""
        return await self._run(lambda db: offices.account_by_key(db, public_key))

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """See `Ledger.accounts`."""
        return await self._run(lambda db: offices.accounts(db, after, limit))

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """See `Ledger.entries`."""
        return await self._run(lambda db: offices.entries(db, account, after, limit))

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """See `Ledger.credit`."""
        require_stamps(stamps)
        return await self._run(
            lambda db: offices.credit(db, account, stamps, reason, source=source, now=now), is_repeatable=False
        )

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """See `Ledger.create_vouchers`."""
        require_stamps(stamps)
        await self._run(lambda db: offices.create_vouchers(db, hashes, stamps, now), is_repeatable=False)

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """See `Ledger.redeem_voucher`."""
        return await self._run(lambda db: offices.redeem_voucher(db, account, voucher_hash, now))

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """See `Ledger.add_receiver`."""
        return await self._run(lambda db: receivers.add_receiver(db, name, domains, token_hash, now))

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """See `Ledger.receiver_by_token`."""
        return await self._run(lambda db: receivers.receiver_by_token(db, token_hash))

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """See `Ledger.remember_jti`."""
        return await self._run(lambda db: receivers.remember_jti(db, jti, expires_at, now), is_repeatable=False)

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """See `Ledger.add_domain`."""
        return await self._run(lambda db: receivers.add_domain(db, name, domain))

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """See `Ledger.keep_answer`."""
        await self._run(lambda db: receivers.keep_answer(db, name, kept, now))

    async def revocations(self, *, after: int = 0) -> Revocations:
        """See `Ledger.revocations`."""
        return await self._run(lambda db: offices.revocations(db, after))

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """See `Ledger.kept_answer`."""
        return await self._run(lambda db: receivers.kept_answer(db, name, now))

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """See `Ledger.uses`."""
        return await self._run(lambda db: chain.uses(db, keys))

    async def head(self) -> BatchHead | None:
        """See `Ledger.head`."""
        return await self._run(chain.last_head)

    async def head_of(self, number: int) -> BatchHead | None:
        """See `Ledger.head_of`."""
        return await self._run(lambda db: chain.head_of(db, number))

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """See `Ledger.begin_epoch`."""
        return await self._run(lambda db: chain.begin_epoch(db, epoch_id, after, now), is_repeatable=False)

    async def passed(self, looker: Looker) -> Passed:
        """See `Ledger.passed`."""
        found, memory = await self._run(lambda db: sweep.look(db, looker))
        looker.keep(memory)
        return found

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """See `Ledger.sweep`. Makes the partitions of the days to come, too."""
        await self._make_days(days.ahead(now))
        voided, settled, is_more = await self._with_days(
            lambda: self._run(lambda db: sweep.sweep_holds(db, self._days, now=now, until=until))
        )
        droppable, unused = await self._run(lambda db: sweep.droppable(db, until=until))
        dropped = tuple([day for day in droppable[:1] if await self._drop(day)])
        for day in unused:
            await self._drop(day, is_used=False)
        await self._run(lambda db: sweep.forget(db, until=until))
        return SweepReport(voided, settled, dropped, is_more or len(droppable) > 1)

    async def audit(self) -> Audit:
        """See `Ledger.audit`."""
        return await self._run(audit.audit, is_reading=True)

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._work.close()
        if not self._pool.is_closing():
            await self._pool.close()

    async def _redeem(self, request: Request) -> list[Any]:
        return await self._with_days(
            lambda: self._work.answer(self._answer_redemptions, request, weight=1 + len(request.items))
        )

    async def _answer_redemptions(self, connection: Connection, requests: Sequence[Request]) -> list[list[Any]]:
        return await redemption.redeem(connection, requests, self._days)

    async def _with_days(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; where a partition is missing, make it and ask again."""
        for _ in range(_DAYS_TRIES):
            try:
                return await ask()
            except days.DayMissing as missing:
                await self._make_days(missing.days)
        raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{shown(self._url)}: partitions that do not stay")

    async def _make_days(self, wanted: Sequence[int] | frozenset[int]) -> None:
        try:
            async with self._pool.acquire() as connection:
                await days.make(connection, wanted)
                self._days = frozenset(await days.present(connection))
        except Exception as error:
            raise _translated(self._url, error) from error

    async def _drop(self, day: int, *, is_used: bool = True) -> bool:
        """Whether the day could be dropped now."""
        try:
            await self._run(lambda db: days.drop(db, day, is_used=is_used), is_patient=False)
        except Unavailable:
            return False
        return True

    async def _run(
        self, work: Callable[[Connection], Awaitable[T]], *, is_repeatable: bool = True, is_reading: bool = False,
        is_patient: bool = True,
    ) -> T:  # fmt: skip
        try:
            if is_patient:
                return await persist(self._pool, work, is_repeatable=is_repeatable, is_reading=is_reading)
            async with self._pool.acquire() as connection, connection.transaction():
                return await work(connection)
        except Exception as error:
            if is_world(error):
                raise unavailable(Reason.LEDGER_UNAVAILABLE, self._url, error) from error
            raise
