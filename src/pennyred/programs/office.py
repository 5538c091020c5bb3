"""Opens a ledger and an office from the settings."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pennyred.config import OfficeSettings
from pennyred.gate.issuers.discovery import find_texts, resolver_of
from pennyred.office.keys import OfficeKeys
from pennyred.office.ledger import postgresql, sqlite
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.ledger import COMMAND, RemoteLedger
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.noting import NoteBatch


def clock() -> int:
    """The time of day, in seconds since 1970 UTC."""
    return int(time.time())


async def open_ledger(
    database: Path | str, note_batch: NoteBatch | None = None, *, worker: int = COMMAND, is_owner: bool = False
) -> Ledger:
    """Open an existing ledger: a file, or a PostgreSQL database by its URL. Raises SchemaError and Unavailable.

    A file that a service has open is not opened here: the service is asked. `worker` is this process's number, if it is
    one of that service. `is_owner`: this process is the service.

    A disk that is not mounted, or a wrong path, must not look like an office without accounts: good stamps would be
    refused for ever. A database that exists and lets the office in was made for it: if it is empty, it gets its tables.
    """
    if isinstance(database, str):
        return await PostgresLedger.open(database, now=clock(), note_batch=note_batch)
    if not is_owner and (is_served := _is_served(database)):
        return await RemoteLedger.open(is_served, worker=worker)
    return open_file(database, note_batch)


def _is_served(path: Path) -> Path | None:
    """The socket of the service that has this file open; None where there is none. Raises `Unavailable`."""
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


def open_file(path: Path, note_batch: NoteBatch | None = None) -> SqliteLedger:
    """Open an existing ledger in a file. Raises SchemaError and Unavailable."""
    if not path.exists():
        raise Unavailable(
            Reason.LEDGER_UNAVAILABLE, f"{path} does not exist; `pennyred init` or `pennyred ledger migrate` makes one"
        )
    return SqliteLedger.open(path, now=clock(), note_batch=note_batch)


async def migrate(database: Path | str) -> list[int]:
    """Bring a ledger's schema up to date; a missing file is made. Returns the numbers of the applied migrations."""
    if isinstance(database, str):
        return await postgresql.migrate_ledger(database, now=clock())
    return sqlite.migrate_ledger(database, now=clock())


@asynccontextmanager
async def open_office(
    settings: OfficeSettings, note_batch: NoteBatch | None = None, *, worker: int = COMMAND, is_owner: bool = False
) -> AsyncIterator[Office]:
    """Open the office with its ledger, and close it at the end; `note_batch` is called for each transaction.

    `worker` and `is_owner` are as `open_ledger` has them.

    Raises OSError, MalformedKey, SchemaError, Unavailable.
    """
    keys = OfficeKeys(settings.signing_key)
    ledger = await open_ledger(settings.ledger, note_batch, worker=worker, is_owner=is_owner)
    try:
        office = Office(
            settings.domain,
            ledger,
            keys,
            price=settings.price,
            daily_cap=settings.daily_cap,
            clock=clock,
            random_bytes=os.urandom,
            find_texts=partial(find_texts, resolver=resolver_of(settings.nameservers)),
        )
        try:
            await office.ensure_local_receiver()
            yield office
        finally:
            office.close()
    finally:
        await ledger.close()
