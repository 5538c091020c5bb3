"""The pages of the -wal file go back into the ledger's file, in a thread, so that nobody waits for two flushes.

SQLite begins the -wal file anew only when all of it has been copied and nobody reads an older state. Where writes never
pause, that moment never comes by itself. So there are two passes: the first copies the bulk while everything goes on;
the second copies what was written meanwhile, and only for its moment no writes begin. Holds in memory go on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from pennyred.storage.database import open_database

CHECKPOINT_PAGES = 4000
"""So long the -wal file grows before its pages are copied (16 MB)."""


class Checkpoints:
    """Watches how long one ledger's -wal file is, and copies its pages."""

    def __init__(self, path: Path, connection: apsw.Connection, *, look_at: Callable[[BaseException], object]) -> None:
        """`connection` writes into the file; from now on it copies no pages by itself. `look_at` is told of errors."""
        self._path = path
        self._look_at = look_at
        self._pages = 0
        self._due_at = CHECKPOINT_PAGES
        self._is_running = self._is_closed = False
        self.bars_writes = False
        """Whether nothing may be written for a moment."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger checkpoint")
        self._connection: apsw.Connection | None = None
        connection.set_wal_hook(self._note)

    def begin_if_due(self, when_done: Callable[[], object]) -> None:
        """Begin a checkpoint if the file is long enough; `when_done` is called when writes may go on."""
        if self._pages >= self._due_at and not self._is_running:
            self._is_running = True
            self._copy(lambda: self._second(when_done))

    def close(self) -> None:
        """Wait for what is under way, and begin nothing more. Not for the event loop's thread: it blocks."""
        self._is_closed = True
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    def _note(self, connection: apsw.Connection, name: str, pages: int) -> int:  # noqa: ARG002
        """SQLite's hook: after a commit the -wal file has so many pages."""
        if pages <= self._pages:
            self._due_at = CHECKPOINT_PAGES  # it has begun anew
        self._pages = pages
        return apsw.SQLITE_OK

    def _second(self, when_done: Callable[[], object]) -> None:
        self.bars_writes = True
        self._copy(lambda: self._end(when_done))

    def _end(self, when_done: Callable[[], object]) -> None:
        """If somebody reads an older state, the file grows on; so it is tried again a while later."""
        self.bars_writes = self._is_running = False
        self._due_at = self._pages + CHECKPOINT_PAGES
        when_done()

    def _copy(self, then: Callable[[], object]) -> None:
        def done(copying: asyncio.Future[None]) -> None:
            if copying.cancelled() or self._is_closed:
                return
            if (error := copying.exception()) is not None:
                self._look_at(error)
            then()

        asyncio.get_running_loop().run_in_executor(self._thread, self._copy_now).add_done_callback(done)

    def _copy_now(self) -> None:
        if self._connection is None:
            self._connection = open_database(self._path, busy_timeout_seconds=0.0)
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
