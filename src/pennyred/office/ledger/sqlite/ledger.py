"""The back end: one writer and one reader thread a process over one SQLite file; the protocol, method by method."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from pennyred.failures import told
from pennyred.office.ledger.callers import KeptAnswer, Receiver, ReceiverOutcome
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
from pennyred.office.ledger.requests import HoldRequest, Request, SettleRequest, VoidRequest
from pennyred.office.ledger.sqlite import accounts as offices
from pennyred.office.ledger.sqlite import audit, chain, receivers, redemption, stamps, sweep
from pennyred.office.ledger.sqlite.backup import require_no_rest
from pennyred.office.ledger.sqlite.moved import is_world, require_here, require_still_here
from pennyred.postage.errors import Unavailable
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.licence import Revocations
from pennyred.postage.proofs.chain import BatchHead, Epoch
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import Migration, is_empty, load_migrations, migrate, require_current
from pennyred.storage.noting import NoteBatch
from pennyred.storage.passing import Looker, Passed, look

T = TypeVar("T")


def migrate_ledger(path: Path, *, now: int) -> list[int]:
    """Bring the schema of the ledger at `path` up to date; the numbers of the migrations applied.

    Raises SchemaError, or Unavailable when the file does not answer.
    """
    require_no_rest(path)
    try:
        connection = open_database(path)
        try:
            require_here(connection)
            return _migrate(connection, now=now)
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise _unavailable(path, error) from error


def _migrate(connection: apsw.Connection, *, now: int) -> list[int]:
    """The numbered steps, and what of them no fixed text can say: tables of days, and a chain for an older journal."""
    applied = migrate(connection, _migrations(), now=now)
    with connection:
        stamps.add_places(connection)
        chain.begin(connection, now=now)
    return applied


def _migrations() -> tuple[Migration, ...]:
    return load_migrations("pennyred.office.ledger", "migrations/sqlite")


def _unavailable(path: Path, error: BaseException) -> Unavailable:
    return Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}")


class SqliteLedger:
    """A `Ledger` in a file. Made by `open`; used from event loops of one process, beside other processes."""

    def __init__(
        self,
        path: Path,
        writer: apsw.Connection,
        reader: apsw.Connection,
        *,
        busy_timeout_seconds: float,
        note_batch: NoteBatch | None = None,
    ) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        reason, place = Reason.LEDGER_UNAVAILABLE, str(path)
        self._writer = GroupCommit(
            writer, name="ledger writer", reason=reason, note_batch=note_batch, is_world=is_world, place=place
        )
        # A second connection, so that a lookup does not wait for somebody's flush.
        self._reader = GroupCommit(reader, name="ledger reader", reason=reason, begin="BEGIN", place=place)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now: int,
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        note_batch: NoteBatch | None = None,
    ) -> Self:
        """Open the ledger at `path`; a new file is given its schema. `note_batch` is told of each transaction.

        Raises SchemaTooOld where `migrate_ledger` has to come first, another SchemaError where that would not help, and
        Unavailable when the file does not answer.
        """
        with ExitStack() as opened:
            try:
                writer = open_database(path, busy_timeout_seconds=busy_timeout_seconds)
                opened.callback(writer.close)
                if is_empty(writer):
                    _migrate(writer, now=now)
                require_here(writer)
                require_current(writer, _migrations())
                reader = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
            except WORLD_ERRORS as error:
                raise _unavailable(path, error) from error
            opened.pop_all()
        return cls(path, writer, reader, busy_timeout_seconds=busy_timeout_seconds, note_batch=note_batch)

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
        return await self._writer.run(lambda db: redemption.refund(db, receiver, refunds, now))

    async def open_account(
        self, account: str, address: str, public_key: bytes, daily_cap: int, *, now: int
    ) -> OpenAnswer:
        """See `Ledger.open_account`."""
        return await self._writer.run(
            lambda db: offices.open_account(db, account, address, public_key, daily_cap=daily_cap, now=now)
        )

    async def close_account(self, account: str) -> AccountOutcome:
        """See `Ledger.close_account`."""
        return await self._writer.run(lambda db: offices.close_account(db, account))

    async def replace_key(self, account: str, public_key: bytes) -> AccountOutcome:
        """See `Ledger.replace_key`."""
        return await self._writer.run(lambda db: offices.replace_key(db, account, public_key))

    async def account(self, account: str) -> Account | None:
        """See `Ledger.account`."""
        return await self._look(lambda db: offices.account(db, account))

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """See `Ledger.account_by_key`."""
        return await self._look(lambda db: offices.account_by_key(db, public_key))

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """See `Ledger.accounts`."""
        return await self._look(lambda db: offices.accounts(db, after, limit))

    async def entries(self, account: str, *, after: int = 0, limit: int = 100) -> list[Entry]:
        """See `Ledger.entries`."""
        return await self._look(lambda db: offices.entries(db, account, after, limit))

    async def credit(
        self, account: str, stamps: int, reason: str, *, now: int, source: str = OFFICE_SALES
    ) -> CreditOutcome:
        """See `Ledger.credit`."""
        require_stamps(stamps)
        return await self._writer.run(lambda db: offices.credit(db, account, stamps, reason, source=source, now=now))

    async def create_vouchers(self, hashes: Sequence[bytes], stamps: int, *, now: int) -> None:
        """See `Ledger.create_vouchers`."""
        require_stamps(stamps)
        await self._writer.run(lambda db: offices.create_vouchers(db, hashes, stamps, now))

    async def redeem_voucher(self, account: str, voucher_hash: bytes, *, now: int) -> VoucherAnswer:
        """See `Ledger.redeem_voucher`."""
        return await self._writer.run(lambda db: offices.redeem_voucher(db, account, voucher_hash, now))

    async def add_receiver(self, name: str, domains: Sequence[str], token_hash: bytes, *, now: int) -> ReceiverOutcome:
        """See `Ledger.add_receiver`."""
        return await self._writer.run(lambda db: receivers.add_receiver(db, name, domains, token_hash, now))

    async def receiver_by_token(self, token_hash: bytes) -> Receiver | None:
        """See `Ledger.receiver_by_token`."""
        return await self._look(lambda db: receivers.receiver_by_token(db, token_hash))

    async def remember_jti(self, jti: str, expires_at: int, *, now: int) -> bool:
        """See `Ledger.remember_jti`."""
        return await self._writer.run(lambda db: receivers.remember_jti(db, jti, expires_at, now))

    async def add_domain(self, name: str, domain: str) -> ReceiverOutcome:
        """See `Ledger.add_domain`."""
        return await self._writer.run(lambda db: receivers.add_domain(db, name, domain))

    async def keep_answer(self, name: bytes, kept: KeptAnswer, *, now: int) -> None:
        """See `Ledger.keep_answer`."""
        await self._writer.run(lambda db: receivers.keep_answer(db, name, kept, now))

    async def revocations(self, *, after: int = 0) -> Revocations:
        """See `Ledger.revocations`."""
        return await self._look(lambda db: offices.revocations(db, after))

    async def kept_answer(self, name: bytes, *, now: int) -> KeptAnswer | None:
        """See `Ledger.kept_answer`."""
        return await self._look(lambda db: receivers.kept_answer(db, name, now))

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """See `Ledger.uses`."""
        return await self._look(lambda db: chain.uses(db, keys))

    async def head(self) -> BatchHead | None:
        """See `Ledger.head`."""
        return await self._look(chain.last_head)

    async def head_of(self, number: int) -> BatchHead | None:
        """See `Ledger.head_of`."""
        return await self._look(lambda db: chain.head_of(db, number))

    async def begin_epoch(self, epoch_id: bytes, *, after: Sequence[Epoch] | None = None, now: int) -> BatchHead:
        """See `Ledger.begin_epoch`."""
        return await self._writer.run(lambda db: chain.begin_epoch(db, epoch_id, after, now))

    async def passed(self, looker: Looker) -> Passed:
        """See `Ledger.passed`."""
        found, memory = await self._writer.run(lambda db: look(db, looker))
        looker.keep(memory)
        return found

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """See `Ledger.sweep`."""
        return await self._writer.run(lambda db: sweep.sweep(db, now, until))

    async def audit(self) -> Audit:
        """See `Ledger.audit`. It has a connection of its own, as it takes its time."""
        return await asyncio.to_thread(self._audit)

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._writer.close()
        await self._reader.close()

    async def _redeem(self, request: Request) -> list[Any]:
        return await self._writer.answer(redemption.redeem, request, weight=1 + len(request.items))

    async def _look(self, work: Callable[[apsw.Connection], T]) -> T:
        """Read; what a ledger says that has moved is not true any more."""

        def look(connection: apsw.Connection) -> T:
            require_still_here(connection)
            return work(connection)

        return await self._reader.run(look)

    def _audit(self) -> Audit:
        try:
            connection = open_database(self._path, is_reader=True, busy_timeout_seconds=self._busy_timeout_seconds)
            try:
                require_still_here(connection)
                connection.execute("BEGIN")  # one snapshot for all its queries
                return audit.audit(connection)
            finally:
                connection.close()
        except WORLD_ERRORS as error:
            raise _unavailable(self._path, error) from error
