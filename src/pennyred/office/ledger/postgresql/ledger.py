"""The back end for PostgreSQL. Each process has one pool of connections, and merges the work of many callers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, ClassVar, Self, TypeVar

from pennyred.office.ledger.postgresql import accounts, audit, chain, days, receivers, redemption, stamps, sweep
from pennyred.office.ledger.postgresql.lasting import Lasting
from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX, Audit, SweepReport
from pennyred.office.ledger.requests import HoldRequest, RefundRequest, Request
from pennyred.office.ledger.sql import SqlLedger
from pennyred.postage.errors import OutcomeUnknown, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import StampKey
from pennyred.storage.mergedwork import MergedWork
from pennyred.storage.migrations import Migration, load_migrations
from pennyred.storage.noting import NoteBatch
from pennyred.storage.postgres import (
    CONNECTIONS_MAX,
    Connection,
    MayBeCommitted,
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


class PostgresLedger(SqlLedger):
    """A `Ledger` in a PostgreSQL database. Made by `open`; belongs to one event loop."""

    _accounts: ClassVar[Any] = accounts
    _receivers: ClassVar[Any] = receivers
    _chain: ClassVar[Any] = chain
    _passing: ClassVar[Any] = sweep

    def __init__(self, url: str, pool: Pool, note_batch: NoteBatch | None = None) -> None:
        self._url = url
        self._pool = pool
        self._work = MergedWork(pool, url, reason=Reason.LEDGER_UNAVAILABLE, note_batch=note_batch)
        # A transaction of its own kind, because it waits for no flush (`redemption.ease`).
        self._holds = MergedWork(pool, url, reason=Reason.LEDGER_UNAVAILABLE, note_batch=note_batch)
        self._lasting = Lasting(self._write_open_holds)
        self._days: frozenset[int] = frozenset()
        """The partitions that were there at the last look."""

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
                known_days = frozenset(await days.present(connection))
            finally:
                await connection.close()
            pool = await open_pool(url, application=_APPLICATION, connections_max=connections_max)
        except Exception as error:
            raise _translated(url, error) from error
        ledger = cls(url, pool, note_batch)
        ledger._days = known_days
        return ledger

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Sweep as `Ledger.sweep` says. Makes the partitions of the days to come, too, and writes down open holds that
        were left behind.
        """
        await self._make_days(days.ahead(now))
        left_behind = await self._run(stamps.open_holds)
        if left_behind:
            await self._lasting.write(left_behind)
        voided, settled, is_more = await self._with_days(
            lambda: self._run(lambda db: sweep.sweep_holds(db, self._days, now=now, until=until))
        )
        droppable, unused = await self._run(lambda db: sweep.droppable(db, until=until))
        dropped = tuple([day for day in droppable[:1] if await self._drop(day)])
        for day in unused:
            await self._drop(day, is_used=False)
        await self._run(lambda db: sweep.forget(db, until=until))
        is_more |= len(droppable) > 1 or len(left_behind) == HOLDS_PER_SWEEP_MAX
        return SweepReport(voided, settled, dropped, is_more)

    async def spill(self) -> None:
        """Nothing to write: all that is known is in the database."""

    async def audit(self) -> Audit:
        """Audit the ledger, as `Ledger.audit` says."""
        return await self._run(audit.audit, is_reading=True)

    async def close(self) -> None:
        """Finish and close, as `Ledger.close` says."""
        await self._holds.close()
        await self._work.close()
        await self._lasting.close()
        if not self._pool.is_closing():
            await self._pool.close()

    async def _read(self, work: Callable[[Connection], Any]) -> Any:
        """See `SqlLedger._read`."""
        return await self._run(work)

    async def _write(self, work: Callable[[Connection], Any], *, is_repeatable: bool = True) -> Any:
        """See `SqlLedger._write`."""
        return await self._run(work, is_repeatable=is_repeatable)

    async def _redeem(self, request: Request | RefundRequest) -> list[Any]:
        """See `SqlLedger._redeem`."""
        weight = 1 + len(request.items)
        keys = [item.key for item in request.items]
        if isinstance(request, HoldRequest) and not request.is_lasting:
            answers = await self._with_days(lambda: self._holds.answer(self._answer_holds, request, weight=weight))
            self._lasting.note_held(keys, answers)
            return answers
        answer: Callable[..., Awaitable[list[list[Any]]]] = (
            self._answer_refunds if isinstance(request, RefundRequest) else self._answer_redemptions
        )
        self._lasting.note_ended(keys)
        return await self._with_days(lambda: self._work.answer(answer, request, weight=weight))

    async def _write_open_holds(self, keys: Collection[StampKey]) -> None:
        await self._run(lambda db: redemption.write_open_holds(db, keys))

    async def _answer_holds(self, connection: Connection, requests: Sequence[Request]) -> list[list[Any]]:
        answers = await redemption.redeem(connection, requests, self._days)
        await redemption.ease(connection, answers)
        return answers

    async def _answer_redemptions(self, connection: Connection, requests: Sequence[Request]) -> list[list[Any]]:
        return await redemption.redeem(connection, requests, self._days)

    async def _answer_refunds(self, connection: Connection, requests: Sequence[RefundRequest]) -> list[list[Any]]:
        return await redemption.refund(connection, requests, self._days)

    async def _with_days(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask. Where a partition is missing, make it and ask again."""
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
        except MayBeCommitted as unknown:
            trouble = unavailable(Reason.LEDGER_UNAVAILABLE, self._url, unknown.__cause__ or unknown)
            text = f"{trouble}; it is not known whether it was done: look before you repeat it"
            raise OutcomeUnknown(Reason.LEDGER_UNAVAILABLE, text) from unknown
        except Exception as error:
            if is_world(error):
                raise unavailable(Reason.LEDGER_UNAVAILABLE, self._url, error) from error
            raise
