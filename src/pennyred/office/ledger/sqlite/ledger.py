"""The back end for SQLite. Each process has one writer thread and one reader thread over one file."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import apsw

from pennyred.office.ledger.protocol import Audit, SweepReport
from pennyred.office.ledger.requests import RefundRequest, Request
from pennyred.office.ledger.sql import SqlLedger
from pennyred.office.ledger.sqlite import accounts, audit, chain, receivers, redemption, sweep
from pennyred.office.ledger.sqlite.moved import is_world, require_still_here
from pennyred.office.ledger.sqlite.opening import open_here, read_beside, unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import passing
from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database
from pennyred.storage.groupcommit import GroupCommit
from pennyred.storage.noting import NoteBatch

T = TypeVar("T")


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
                raise unavailable(path, error) from error
            opened.pop_all()
        return cls(path, writer, reader, busy_timeout_seconds=busy_timeout_seconds, note_batch=note_batch)

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Sweep as `Ledger.sweep` says."""
        return await self._writer.run(lambda db: sweep.sweep(db, now, until))

    async def spill(self) -> None:
        """Nothing to write: all that is known is in the file."""

    async def audit(self) -> Audit:
        """Audit the ledger, as `Ledger.audit` says. It has a connection of its own, as it takes its time."""
        return await asyncio.to_thread(
            read_beside, self._path, audit.audit, busy_timeout_seconds=self._busy_timeout_seconds
        )

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
