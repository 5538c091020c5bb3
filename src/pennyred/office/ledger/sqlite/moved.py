"""A ledger that has moved elsewhere. Nobody writes in its file any more, and nobody opens it.

A program that still has it open gets `Unavailable`, with a sentence that says where the ledger is. So what it was asked
is asked again later, of the new ledger.
"""

import apsw

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import database
from pennyred.storage.migrations import SchemaError, has_table

_TABLES = ("account", "entry", "posting", "hold", "batch", "voucher", "receiver", "passed_time")
"""Whatever is done to a ledger changes one of these."""


_MOVED = "this ledger has moved"


class LedgerMoved(SchemaError):  # noqa: N818 - a state of the file
    """The file is not the ledger any more. The sentence says where the ledger is."""


def seal(connection: apsw.Connection, place: str, *, now: int) -> None:
    """Note where the ledger has gone, in the caller's transaction; writes of programs that have the file open fail."""
    connection.execute("CREATE TABLE moved (place TEXT NOT NULL, at INTEGER NOT NULL) STRICT")
    connection.execute("INSERT INTO moved (place, at) VALUES (?, ?)", (place, now))
    sentence = _sentence(place).replace("'", "''")
    for table in _TABLES:
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER moved_{table}_{change} BEFORE {change} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            )


def require_here(connection: apsw.Connection) -> None:
    """Raise LedgerMoved where the ledger was sealed."""
    if has_table(connection, "moved"):
        ((place, _),) = connection.execute("SELECT place, at FROM moved")
        raise LedgerMoved(f"{connection.filename}: {_sentence(place)}")


def require_still_here(connection: apsw.Connection) -> None:
    """For a program that has the file open: raise `Unavailable` where the ledger was sealed meanwhile."""
    try:
        require_here(connection)
    except LedgerMoved as moved:
        raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{moved} and start again") from moved


def is_world(error: BaseException) -> bool:
    """Whether an error has its cause outside this program: as `database.is_world` says, or because of a seal."""
    return database.is_world(error) or (isinstance(error, apsw.ConstraintError) and _MOVED in str(error))


def _sentence(place: str) -> str:
    return f'{_MOVED} to {place}; set office.ledger = "{place}"'
