"""The addresses of a mail server's name. All of them are used (RFC 5321 section 5.1), and each has a health.

They are tried in the order of RFC 8305: as the system orders them, IPv4 and IPv6 in turn. Those that did not answer
last time come last. The name is looked up again from time to time, in the background. Until a new answer is there, the
old one is used.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import zip_longest
from socket import SOCK_STREAM

from pennyred.failures import place_name
from pennyred.gate.upstream.endpoint import Endpoint
from pennyred.gate.upstream.health import Health

ADDRESSES_MAX = 16
"""The most addresses of one name that are used."""
LOOKUP_SECONDS = 10.0
_DOUBT_SECONDS = 1.0
REFRESH_SECONDS = 30.0
"""How long an answer is used. The system's resolver (which reads /etc/hosts) tells no TTL, and has its own cache."""


@dataclass(eq=False, slots=True)
class Address:
    """One address of a mail server, and how it is doing; a unix socket is an address too."""

    host: str
    port: int
    health: Health = field(default_factory=Health)
    slow: int = 0
    """How many attempts at this address are still under way though another address was faster."""
    is_probed: bool = False
    is_gone: bool = False
    """Whether the name no longer has this address."""
    knows_chunks: bool | None = None
    """Whether it knows BDAT. None: nobody has tried; False: its answer to the first chunk was no word on the letter."""
    doubted_since: float | None = None
    """Since when it takes no mail (caller's clock, seconds); None if it does."""
    doubted_until: float = 0.0
    """Until then (caller's clock, seconds) others are tried first: it let the gate in, and then took no mail."""

    def __str__(self) -> str:
        return place_name(self.host, self.port)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order of the system's resolver; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class AddressBook:
    """The addresses of one mail server's name; belongs to one event loop."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._is_fixed = bool(endpoint.path) or _is_address(endpoint.host)
        self._known: list[Address] = []
        if self._is_fixed:
            self._known = [Address(endpoint.path or endpoint.host, 0 if endpoint.path else endpoint.port)]
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    @property
    def known(self) -> Sequence[Address]:
        """The addresses that are known now; empty before the first look-up."""
        return self._known

    async def in_order(self) -> list[Address]:
        """All addresses, in the order in which to try them; raises OSError if the name has none."""
        if not self._is_fixed and (not self._known or self._clock() >= self._asked_at + REFRESH_SECONDS):
            asking = self.refresh()
            if not self._known:
                await asyncio.wait([asking])
                if not asking.cancelled() and (error := asking.exception()) is not None and not self._known:
                    raise error
        liked = self.liked()
        others = [one for one in self._known if one not in liked]
        others.sort(key=lambda one: (bool(one.slow), max(one.health.retry_at, one.doubted_until)))
        return [*interleaved(liked), *others]

    def liked(self) -> list[Address]:
        """The addresses that are up and not in doubt: they are tried first."""
        now = self._clock()
        return [one for one in self._known if one.health.is_up and not one.slow and one.doubted_until <= now]

    def doubt(self) -> None:
        """Note that no address answers: they may be out of date. Look the name up again, at most once a second."""
        self._asked_at = min(self._asked_at, self._clock() - REFRESH_SECONDS + _DOUBT_SECONDS)

    def refresh(self) -> "asyncio.Task[None]":
        """Start to look the name up again, in the background; returns the task."""
        if self._asking is None:
            self._asked_at = self._clock()
            self._asking = asyncio.get_running_loop().create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return self._asking

    async def close(self) -> None:
        """End the look-up that runs in the background."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        endpoint = self._endpoint
        async with asyncio.timeout(LOOKUP_SECONDS):
            hosts = await resolve(endpoint.host, endpoint.port)
        before = {one.host: one for one in self._known}
        self._known = [before.get(host) or Address(host, endpoint.port) for host in hosts[:ADDRESSES_MAX]]
        for one in before.values():
            one.is_gone = one not in self._known

    def _asked(self, asking: "asyncio.Task[None]") -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # whoever awaits the task gets it; the known addresses stay


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """The addresses with IPv4 and IPv6 in turn, beginning with the family of the first (RFC 8305 section 4)."""
    by_family: dict[bool, list[Address]] = {}
    for one in addresses:
        by_family.setdefault(":" in one.host, []).append(one)
    return [one for turn in zip_longest(*by_family.values()) for one in turn if one is not None]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
