"""The PROXY protocol: before anything else a front sends a header that says who its client is.

Versions 1 and 2 as HAProxy documents them (proxy-protocol.txt, sections 2.1 and 2.2). The header is read from
`trusted_fronts` only. From anybody else it is an unknown command.
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from pennyred.gate.upstream.identity import plain_address
from pennyred.gate.upstream.xclient import PROXY_SIGNATURE
from pennyred.postage.errors import Malformed

V1_OCTETS_MAX = 107
V2_OCTETS_MAX = 4096
"""The most that may follow the fixed part: addresses and TLVs (a client certificate may be among them)."""
_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5})")
_V1_START = b"PROXY "
_V2_FIXED_OCTETS = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class Peer(NamedTuple):
    """Both ends of a client's connection. `destination`, the end it connected to, is empty if nobody has told it."""

    address: str
    port: int
    destination: str = ""
    destination_port: int = 0


class MalformedHeader(Malformed):
    """What a front has sent is no PROXY header; the text says why."""


def parse_header(data: bytes) -> tuple[Peer | None, int] | None:
    """Read the header at the beginning of what has come so far: returns the client and the header's length in octets.

    The client is None if the front speaks for itself (a health check) or cannot say. The result is None if the header
    is not complete yet. Raises `MalformedHeader`.
    """
    if data.startswith(PROXY_SIGNATURE):
        return _parse_v2(data)
    if data.startswith(_V1_START):
        return _parse_v1(data)
    if PROXY_SIGNATURE.startswith(data) or _V1_START.startswith(data):
        return None
    raise MalformedHeader("no PROXY header")


def _parse_v1(data: bytes) -> tuple[Peer | None, int] | None:
    end = data.find(b"\r\n", 0, V1_OCTETS_MAX)
    if end < 0:
        if len(data) >= V1_OCTETS_MAX:
            raise MalformedHeader("version 1: no end")
        return None
    line = data[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return None, end + 2
    if (found := _V1.fullmatch(line)) is None:
        raise MalformedHeader("version 1: not its form")
    kind, source, target, source_port, target_port = found.groups()
    version = IPv4Address if kind == b"TCP4" else IPv6Address
    try:
        address, destination = (str(version(one.decode("ascii"))) for one in (source, target))
    except ValueError as error:
        raise MalformedHeader("version 1: not an address") from error
    if max(int(source_port), int(target_port)) > 65535:
        raise MalformedHeader("version 1: not a port")
    peer = Peer(plain_address(address), int(source_port), plain_address(destination), int(target_port))
    return peer, end + 2


def _parse_v2(data: bytes) -> tuple[Peer | None, int] | None:
    if len(data) < _V2_FIXED_OCTETS:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(PROXY_SIGNATURE))
    if command not in (_LOCAL, _PROXY):
        raise MalformedHeader("version 2: unknown version or command")
    if length > V2_OCTETS_MAX:
        raise MalformedHeader("version 2: too long")
    end = _V2_FIXED_OCTETS + length
    if len(data) < end:
        return None
    if command == _LOCAL or family not in (_TCP4, _TCP6):
        return None, end
    octets = 4 if family == _TCP4 else 16
    if length < 2 * octets + 4:
        raise MalformedHeader("version 2: too short for its addresses")
    source, target, source_port, target_port = struct.unpack_from(f"!{octets}s{octets}sHH", data, _V2_FIXED_OCTETS)
    version = IPv4Address if family == _TCP4 else IPv6Address
    address, destination = (plain_address(str(version(packed))) for packed in (source, target))
    return Peer(address, source_port, destination, target_port), end
