"""Whether an SQLite file has changed since it was last read: asked in the caller's own thread, and never waited for.

Where nothing was written meanwhile, whatever was read before is still true, and need not be read again. Handing a
question to another thread, and its answer back, costs some twenty times as much as this.
"""

from pathlib import Path
from typing import Any, Self

import apsw

from pennyred.storage.database import BUSY_TIMEOUT_SECONDS, WORLD_ERRORS, open_database


class ChangeWatch:
    """Sees what anybody has committed to one file: other threads, processes and programs. For one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Take over a connection that nobody writes by: SQLite does not count what its own connection has written."""
        self._connection: apsw.Connection | None = connection

    @classmethod
    def open(cls, path: Path, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Self:
        """Watch the database at `path`, which is there already. Raises one of `database.WORLD_ERRORS`."""
        connection = open_database(path, is_reader=True, busy_timeout_seconds=busy_timeout_seconds)
        connection.set_busy_handler(None)
        return cls(connection)

    def version(self) -> int | None:
        """A number that is another one after each commit; None where the file cannot be looked at just now.

        Who reads the file later than this, and then sees the same number again, has read what still stands there.
        """
        if self._connection is None:
            return None
        try:
            # Committed by whom it may be: https://www.sqlite.org/pragma.html#pragma_data_version
            rows: Any = self._connection.execute("PRAGMA data_version").fetchall()
        except WORLD_ERRORS:
            return None
        version: int = rows[0][0]
        return version

    def close(self) -> None:
        """End it; there is no version any more. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
