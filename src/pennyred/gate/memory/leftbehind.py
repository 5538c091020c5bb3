"""Whether a state knows anybody.

A new state that knows nobody, beside an old one that does, was begun without copying the old one (`moving`).
"""

from pathlib import Path
from typing import Any

from pennyred.failures import told
from pennyred.gate.memory import shared
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import WORLD_ERRORS, open_database
from pennyred.storage.migrations import has_table
from pennyred.storage.statements import Connection

_TABLES = ("correspondent", "permit", "recipient_rule")
"""The tables that a gate which begins anew has lost: mail is refused because of that."""


def knows_anybody(database: Path | str) -> bool:
    """Whether the state has correspondents, permits or rules of recipients. Blocks. Raises Unavailable."""
    if isinstance(database, str):
        try:
            return shared.read(database, lambda connection: any(_has_row(connection, table) for table in _TABLES))
        except FileNotFoundError:
            return False
    if not database.is_file():
        return False
    try:
        connection = open_database(database, is_reader=True)
        try:
            return any(has_table(connection, table) and _has_row(connection, table) for table in _TABLES)
        finally:
            connection.close()
    except WORLD_ERRORS as error:
        raise Unavailable(Reason.STATE_UNAVAILABLE, f"{database}: {told(error)}") from error


def _has_row(connection: Connection, table: str) -> bool:
    rows: Any = connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchall()  # noqa: S608 - ours
    return bool(rows[0][0])
