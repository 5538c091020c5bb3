"""Opens ledgers. A file has one owner: a service that is asked by its socket, or else the command that needs it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from pennyred.office.ledger import postgresql, sqlite
from pennyred.office.ledger.owned import LedgerLock, LedgerTaken, OwnedLedger
from pennyred.office.ledger.owned.flushing import end_process
from pennyred.office.ledger.owned.lock import PATIENCE_SECONDS, PAUSE_SECONDS
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Audit, Ledger
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.ledger import COMMAND, RemoteLedger
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.programs.clock import clock
from pennyred.storage.migrations import SchemaTooOld
from pennyred.storage.noting import NoteBatch


async def open_ledger(
    database: Path | str,
    note_batch: NoteBatch | None = None,
    *,
    worker: int = COMMAND,
    lock: LedgerLock | None = None,
) -> Ledger:
    """Open an existing ledger: a file, or a PostgreSQL database by its URL. Raises SchemaError and Unavailable.

    `lock` is the file's, where this process is the service that owns it. Else a service that has it is asked; `worker`
    is this process's number, if it is one of that service. Where there is no service, this process becomes the owner.

    A disk that is not mounted, or a wrong path, must not look like an office without accounts: good stamps would be
    refused for ever. A database that exists and lets the office in was made for it: if it is empty, it gets its tables.
    """
    if isinstance(database, str):
        return await PostgresLedger.open(database, now=clock(), note_batch=note_batch)
    if lock is not None:
        return own(database, lock, note_batch)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if (served := _served(database)) is not None:
            sqlite.require_ready(database)
            return await RemoteLedger.open(served, worker=worker)
        try:
            return own(database, None, note_batch, give_up=lambda _: None)
        except LedgerTaken:  # by a command, or by a service between its lock and its socket
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def own(
    path: Path,
    lock: LedgerLock | None,
    note_batch: NoteBatch | None = None,
    *,
    give_up: Callable[[str], object] = end_process,
) -> OwnedLedger:
    """Open an existing ledger in a file as its owner. `give_up` is as `OwnedLedger.open` has it.

    Raises SchemaError and Unavailable.
    """
    require_there(path)
    return OwnedLedger.open(path, now=clock(), lock=lock, note_batch=note_batch, give_up=give_up)


def require_there(path: Path) -> None:
    """Raise `Unavailable` where there is no such ledger."""
    if not path.exists():
        raise Unavailable(
            Reason.LEDGER_UNAVAILABLE, f"{path} does not exist; `pennyred init` or `pennyred ledger migrate` makes one"
        )


def _served(path: Path) -> Path | None:
    """The socket of the service that has this file; None where there is none. Raises `Unavailable`."""
    socket = place.socket_of(path)
    try:
        caller = place.call(socket)
    except BlockingIOError:
        return socket  # too many wait there for the moment
    except OSError as error:
        raise place.why(socket, error) from error
    if caller is None:
        return None
    caller.close()
    return socket


async def spill(path: Path) -> None:
    """Have a service that has this file write what only it knows, so that it is read beside.

    Raises SchemaError, `Unavailable`.
    """
    if (served := _served(path)) is not None:
        sqlite.require_ready(path)
        ledger = await RemoteLedger.open(served)
        try:
            await ledger.spill()
        finally:
            await ledger.close()


@asynccontextmanager
async def at_rest(path: Path) -> AsyncIterator[None]:
    """For who reads the whole file, and seals it: a service writes what only it knows, and where there is none, none
    begins. Raises `Unavailable`.
    """
    require_there(path)
    if _served(path) is not None:
        await spill(path)
        yield
    else:
        with owned(path):
            yield


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Own the file at `path` without opening it. Raises `Unavailable`."""
    lock = LedgerLock.take(path, patience_seconds=PATIENCE_SECONDS)
    try:
        yield
    finally:
        lock.release()


async def audit(database: Path | str) -> Audit:
    """Audit a ledger; one in a file in this process, beside a service that has it. Raises SchemaError, Unavailable."""
    if isinstance(database, Path):
        require_there(database)
        sqlite.require_ready(database)
        await spill(database)
        return await asyncio.to_thread(sqlite.audit_file, database)
    ledger = await open_ledger(database)
    try:
        return await ledger.audit()
    finally:
        await ledger.close()


async def migrate(database: Path | str) -> list[int]:
    """Bring a ledger's schema up to date; a missing file is made. Returns the numbers of the applied migrations.

    Raises `LedgerTaken` where a service has a file that has to be changed, SchemaError, Unavailable.
    """
    if isinstance(database, str):
        return await postgresql.migrate_ledger(database, now=clock())
    if _is_ready(database):
        return []
    if _served(database) is not None:
        raise LedgerTaken(Reason.LEDGER_UNAVAILABLE, f"{database}: a service has this ledger; stop it first")
    with owned(database):
        return sqlite.migrate_ledger(database, now=clock())


def _is_ready(path: Path) -> bool:
    """Whether the file is a ledger of this version. Raises SchemaError where it is not, and never will be."""
    if path.exists():
        with suppress(SchemaTooOld):
            sqlite.require_ready(path)
            return True
    return False
