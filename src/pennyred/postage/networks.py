"""Under which names a source is counted: gate and office mean the same by a network."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pennyred.postage.errors import MalformedAddress

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_REMEMBERED = 5_000
"""Sources: a client comes again."""


@lru_cache(maxsize=_REMEMBERED)
def parse_source(text: str) -> Address:
    """The address of a client; an IPv4 address mapped into IPv6 is the IPv4 address. Raises `MalformedAddress`."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError as error:
        raise MalformedAddress(f"not an IP address: {text[:64]!r}") from error
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=_REMEMBERED)
def source_networks(source: Address) -> tuple[str, ...]:
    """The names a source is counted under: its IPv4 /24, or its IPv6 /64 and /48.

    A /64 is one customer's; a /48 is what one customer can be given (RFC 6177), so that changing the /64 buys little.
    """
    lengths = (24,) if isinstance(source, IPv4Address) else (64, 48)
    return tuple(str(ip_network((source, length), strict=False)) for length in lengths)
