"""A service's hold on its ledger in a file: the lock that says so, and the socket by which others ask it.

Both are taken by the first process, before it forks or opens anything. So there is no moment at which a second service
or a command finds the one without the other, and both outlast the death of the process that has the file open.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pennyred.config import OfficeSettings
from pennyred.office.ledger.owned import LedgerLock
from pennyred.office.ledger.owned.lock import PATIENCE_SECONDS
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.place import Listener
from pennyred.programs.ledger.opening import require_there


@dataclass(frozen=True, slots=True)
class Ownership:
    """That this service owns the ledger at `path`."""

    path: Path
    lock: LedgerLock
    listener: Listener

    @classmethod
    def take(cls, office: OfficeSettings | None) -> Self | None:
        """Own the ledger; None where there is none in a file. It waits a moment for a command that has it.

        Raises `Unavailable` where it is not there (perhaps its disk is not mounted yet), or is another process's.
        """
        if office is None or not isinstance(office.ledger, Path):
            return None
        path = office.ledger
        require_there(path)
        lock = LedgerLock.take(path, patience_seconds=PATIENCE_SECONDS)
        socket = place.socket_of(path)
        try:
            return cls(path, lock, place.listen(socket))
        except OSError as error:
            lock.release()
            raise place.why(socket, error) from error

    def leave(self) -> None:
        """Have no part in it in this process, which only asks."""
        self.listener.close()
        self.lock.release()

    def end(self) -> None:
        """Take the socket away, and let others own the ledger."""
        self.listener.remove()
        self.lock.release()
