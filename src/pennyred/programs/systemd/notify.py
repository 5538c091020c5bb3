"""Tells systemd how the service is (sd_notify(3)): datagrams to the socket that `$NOTIFY_SOCKET` names."""

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Who started us, where that is somebody who listens; else all is said to nobody."""

    address: str = ""
    """Of a unix datagram socket; one that begins with NUL is in the abstract namespace."""
    watchdog_seconds: float | None = None
    """Without a sign of life for so long the service is killed; None: nobody watches."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceManager":
        """What systemd has set. Whatever it is that cannot be read, it is no reason not to carry mail."""
        given = environment.get("NOTIFY_SOCKET", "")
        address = "\0" + given[1:] if given.startswith("@") else given if given.startswith("/") else ""
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_watched = address and is_for_us and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if is_watched else None)

    def tell(self, *assignments: str) -> None:
        """Send some, like `READY=1`, together. Never waits, never fails: mail goes on without it."""
        if not self.address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(assignments).encode(), self.address)
