"""Takes sockets on which systemd listens (sd_listen_fds(3)), so that no client is refused during a restart."""

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from pennyred.failures import place_name

_FIRST_DESCRIPTOR = 3
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
OFFICE_NAME = "office"
"""The `FileDescriptorName=` of the socket for the office's API; sockets with other names are for mail."""


@dataclass(frozen=True, slots=True)
class PassedSockets:
    """The sockets that systemd has passed. If there are some for the gate or office, its `listen` is not used."""

    gate: tuple[socket.socket, ...] = ()
    office: tuple[socket.socket, ...] = ()

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "PassedSockets":
        """Take the sockets that are for this process, and remove the variables from the environment.

        Raises ValueError if a passed socket cannot be used: to listen elsewhere instead would be a surprise.
        """
        count, pid, names = (environment.pop(name, "") for name in _VARIABLES)
        if pid != str(os.getpid()) or not count.isdecimal():
            return cls()
        named = names.split(":") if names else []
        by_use: dict[bool, list[socket.socket]] = {True: [], False: []}
        for place in range(int(count)):
            is_office = place < len(named) and named[place] == OFFICE_NAME
            by_use[is_office].append(_taken(_FIRST_DESCRIPTOR + place))
        if len(by_use[True]) > 1:
            raise ValueError(f"systemd passed {len(by_use[True])} sockets for the office: expected one")
        return cls(tuple(by_use[False]), tuple(by_use[True]))


def addresses(sockets: tuple[socket.socket, ...]) -> list[str]:
    """The addresses on which the sockets listen, for the log."""
    return [place_name(*one.getsockname()[:2]) for one in sockets]


def _taken(descriptor: int) -> socket.socket:
    """Make a socket of a passed descriptor; raises ValueError if it cannot be used."""
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ValueError(f"systemd passed descriptor {descriptor}, which is no socket: {error}") from None
    passed.set_inheritable(False)
    passed.setblocking(False)
    flaw = _flaw(passed)
    if flaw:
        raise ValueError(f"systemd passed {passed.getsockname()}: {flaw}")
    return passed


def _flaw(passed: socket.socket) -> str:
    if passed.family not in (socket.AF_INET, socket.AF_INET6):
        return "expected an address and a port (ListenStream=)"
    if not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "it does not listen (ListenStream=, Accept=no)"
    if (
        passed.family == socket.AF_INET6
        and passed.getsockname()[0] == "::"
        and not passed.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    ):
        # An IPv4 client would be ::ffff:192.0.2.1, which is in none of the networks in the settings.
        return "expected BindIPv6Only=ipv6-only, and a socket of its own for IPv4"
    return ""
