"""What is committed reaches the disk: COMMIT and flush apart, so that a slow disk holds up only those who wait for it.

The file is in WAL mode with synchronous=NORMAL. A COMMIT writes its pages to the end of the -wal file and flushes
nothing, so a cut of the power may lose it. Here the -wal file is flushed, once for all commits before. Nothing else has
to be: until a checkpoint has copied them, the pages are in the -wal file alone. A checkpoint flushes that file first,
then the ledger's; only then SQLite begins the -wal file anew, and flushes its new first page before anything follows.
The -wal file is never made anew, as SQLite removes it only with the last connection, and ours is open. Its name is
flushed when the ledger is opened, and so is whatever a process before us has committed and not flushed: we read it as
the truth.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from pennyred.failures import told

QUICK_SECONDS = 0.0004
"""A flush that takes less is done in the event loop: a thread would cost more than it saves."""
QUICK_ONES = 8
"""So many flushes one after the other must have been quick before the next is done in the loop."""
_FLUSH_FAILED = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)


def end_process(sentence: str) -> None:
    """Say why, and end this process at once.

    After a flush has failed, the kernel forgets which pages were not written, and the next flush succeeds without them
    (PostgreSQL's "fsyncgate"). Memory, and all that read the file through the kernel, would say `settled` of what no
    disk has. A new process asks nothing of this one's memory; it says only what the file says when it is read again.
    """
    sys.stderr.write(f"pennyred: {sentence}\n")
    sys.stderr.flush()
    os._exit(os.EX_IOERR)


def flush_folder(path: Path) -> None:
    """Flush the names of the files beside `path`. Raises OSError."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Flusher:
    """Flushes one -wal file, in the loop where that is quick, else in a thread. `flushed` says what is safe."""

    def __init__(self, path: Path, *, give_up: Callable[[str], object] = end_process) -> None:
        """Open the -wal file at `path`, which is there, and flush it. Raises OSError."""
        self._path = path
        self._give_up = give_up
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger flush")
        self._is_flushing = False
        self.has_failed = False
        """Whether a flush has failed, and this process was allowed to go on: only a test allows it."""
        self._quick = 0
        self.flushed = 0
        """How many commits are on the disk."""
        try:
            os.fdatasync(self._descriptor)
            flush_folder(path)
        except BaseException:
            self.close()
            raise

    def flush(self, commits: Callable[[], int], when_done: Callable[[], object]) -> None:
        """Flush; `commits` says how many were made so far. `when_done` is called when `flushed` has grown.

        While a flush is under way nothing is begun: `when_done` sees what is missing and asks again.
        """
        if self._is_flushing:
            return
        if self._quick >= QUICK_ONES:
            self._note(commits(), self._sync())
            when_done()
            return
        self._is_flushing = True
        covered = commits()
        loop = asyncio.get_running_loop()

        def done(took: asyncio.Future[float | None]) -> None:
            self._is_flushing = False
            if not took.cancelled():
                self._note(covered, took.result())
                when_done()

        loop.run_in_executor(self._thread, self._sync).add_done_callback(done)

    def look_at(self, error: BaseException) -> None:
        """Give up where SQLite's own flush has failed: it is the same as one of ours."""
        if isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _FLUSH_FAILED:
            self._end(told(error))

    def close(self) -> None:
        """Wait for a flush under way, and flush no more. May be called again."""
        self._thread.shutdown()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _note(self, covered: int, took: float | None) -> None:
        if took is not None:
            self.flushed = max(self.flushed, covered)
            self._quick = self._quick + 1 if took < QUICK_SECONDS else 0

    def _sync(self) -> float | None:
        """Flush; how many seconds it took. None where it failed, and this process was allowed to go on."""
        begun = time.perf_counter()
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._end(told(error))
            return None
        return time.perf_counter() - begun

    def _end(self, sentence: str) -> None:
        self.has_failed = True
        self._give_up(f"{self._path}: {sentence}; what was written last may not be on the disk")
