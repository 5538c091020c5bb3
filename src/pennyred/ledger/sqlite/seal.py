"""A ledger that has moved elsewhere: its file takes no more writing, and nobody opens it any more."""

import apsw

from pennyred.storage.migrations import SchemaError

_TABLES = ("account", "entry", "posting", "hold", "batch", "voucher", "receiver")
"""Whatever is done to a ledger changes one of these."""


class LedgerMoved(SchemaError):  # noqa: N818 - a state of the file
    """The file is not the ledger any more; the sentence says where it is."""


def seal(connection: apsw.Connection, place: str, *, now: int) -> None:
    """Note where the ledger has gone, in the caller's transaction; writes of programs that have the file open fail."""
    connection.execute("CREATE TABLE moved (place TEXT NOT NULL, at INTEGER NOT NULL) STRICT")
    connection.execute("INSERT INTO moved VALUES (?, ?)", (place, now))
    for table in _TABLES:
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER moved_{table}_{change} BEFORE {change} ON {table}"
                " BEGIN SELECT RAISE(ABORT, 'this ledger has moved'); END"
            )


def require_here(connection: apsw.Connection) -> None:
    """Raise LedgerMoved where the ledger was sealed."""
    if connection.table_exists(None, "moved"):
        ((place, _),) = connection.execute("SELECT place, at FROM moved")
        raise LedgerMoved(f'{connection.filename}: this ledger has moved to {place}; set office.ledger = "{place}"')
