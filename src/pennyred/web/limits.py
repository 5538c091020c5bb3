"""How often strangers may ask for what costs the office something for ever: counted by network, in bounded memory."""

from collections import Counter

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.policy import parse_source, source_networks

MINUTE_SECONDS = 60
NETWORKS_MAX = 10_000
"""Told apart in one minute. Beyond, all others share one count: who has so many networks shall not have more for it."""


class PerMinute:
    """So many a minute from each network: IPv4 /24, IPv6 /64 and /48, as everywhere here."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minute = 0
        self._taken: Counter[str] = Counter()

    def take(self, source: str, *, now: int) -> bool:
        """Count one of `source`, an address; False where its network has had its share, and nothing counted."""
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
