"""Opens a ledger and an office from the settings."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pennyred.config import OfficeSettings
from pennyred.ledger.sqlite import SqliteLedger, migrate_ledger
from pennyred.services.office import Office
from pennyred.services.officekeys import OfficeKeys


def clock() -> int:
    """Seconds since 1970 UTC."""
    return int(time.time())


def open_ledger(path: Path) -> SqliteLedger:
    """The ledger; a new file gets its schema. Raises SchemaError and Unavailable."""
    return SqliteLedger.open(path, now=clock())


def migrate(path: Path) -> list[int]:
    """Bring a ledger's schema up to date; the numbers of the migrations applied."""
    return migrate_ledger(path, now=clock())


@asynccontextmanager
async def open_office(settings: OfficeSettings) -> AsyncIterator[Office]:
    """The office on its ledger, closed at the end. Raises OSError, MalformedKey, SchemaError, Unavailable."""
    keys = OfficeKeys(settings.signing_key)
    ledger = open_ledger(settings.ledger)
    try:
        office = Office(
            settings.domain,
            ledger,
            keys,
            price=settings.price,
            daily_cap=settings.daily_cap,
            clock=clock,
            random_bytes=os.urandom,
        )
        await office.ensure_local_receiver()
        yield office
    finally:
        await ledger.close()
