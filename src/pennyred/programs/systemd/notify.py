"""Sends the state of the service to systemd (sd_notify(3)): datagrams to the socket in `$NOTIFY_SOCKET`."""

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The service manager that has started this process; without one, nothing is sent."""

    address: str = ""
    """The address of a unix datagram socket; with NUL in front it is in the abstract namespace. Empty: none."""
    watchdog_seconds: float | None = None
    """The service is killed after so long without a sign of life; None: there is no watchdog."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceManager":
        """Read what systemd has set. Wrong values are ignored: they must not stop the mail."""
        given = environment.get("NOTIFY_SOCKET", "")
        address = "\0" + given[1:] if given.startswith("@") else given if given.startswith("/") else ""
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_watched = address and is_for_us and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if is_watched else None)

    def tell(self, *assignments: str) -> None:
        """Send assignments, like `READY=1`, in one datagram. It never waits and never fails: mail comes first."""
        if not self.address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(assignments).encode(), self.address)
