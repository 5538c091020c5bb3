"""Opens an office from the settings."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from pennyred.config import OfficeSettings
from pennyred.gate.issuers.discovery import find_texts, resolver_of
from pennyred.office.keys import OfficeKeys
from pennyred.office.ledger.owned import LedgerLock
from pennyred.office.ledger.remote.ledger import COMMAND
from pennyred.office.office import Office
from pennyred.programs.clock import clock
from pennyred.programs.ledger.opening import open_ledger
from pennyred.storage.noting import NoteBatch


@asynccontextmanager
async def open_office(
    settings: OfficeSettings,
    note_batch: NoteBatch | None = None,
    *,
    worker: int = COMMAND,
    lock: LedgerLock | None = None,
) -> AsyncIterator[Office]:
    """Open the office with its ledger, and close it at the end; `note_batch` is called for each transaction.

    `worker` and `lock` are as `open_ledger` has them.

    Raises OSError, MalformedKey, SchemaError, Unavailable.
    """
    keys = OfficeKeys(settings.signing_key)
    ledger = await open_ledger(settings.ledger, note_batch, worker=worker, lock=lock)
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
