"""Who a client is, as a trusted front tells it and as the mail server is told: XCLIENT, XFORWARD, PROXY.

XCLIENT and XFORWARD as Postfix documents them (XCLIENT_README, XFORWARD_README): attributes `NAME=value`, values in
xtext (RFC 3461 section 4), IPv6 addresses with the prefix `IPV6:`, `[UNAVAILABLE]` and `[TEMPUNAVAIL]` for what is not
known. PROXY protocol version 2 as haproxy documents it (proxy-protocol.txt section 2.2).
"""

import re
import socket
import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from pennyred.postage.errors import Malformed

UNAVAILABLE = "[UNAVAILABLE]"
_TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"
XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO")
"""What the gate takes from a trusted front."""
XFORWARD_ATTRIBUTES = (*XCLIENT_ATTRIBUTES, "IDENT", "SOURCE")
_IGNORED_ATTRIBUTES = frozenset(("LOGIN", "DESTADDR", "DESTPORT", "IDENT", "SOURCE"))
_COMMAND_OCTETS_MAX = 510
_VALUE_OCTETS_MAX = 255
_HELO_OCTETS_MAX = 150
"""Encoded; a longer one is not told by XCLIENT, but EHLO tells it all the same."""
PROXY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_XTEXT_PAIR = re.compile(rb"\+([0-9A-Fa-f]{2})")


class MalformedIdentity(Malformed):
    """XCLIENT or XFORWARD attributes that cannot be read."""


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client as the mail server should see it."""

    address: str
    """IP address in text; an IPv4 address mapped into IPv6 is the IPv4 address."""
    port: int = 0
    """0 where not known."""
    helo: str = ""
    name: str | None = ""
    """Verified host name; empty where there is none or nobody has told it, None where that cannot be known now."""
    protocol: str = "ESMTP"
    """ESMTP or SMTP: how it has introduced itself."""


def plain_address(text: str) -> str:
    """An IP address in its one textual form, without zone; raises ValueError."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def parse_attributes(argument: bytes) -> dict[str, str | None]:
    """Read the argument of XCLIENT or XFORWARD; None stands for "not known". Raises `MalformedIdentity`."""
    if len(argument) > _COMMAND_OCTETS_MAX:
        raise MalformedIdentity("Too long")
    attributes: dict[str, str | None] = {}
    for word in argument.split():
        name, equals, encoded = word.partition(b"=")
        key = name.decode("ascii", "replace").upper()
        if not equals or (key not in XCLIENT_ATTRIBUTES and key not in _IGNORED_ATTRIBUTES):
            raise MalformedIdentity(f"Bad attribute: {key[:20]}")
        value = _from_xtext(encoded)
        if key in _IGNORED_ATTRIBUTES:
            continue
        attributes[key] = None if value.upper() in (UNAVAILABLE, _TEMPORARILY_UNAVAILABLE) else _checked(key, value)
    if not attributes and not argument.split():
        raise MalformedIdentity("No attributes")
    return attributes


def told_of(known: ClientIdentity, attributes: dict[str, str | None]) -> ClientIdentity:
    """The identity with what a front has told put in."""
    changes: dict[str, str | int] = {}
    for key, value in attributes.items():
        match key:
            case "ADDR" if value is not None:
                changes["address"] = value
            case "PORT":
                changes["port"] = int(value or 0)
            case "NAME":
                changes["name"] = value or ""
            case "HELO":
                changes["helo"] = value or ""
            case "PROTO" if value is not None:
                changes["protocol"] = value
    return replace(known, **changes)  # type: ignore[arg-type]


@lru_cache(maxsize=1000)
def xclient_command(client: ClientIdentity, attributes: frozenset[str]) -> bytes:
    """The XCLIENT line for a mail server that takes these attributes, ADDR last as its README asks, without CRLF.

    The port is said to be unknown, not left out (else the gate's own would stay): telling it would make every
    connection of one host another client and cost each a round trip.
    """
    address = f"IPV6:{client.address}" if ":" in client.address else client.address
    values = {
        "NAME": _TEMPORARILY_UNAVAILABLE if client.name is None else client.name or UNAVAILABLE,
        "PORT": UNAVAILABLE,
        "PROTO": client.protocol,
        "HELO": client.helo if client.helo and len(_to_xtext(client.helo)) <= _HELO_OCTETS_MAX else UNAVAILABLE,
        "ADDR": address,
    }
    words = [f"{name}={_to_xtext(value)}" for name, value in values.items() if name in attributes]
    return f"XCLIENT {' '.join(words)}".encode("ascii")


def xforward_commands(client: ClientIdentity, attributes: frozenset[str]) -> list[bytes]:
    """The XFORWARD lines for a mail server that takes these attributes, without CRLF; two, as one would be too long."""
    values = {
        "NAME": _TEMPORARILY_UNAVAILABLE if client.name is None else client.name or UNAVAILABLE,
        "ADDR": f"IPV6:{client.address}" if ":" in client.address else client.address,
        "PORT": str(client.port) if client.port else UNAVAILABLE,
        "PROTO": client.protocol,
    }
    helo = {
        "HELO": client.helo if client.helo and len(_to_xtext(client.helo)) <= _VALUE_OCTETS_MAX else UNAVAILABLE,
        "SOURCE": "REMOTE",
    }
    lines = (
        [f"{name}={_to_xtext(text)}" for name, text in some.items() if name in attributes] for some in (values, helo)
    )
    return [f"XFORWARD {' '.join(words)}".encode("ascii") for words in lines if words]


def proxy_header(client: ClientIdentity | None, destination: tuple[str, int]) -> bytes:
    """The PROXY v2 header of a connection made on behalf of `client` to `destination` (address, port).

    None: the gate speaks for itself (LOCAL).
    """
    if client is None:
        return PROXY_SIGNATURE + b"\x20\x00\x00\x00"
    source = ip_address(client.address)
    target = ip_address(plain_address(destination[0]))
    if source.version != target.version:
        source, target = (_as_ipv6(address) for address in (source, target))
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    addresses = source.packed + target.packed + struct.pack("!HH", client.port, destination[1])
    kind = 0x11 if family == socket.AF_INET else 0x21
    return PROXY_SIGNATURE + struct.pack("!BBH", 0x21, kind, len(addresses)) + addresses


def _as_ipv6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _checked(key: str, value: str) -> str:
    if len(value) > _VALUE_OCTETS_MAX or not value.isprintable() or not value:
        raise MalformedIdentity(f"Bad value of {key}")
    match key:
        case "ADDR":
            try:
                return plain_address(value[5:] if value[:5].upper() == "IPV6:" else value)
            except ValueError:
                raise MalformedIdentity("Bad value of ADDR") from None
        case "PORT":
            if not (value.isascii() and value.isdigit() and len(value) <= 5 and int(value) < 65536):
                raise MalformedIdentity("Bad value of PORT")
        case "PROTO":
            value = value.upper()
            if value not in ("SMTP", "ESMTP"):
                raise MalformedIdentity("Bad value of PROTO")
    return value


def _to_xtext(value: str) -> str:
    if value in (UNAVAILABLE, _TEMPORARILY_UNAVAILABLE):
        return value
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"+=" else f"+{byte:02X}" for byte in value.encode()
    )


def _from_xtext(encoded: bytes) -> str:
    decoded = _XTEXT_PAIR.sub(lambda pair: bytes((int(pair[1], 16),)), encoded)
    return decoded.decode("utf-8", "replace")
