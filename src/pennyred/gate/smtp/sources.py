"""The network that a connection is counted for, where connections, memory and disk are shared out.

A network is one IPv4 address, or an IPv6 /64. A customer has one IPv4 address; in a wider network, a neighbour at the
same hoster could lock him out. With IPv6 each customer has at least a /64, whose addresses cost nothing. Many have a
/48, whose 65,536 networks cost nothing either. So the /48 is counted too, as the wider network.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

Networks = Sequence[IPv4Network | IPv6Network]


class Source(NamedTuple):
    """The network on whose behalf a connection is used. `NOBODY`: a front's, as it speaks for many, or exempt."""

    network: bytes = b""
    wider: bytes = b""


NOBODY = Source()


def source_of(address: str) -> Source:
    """The source of a client; `address` is its IP address in text."""
    return Source(network_of(address), wider_network_of(address))


def network_of(address: str) -> bytes:
    """The network that counts as one client, as a name; `address` is an IP address in text, without a zone."""
    return socket.inet_pton(socket.AF_INET6, address)[:8] if ":" in address else address.encode()


def wider_network_of(address: str) -> bytes:
    """The /48 around an IPv6 address, as a name: one customer may have all of it. Empty for IPv4."""
    return b"/48" + socket.inet_pton(socket.AF_INET6, address)[:6] if ":" in address else b""


def is_within(address: str, networks: Networks) -> bool:
    """Whether an IP address in text is in one of the networks; an empty one is in none."""
    if not networks:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
