"""Opens a ledger and an office from the settings."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pennyred.config import OfficeSettings
from pennyred.ledger.sqlite import SqliteLedger, migrate_ledger
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.services.office import Office
from pennyred.services.officekeys import OfficeKeys


def clock() -> int:
    """Seconds since 1970 UTC."""
    return int(time.time())


def open_ledger(path: Path) -> SqliteLedger:
    """The ledger, which must be there. Raises SchemaError and Unavailable.

    A disk that is not mounted or a slip in the settings must not look like an office without accounts: stamps that are
    good would be refused for ever.
    """
    if not path.exists():
        raise Unavailable(
            Reason.LEDGER_UNAVAILABLE, f"{path} does not exist; `pennyred init` or `pennyred ledger migrate` makes one"
        )
    return SqliteLedger.open(path, now=clock())


def migrate(path: Path) -> list[int]:
    """Bring a ledger's schema up to date, making the file where there is none; the migrations applied, by number."""
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
