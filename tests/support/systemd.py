"""systemd as the service sees it: a socket that is told things, and variables in the environment."""

import socket

from tests.support.program import WAIT_SECONDS


class Systemd:
    """Hears what `$NOTIFY_SOCKET` is told; a context manager."""

    def __init__(self, address: str, watchdog_seconds: float | None = None) -> None:
        self.address = address
        self.watchdog_seconds = watchdog_seconds

    def __enter__(self) -> "Systemd":
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address.replace("@", "\0"))
        self.socket.settimeout(WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def environment(self) -> dict[str, str]:
        watchdog = {} if self.watchdog_seconds is None else {"WATCHDOG_USEC": str(int(self.watchdog_seconds * 1e6))}
        return {"NOTIFY_SOCKET": self.address} | watchdog

    def until(self, wanted: str) -> list[str]:
        """All assignments up to one that begins so."""
        heard = []
        while True:
            assert len(heard) < 1000, heard[-20:]
            new = self.socket.recv(4096).decode().split("\n")
            heard += new
            if any(one.startswith(wanted) for one in new):
                return heard

    def be_deaf_to_the_past(self, seconds: float = 2.0) -> None:
        """Forget what was said until now; from now on wait no longer than that."""
        self.socket.settimeout(0)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            self.socket.settimeout(seconds)
