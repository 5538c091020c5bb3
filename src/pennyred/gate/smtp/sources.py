"""Whose a connection is, where connections, memory and disk are shared out.

A network is one IPv4 address, or a /64 of IPv6. One IPv4 address is what one customer has: a wider net would let a
neighbour at the same hoster lock another out. Of IPv6 every customer has a /64 at least, whose addresses cost nothing,
and many have a /48, whose 65,536 networks cost nothing either: so that is counted as well, as the wider network.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Source:
    """On whose behalf a connection is used; `NOBODY` has no share of its own, as it is many, or one of the house."""

    network: bytes = b""
    wider: bytes = b""


NOBODY = Source()


def source_of(address: str) -> Source:
    """Of a client's IP address in text."""
    return Source(network_of(address), wider_network_of(address))


def network_of(address: str) -> bytes:
    """What counts as one client, see above; of an IP address in text without zone."""
    return socket.inet_pton(socket.AF_INET6, address)[:8] if ":" in address else address.encode()


def wider_network_of(address: str) -> bytes:
    """What an IPv6 address's network is a part of: the /48 that one customer may have whole. Of IPv4: nothing."""
    return b"/48" + socket.inet_pton(socket.AF_INET6, address)[:6] if ":" in address else b""


def is_within(address: str, networks: Networks) -> bool:
    """Whether an address in text, or none, is in one of the networks."""
    if not networks:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
