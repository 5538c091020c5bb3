"""Who owns a ledger's file: one process at a time, by a lock on a file beside it.

The lock ends with the process, whatever ends it. SQLite's own locks stay as they are (`locking_mode=NORMAL`): they say
who is writing at this moment, and they let an audit, a backup or a look at a balance read beside the owner. This one
says whose memory may know more than the file does, so whoever writes must have it.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from pennyred.failures import told
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import private


class LedgerTaken(Unavailable):
    """Another process owns the ledger."""


def lock_path(ledger: Path) -> Path:
    """The lock of the ledger in this file, whatever symbolic links lead to it."""
    real = Path(os.path.realpath(ledger))
    return real.with_name(real.name + ".lock")


class LedgerLock:
    """The ownership of a ledger's file, from `take` to `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, ledger: Path) -> Self:
        """Become the owner. Raises `LedgerTaken` at once where another is, `Unavailable` where there can be no lock.

        The file is made where it is missing, is empty, and is never removed: two processes could each have a lock on a
        file of that name.
        """
        path = lock_path(ledger)
        try:
            private.ensure(path)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LedgerTaken(Reason.LEDGER_UNAVAILABLE, f"{ledger}: another process owns this ledger") from None
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
        return cls(path, descriptor)

    def release(self) -> None:
        """Let another be the owner. May be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
