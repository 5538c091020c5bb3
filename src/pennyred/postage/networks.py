"""Addresses as text: of this machine or not, and the network names under which a client is counted, for all alike."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pennyred.postage.errors import MalformedAddress

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MAPPED_BITS = 96
_REMEMBERED = 5_000
"""How many results each of the two caches keeps: the same clients come again and again."""


@lru_cache(maxsize=_REMEMBERED)
def parse_source(text: str) -> Address:
    """Read a client's address; an IPv4 address mapped into IPv6 becomes the IPv4 address. Raises `MalformedAddress`."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError as error:
        raise MalformedAddress(f"not an IP address: {text[:64]!r}") from error
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> Network:
    """An address or a network without host bits; of IPv4 addresses mapped into IPv6 (RFC 4291 section 2.5.5.2) it is
    the IPv4 network, as `parse_source` reads addresses: else it would hold none that ever comes. Raises `ValueError`.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        first = network.network_address.ipv4_mapped
        if first is not None:
            return IPv4Network((first, network.prefixlen - _MAPPED_BITS))
    return network


@lru_cache(maxsize=_REMEMBERED)
def source_networks(source: Address) -> tuple[str, ...]:
    """The names a client is counted under: its IPv4 /24, or its IPv6 /64 and /48.

    A /64 is the network of one customer. A customer may be given a whole /48 (RFC 6177), so it is counted as well, and
    to change the /64 helps him little.
    """
    lengths = (24,) if isinstance(source, IPv4Address) else (64, 48)
    return tuple(str(ip_network((source, length), strict=False)) for length in lengths)


def is_loopback(host: str) -> bool:
    """Whether a host, an address or a name, leads to this machine only: a loopback address, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
