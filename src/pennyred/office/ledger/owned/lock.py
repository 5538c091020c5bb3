"""Who owns a ledger's file: one process at a time, by a lock on a file beside it.

The lock ends with the process, whatever ends it. SQLite's own locks stay as they are (`locking_mode=NORMAL`): they say
who is writing at this moment, and they let an audit, a backup or a look at a balance read beside the owner. This one
says whose memory may know more than the file does, so whoever writes must have it.

A service takes it before it forks: its processes share it, and it ends with the last of them that has kept it.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Self

from pennyred.failures import told
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import private

PATIENCE_SECONDS = 5.0
"""How long to wait for an owner that is a command, or a service that ends."""
PAUSE_SECONDS = 0.02
_TEXT_BYTES_MAX = 100


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
    def take(cls, ledger: Path, *, patience_seconds: float = 0.0) -> Self:
        """Become the owner. Raises `LedgerTaken` where another is, `Unavailable` where there can be no lock.

        The file is made where it is missing, and is never removed: two processes could each have a lock on a file of
        that name. In it stands who has taken it last.
        """
        path = lock_path(ledger)
        try:
            private.ensure(path)
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
        try:
            _wait_for(descriptor, patience_seconds)
            _sign(descriptor)
        except BlockingIOError:
            raise _taken(ledger, descriptor) from None
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{path}: {told(error)}") from error
        return cls(path, descriptor)

    def require_in_place(self) -> None:
        """Raise `Unavailable` where the lock's file is not there any more, as another disk is mounted there by now."""
        try:
            is_there = os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except OSError:
            is_there = False
        if not is_there:
            raise Unavailable(
                Reason.LEDGER_UNAVAILABLE,
                f"{self.path} is not the file any more that was locked: start the service again",
            )

    def release(self) -> None:
        """Let another be the owner, as far as this process goes. May be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _wait_for(descriptor: int, patience_seconds: float) -> None:
    """Lock it. Raises BlockingIOError where another has it for so long, OSError."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _sign(descriptor: int) -> None:
    """Write into the locked file who has it; a full disk does not matter."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def _taken(ledger: Path, descriptor: int) -> LedgerTaken:
    """What to raise where another has the lock; closes its descriptor."""
    try:
        text = os.pread(descriptor, _TEXT_BYTES_MAX, 0).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    who = f"process {text}" if text.isdigit() else "another process"
    return LedgerTaken(
        Reason.LEDGER_UNAVAILABLE,
        f"{ledger}: {who} has this ledger for itself, a service or a command;"
        " ask that service, or try again when it has ended",
    )
