"""The back end for SQLite. Each process has one writer thread and one reader thread over one file."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import apsw

from pennyred.failures import told
from pennyred.office.ledger.protocol import Audit, SweepReport
from pennyred.office.ledger.requests import RefundRequest, Request
from pennyred.office.ledger.sql import SqlLedger
from pennyred.office.ledger.sqlite import accounts, audit, chain, receivers, redemption, stamps, sweep
from pennyred.office.ledger.sqlite.backup import require_no_rest
from pennyred.office.ledger.sqlite.moved import is_world, require_here, require_still_here
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import passing
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.migrations import Migration, is_empty, load_migrations, migrate, require_current
from pennyred.storage.noting import NoteBatch

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


def open_here(path: Path, *, now: int, busy_timeout_seconds: float) -> apsw.Connection:
    """Open the ledger at `path` for writing; a new file is given its schema. Raises what `SqliteLedger.open` raises."""
    with ExitStack() as opened:
        try:
            connection = open_database(path, busy_timeout_seconds=busy_timeout_seconds)
            opened.callback(connection.close)
            if is_empty(connection):
                _migrate(connection, now=now)
            require_here(connection)
            require_current(connection, _migrations())
        except WORLD_ERRORS as error:
            raise _unavailable(path, error) from error
        opened.pop_all()
    return connection


def _migrate(connection: apsw.Connection, *, now: int) -> list[int]:
    """Apply the numbered steps, and what no fixed text can say: tables of days, and a chain for an older journal."""
    applied = migrate(connection, _migrations(), now=now)
    with connection:
        stamps.add_places(connection)
        chain.begin(connection, now=now)
    return applied


def _migrations() -> tuple[Migration, ...]:
    return load_migrations("pennyred.office.ledger", "migrations/sqlite")


def _unavailable(path: Path, error: BaseException) -> Unavailable:
    return Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}")


class SqliteLedger(SqlLedger):
    """A `Ledger` in a file. Made by `open`; used from event loops of one process, beside other processes."""

    _accounts: ClassVar[Any] = accounts
    _receivers: ClassVar[Any] = receivers
    _chain: ClassVar[Any] = chain
    _passing: ClassVar[Any] = passing

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
            writer = open_here(path, now=now, busy_timeout_seconds=busy_timeout_seconds)
            opened.callback(writer.close)
            try:
                reader = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
            except WORLD_ERRORS as error:
                raise _unavailable(path, error) from error
            opened.pop_all()
        return cls(path, writer, reader, busy_timeout_seconds=busy_timeout_seconds, note_batch=note_batch)

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Sweep as `Ledger.sweep` says."""
        return await self._writer.run(lambda db: sweep.sweep(db, now, until))

    async def audit(self) -> Audit:
        """Audit the ledger, as `Ledger.audit` says. It has a connection of its own, as it takes its time."""
        return await asyncio.to_thread(self._audit)

    async def close(self) -> None:
        """Finish and close, as `Ledger.close` says."""
        await self._writer.close()
        await self._reader.close()

    async def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        """See `SqlLedger._read`. A ledger that has moved elsewhere is not read: what it says is not true any more."""

        def read(connection: apsw.Connection) -> T:
            require_still_here(connection)
            return work(connection)

        return await self._reader.run(read)

    async def _write(self, work: Callable[[apsw.Connection], T], *, is_repeatable: bool = True) -> T:  # noqa: ARG002
        """See `SqlLedger._write`. Nothing is repeated here: a file says whether it has committed."""
        return await self._writer.run(work)

    async def _redeem(self, request: Request | RefundRequest) -> list[Any]:
        """See `SqlLedger._redeem`."""
        answer: Callable[..., list[list[Any]]] = (
            redemption.refund if isinstance(request, RefundRequest) else redemption.redeem
        )
        return await self._writer.answer(answer, request, weight=1 + len(request.items))

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
