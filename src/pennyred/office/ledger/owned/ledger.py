"""The ledger of the one process that owns its file."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import apsw

from pennyred.failures import told
from pennyred.office.ledger.owned.asks import Kind
from pennyred.office.ledger.owned.books import Books
from pennyred.office.ledger.owned.checkpoints import Checkpoints
from pennyred.office.ledger.owned.flushing import Flusher, end_process
from pennyred.office.ledger.owned.lock import LedgerLock
from pennyred.office.ledger.owned.turns import Turns
from pennyred.office.ledger.protocol import HOLDS_PER_SWEEP_MAX, Account, Audit, SweepReport
from pennyred.office.ledger.requests import RefundRequest, Request
from pennyred.office.ledger.sql import SqlLedger
from pennyred.office.ledger.sqlite import accounts, audit, chain, receivers, redemption, sweep
from pennyred.office.ledger.sqlite.opening import open_here, read_beside
from pennyred.postage.errors import Unavailable
from pennyred.postage.proofs.receipt import SealedUse
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import StampKey
from pennyred.storage import passing
from pennyred.storage.noting import NoteBatch
from pennyred.storage.threads import to_its_end

T = TypeVar("T")

PAGE_CACHE_KIB = 64 * 1024
"""SQLite's cache of pages. In half of it, the pages of two turns push one another out where 10^7 stamps are remembered.
A small ledger does not fill it."""
SWEPT_AT_ONCE = 100
"""Holds that one piece of a sweep takes: letters are answered between two pieces."""


class OwnedLedger(SqlLedger):
    """A `Ledger` in an SQLite file that this process owns, used from one event loop. Made by `open`.

    Others may read the file beside it, after `spill`. Whoever writes in it must own it.
    """

    _accounts: ClassVar[Any] = accounts
    _receivers: ClassVar[Any] = receivers
    _chain: ClassVar[Any] = chain
    _passing: ClassVar[Any] = passing

    def __init__(
        self, path: Path, lock: LedgerLock, connection: apsw.Connection, flusher: Flusher, note_batch: NoteBatch | None
    ) -> None:
        self._path = path
        self._lock = lock
        self._connection = connection
        self._flusher = flusher
        self._books = Books(connection)
        self._checkpoints = Checkpoints(path, connection, look_at=flusher.look_at)
        self._turns = Turns(self._books, flusher, self._checkpoints, place=str(path), note_batch=note_batch)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now: int,
        lock: LedgerLock | None = None,
        note_batch: NoteBatch | None = None,
        give_up: Callable[[str], object] = end_process,
    ) -> Self:
        """Own the ledger at `path`; a new file is given its schema. `note_batch` is told of each turn.

        `lock` is its lock, if that was taken before; it is released with the ledger.

        `give_up` is called with a sentence where the disk has lost what was to be kept; it ends the process. Raises
        `LedgerTaken` where another process owns the ledger, SchemaError, and `Unavailable` when the file does not
        answer.
        """
        with ExitStack() as opened:
            lock = lock or LedgerLock.take(path)
            opened.callback(lock.release)
            lock.require_in_place()
            connection = open_here(path, now=now, busy_timeout_seconds=0.0)
            opened.callback(connection.close)
            try:
                connection.execute(f"PRAGMA synchronous=NORMAL; PRAGMA cache_size=-{PAGE_CACHE_KIB}").fetchall()
                connection.execute("SELECT count(*) FROM floor").fetchall()  # from now on there is a -wal file
                flusher = Flusher(path.with_name(path.name + "-wal"), give_up=give_up)
            except (OSError, apsw.Error) as error:
                raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
            opened.pop_all()
        return cls(path, lock, connection, flusher, note_batch)

    def begin(self, request: Request) -> "asyncio.Future[list[Any]]":
        """Ask what `hold`, `settle`, `settle_stamps` or `void` ask, and have the answer in a future.

        For who asks for many: a future costs less than a task that waits. Raises `Unavailable` where too many wait, or
        the ledger is closed; any other error comes with the future.
        """
        return self._turns.begin(Kind.REQUEST, request)

    async def spill(self) -> None:
        """Write all that only memory knows, durably: then the file says everything, until the next hold."""
        await self._write(lambda _: None)

    async def account(self, account: str) -> Account | None:
        """Find an account by its id, as `Ledger.account` says."""
        return await self._read(lambda db: self._with_holds([accounts.account(db, account)])[0])

    async def account_by_key(self, public_key: bytes) -> Account | None:
        """Find an account by its key, as `Ledger.account_by_key` says."""
        return await self._read(lambda db: self._with_holds([accounts.account_by_key(db, public_key)])[0])

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """List a page of accounts, as `Ledger.accounts` says."""
        found = await self._read(lambda db: self._with_holds(accounts.accounts(db, after, limit)))
        return [one for one in found if one is not None]

    async def uses(self, keys: Sequence[StampKey]) -> list[SealedUse | None]:
        """Prove what stamps were used for, as `Ledger.uses` says; in a thread, as it hashes whole batches."""
        found = await self._beside(lambda db: chain.uses(db, keys))
        return await self._read(lambda _: found)  # told when it is on the disk

    async def sweep(self, *, now: int, until: int) -> SweepReport:
        """Sweep as `Ledger.sweep` says, in pieces between which others are answered."""
        voided = settled = 0
        for _ in range(HOLDS_PER_SWEEP_MAX // SWEPT_AT_ONCE):
            done = await self._write(lambda db: sweep.sweep_holds(db, now, until, SWEPT_AT_ONCE))
            voided, settled = voided + done[0], settled + done[1]
            if sum(done) < SWEPT_AT_ONCE:
                break
        dropped, is_more = await self._write(lambda db: sweep.forget(db, until))
        return SweepReport(voided, settled, dropped, is_more or voided + settled == HOLDS_PER_SWEEP_MAX)

    async def audit(self) -> Audit:
        """Audit the ledger, as `Ledger.audit` says; in a thread, with all holds in the file."""
        await self.spill()
        return await self._beside(audit.audit)

    async def close(self) -> None:
        """Finish and close, as `Ledger.close` says, and own the file no more."""
        await self._turns.close()
        await to_its_end(self._close_files)

    async def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        """See `SqlLedger._read`."""
        found: T = await self._turns.read(work)
        return found

    async def _write(self, work: Callable[[apsw.Connection], T], *, is_repeatable: bool = True) -> T:  # noqa: ARG002
        """See `SqlLedger._write`. Nothing is repeated here: a file says whether it has committed."""
        done: T = await self._turns.begin(Kind.WORK, work)
        return done

    async def _note(self, work: Callable[[apsw.Connection], T], *, is_repeatable: bool = True) -> T:  # noqa: ARG002
        """See `SqlLedger._note`."""
        done: T = await self._turns.begin(Kind.NOTE, work)
        return done

    async def _redeem(self, request: Request | RefundRequest) -> list[Any]:
        """See `SqlLedger._redeem`."""
        answers: list[Any]
        if isinstance(request, RefundRequest):
            (answers,) = await self._write(lambda db: redemption.refund(db, [request]))
        else:
            answers = await self._turns.begin(Kind.REQUEST, request)
        return answers

    async def _beside(self, work: Callable[[apsw.Connection], T]) -> T:
        """Read in a thread."""
        return await asyncio.to_thread(read_beside, self._path, work)

    def _with_holds(self, found: Sequence[Account | None]) -> list[Account | None]:
        """Accounts of the file, with the holds that only memory knows."""
        held = self._books.memory.held_beside({one.id for one in found if one is not None})
        return [one and replace(one, held=one.held + held.get(one.id, 0)) for one in found]

    def _close_files(self) -> None:
        self._flusher.close()
        self._checkpoints.close()
        self._connection.close()
        self._lock.release()
