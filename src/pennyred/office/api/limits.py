"""How often strangers may make requests that cost the office much: counted by network, in bounded memory."""

from collections import Counter
from typing import Protocol

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import parse_source, source_networks

MINUTE_SECONDS = 60
NETWORKS_MAX = 10_000
"""How many networks are counted separately in one minute. All others share one count, so many networks do not help."""


class Minute(Protocol):
    """Counts by name in the current minute, for all workers together."""

    def taken(self, name: bytes) -> int: ...  # noqa: D102
    def take(self, name: bytes) -> None: ...  # noqa: D102


class PerMinute:
    """Allows `limit` requests a minute from each network (IPv4 /24, IPv6 /64 and /48).

    Without `minute` it counts for one worker only.
    """

    def __init__(self, limit: int, minute: Minute | None = None) -> None:
        self._limit = limit
        self._shared = minute
        self._minute = 0
        self._taken: Counter[str] = Counter()

    def take(self, source: str, *, now: int) -> bool:
        """Count one request from the address `source`; False, and not counted, if its network has had its share."""
        return self._take_own(source, now) if self._shared is None else self._take_shared(source, self._shared)

    def _take_shared(self, source: str, minute: Minute) -> bool:
        names = [network.encode() for network in _networks(source)]
        if any(minute.taken(name) >= self._limit for name in names):
            return False
        for name in names:
            minute.take(name)
        return True

    def _take_own(self, source: str, now: int) -> bool:
        minute = now // MINUTE_SECONDS
        if minute != self._minute:
            self._minute = minute
            self._taken.clear()
        names = [self._name(network) for network in _networks(source)]
        if any(self._taken[name] >= self._limit for name in names):
            return False
        self._taken.update(names)
        return True

    def _name(self, network: str) -> str:
        return network if network in self._taken or len(self._taken) < NETWORKS_MAX else "others"


def _networks(source: str) -> tuple[str, ...]:
    try:
        return source_networks(parse_source(source))
    except MalformedAddress:
        return ("unknown",)
