"""Which copies go where there is no room for all: the oldest letter of the network that takes most, again and again.

So a network loses copies only while it takes more than others. Whoever fills the folder, from one place or from a
hundred, pushes out what he has put there before. Networks are counted at a size that costs money: an IPv4 /24, and of
IPv6 a /48, which is what one customer can be given (RFC 6177). But an IPv6 /32, which anybody gets who becomes a
provider, holds 65,536 of those. So all /48s of one /32 together may take as much as a few networks.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

from pennyred.gate.quarantine.maildir import Found
from pennyred.gate.rules.exemptions import WIDE_FACTOR, WIDE_PREFIX
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import parse_source

UNKNOWN = "0"
"""The network of a letter whose source has no address."""
_IPV4_BITS, _IPV6_BITS = 24, 48


@dataclass(frozen=True, slots=True)
class CrowdedOut:
    """How many letters had to go before their time, and whose they mostly were."""

    count: int = 0
    mostly_of: str = ""


@dataclass(slots=True)
class _Letter:
    """One letter with all names of its file: one for each recipient."""

    at: int
    disk_bytes: int
    network: str = ""
    paths: list[Path] = field(default_factory=list)


class Letters:
    """All that is kept, as it was when the folder was read. What is removed here is removed from the disk."""

    def __init__(self, found: Iterable[Found], name_bytes: int, network_in: Callable[[Found], str]) -> None:
        """`name_bytes` is what each further name of a letter counts; `network_in` reads a file for where it is from."""
        self._letters: dict[tuple[int, int], _Letter] = {}
        self._unnamed: dict[tuple[int, int], Found] = {}
        self._network_in = network_in
        self.disk_bytes = 0
        for one in found:
            letter = self._letters.get(one.file)
            if letter is None:
                letter = self._letters[one.file] = _Letter(one.at, one.disk_bytes, one.network or "")
                self.disk_bytes += one.disk_bytes
                if one.network is None:
                    self._unnamed[one.file] = one
            else:
                letter.disk_bytes += name_bytes
                self.disk_bytes += name_bytes
            letter.paths.append(one.path)

    def remove_before(self, too_old: int, count_max: int) -> int:
        """Remove what is older than a time, the oldest first. Answers how many letters that were."""
        old = sorted((letter.at, file) for file, letter in self._letters.items() if letter.at < too_old)
        for _, file in old[:count_max]:
            self._remove(file)
        return min(len(old), count_max)

    def make_room(self, bytes_max: int, arriving_bytes: int, arriving: str, count_max: int) -> CrowdedOut:
        """Remove the oldest letter of the network that takes most, until the rest is within `bytes_max`.

        `arriving_bytes` of the network `arriving` count as if they were there, and are not removed.
        """
        if self.disk_bytes <= bytes_max:
            return CrowdedOut()
        by_network = self._by_network()
        taken = Counter(
            {network: sum(self._letters[file].disk_bytes for _, file in its) for network, its in by_network.items()}
        )
        taken[arriving] += arriving_bytes
        for network, size in list(taken.items()):
            if wider := _wider(network):
                taken[wider] += size

        def rank(network: str) -> tuple[int, tuple[int, tuple[int, int]], str]:
            """Of those that take as much as each other, the one with the oldest letter comes first."""
            size = max(taken[network], taken[_wider(network)] // WIDE_FACTOR)
            return -size, by_network[network][-1], network

        largest = [rank(network) for network in by_network]
        heapq.heapify(largest)
        removed: Counter[str] = Counter()
        while self.disk_bytes > bytes_max and largest and removed.total() < count_max:
            found = heapq.heappop(largest)
            network = found[-1]
            if found != rank(network):  # another network of this provider has lost a letter since
                heapq.heappush(largest, rank(network))
                continue
            _, file = by_network[network].pop()
            for name in filter(None, (network, _wider(network))):
                taken[name] -= self._letters[file].disk_bytes
            self._remove(file)
            removed[network] += 1
            if by_network[network]:
                heapq.heappush(largest, rank(network))
        most = removed.most_common(1)
        return CrowdedOut(removed.total(), shown(most[0][0]) if most else "")

    def _by_network(self) -> dict[str, list[tuple[int, tuple[int, int]]]]:
        """Each network's letters by time, the oldest last."""
        for file, found in self._unnamed.items():
            if file in self._letters:
                self._letters[file].network = self._network_in(found)
        found_of: dict[str, list[tuple[int, tuple[int, int]]]] = {}
        for file, letter in self._letters.items():
            found_of.setdefault(letter.network, []).append((letter.at, file))
        for its in found_of.values():
            its.sort(reverse=True)
        return found_of

    def _remove(self, file: tuple[int, int]) -> None:
        letter = self._letters.pop(file)
        for path in letter.paths:
            path.unlink(missing_ok=True)
        self.disk_bytes -= letter.disk_bytes


def network_of(source: str) -> str:
    """The network of a client's address, as it stands in a file's name: its first octets in hexadecimal digits."""
    try:
        address = parse_source(source)
    except MalformedAddress:
        return UNKNOWN
    bits = _IPV4_BITS if isinstance(address, IPv4Address) else _IPV6_BITS
    return address.packed[: bits // 8].hex()


def _wider(network: str) -> str:
    """The name of the provider's network (/32) that an IPv6 network is in. Empty for IPv4: its networks cost money."""
    return f"{network[: WIDE_PREFIX // 4]}/" if len(network) * 4 == _IPV6_BITS else ""


def shown(network: str) -> str:
    """The same network as people write it. Empty for what is no network's name."""
    if len(network) * 4 not in (_IPV4_BITS, _IPV6_BITS):
        return ""
    packed = bytes.fromhex(network)
    if len(packed) * 8 == _IPV4_BITS:
        return str(IPv4Network((packed.ljust(4, b"\0"), _IPV4_BITS)))
    return str(IPv6Network((packed.ljust(16, b"\0"), _IPV6_BITS)))
