"""Where the socket of a ledger stands, and who may use it: the service's own user, and root.

It stands beside the ledger's file, whose folder only they can write in. An address of a Unix socket has room for 107
octets (unix(7)), a path for 4,096; a longer one is reached by way of its folder's descriptor.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pennyred.failures import told
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import private

BACKLOG = 1024
"""How many connections may wait while there is no ledger process; Linux allows 4,096."""
_ADDRESS_BYTES_MAX = 107
_NAME_BYTES_MAX = 64
_CREDENTIALS = struct.Struct("3i")


def socket_of(ledger: Path) -> Path:
    """Where the socket of this ledger stands. Every link that leads to the ledger leads to the same."""
    real = Path(os.path.realpath(ledger))
    name = os.fsencode(real.name)
    short = real.name if len(name) <= _NAME_BYTES_MAX else sha256(name).hexdigest()[:32]
    return real.with_name(f"{short}.socket")


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens, and where it stands."""

    socket: socket.socket
    place: Path
    inode: int

    def close(self) -> None:
        """Listen no more in this process; others that have the socket go on."""
        self.socket.close()

    def remove(self) -> None:
        """Close it for good: take it from its place, unless another stands there by now."""
        self.close()
        with contextlib.suppress(OSError):
            if self.place.lstat().st_ino == self.inode:
                self.place.unlink()


def listen(place: Path) -> Listener:
    """Listen there, in place of whoever has listened there before. Raises OSError.

    Only who owns the ledger may call it. At no moment is there no socket, or one that others may use.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    new = place.with_name(f"{place.name}.new")
    try:
        os.fchmod(listener.fileno(), private.FILE_MODE)  # what is bound has this mode from its first instant
        new.unlink(missing_ok=True)
        with _reachable(new) as address:
            listener.bind(address)
        private.give_to_owner_at(new)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        inode = new.lstat().st_ino
        new.replace(place)
    except BaseException:
        listener.close()
        new.unlink(missing_ok=True)
        raise
    return Listener(listener, place, inode)


def call(place: Path) -> socket.socket | None:
    """Connect; None where nobody listens. Raises `Unavailable` for a socket that is not the ledger's, OSError.

    It never waits: a Unix socket is connected at once, also while the process that will answer is being started. Where
    too many wait already, it raises BlockingIOError.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        caller.setblocking(False)
        with _reachable(place) as address:
            caller.connect(address)
        _require_trusted(caller, place)
    except (FileNotFoundError, ConnectionRefusedError):
        caller.close()
        return None
    except BaseException:
        caller.close()
        raise
    return caller


def _require_trusted(caller: socket.socket, place: Path) -> None:
    if peer_of(caller) not in {0, os.geteuid(), place.parent.stat().st_uid}:
        raise Unavailable(Reason.LEDGER_UNAVAILABLE, f"{place}: another user listens there")


def peer_of(connected: socket.socket) -> int:
    """The user id of the other side; of a listener's side, whose it was when it began to listen. Raises OSError."""
    _, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def accept(listener: socket.socket, allowed: Collection[int]) -> socket.socket | None:
    """The next connection; None where there is none, or one of a user who is not `allowed`. Raises OSError."""
    try:
        connected, _ = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    try:
        if peer_of(connected) in allowed:
            connected.setblocking(False)
            return connected
    except OSError:
        pass
    connected.close()
    return None


def why(place: Path, error: BaseException) -> Unavailable:
    """What to raise where the socket cannot be used."""
    return Unavailable(Reason.LEDGER_UNAVAILABLE, f"{place}: {told(error)}")


@contextlib.contextmanager
def _reachable(place: Path) -> Iterator[bytes]:
    """An address for this path that is short enough."""
    path = os.fsencode(place)
    if len(path) <= _ADDRESS_BYTES_MAX:
        yield path
        return
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield b"/proc/self/fd/%d/%s" % (folder, os.fsencode(place.name))
    finally:
        os.close(folder)
