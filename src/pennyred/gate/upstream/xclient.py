"""Telling the mail server who a client is: XCLIENT, XFORWARD (see `identity`), PROXY.

PROXY protocol version 2 as HAProxy documents it (proxy-protocol.txt section 2.2). Only what is known is told, and only
attributes that the mail server takes; what it would not take for a host name is no name.
"""

import re
import struct
from functools import lru_cache
from ipaddress import ip_address

from pennyred.gate.upstream.identity import (
    COMMAND_OCTETS_MAX,
    TEMPORARILY_UNAVAILABLE,
    UNAVAILABLE,
    VALUE_OCTETS_MAX,
    ClientIdentity,
    plain_address,
)

PROXY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_OCTETS_MAX = 150
"""Of a greeting or a login, encoded, in XCLIENT; a longer greeting EHLO tells all the same."""
_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - nobody listens there
_TCP = {4: 0x11, 6: 0x21}
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")


@lru_cache(maxsize=1000)
def xclient_commands(client: ClientIdentity, attributes: frozenset[str]) -> tuple[bytes, ...]:
    """The XCLIENT lines for a mail server that takes these attributes, without CRLF; mostly one.

    Long names go ahead in lines of their own, and ADDR comes last: after it XCLIENT may be said no more
    (XCLIENT_README).
    The port is said to be unknown, not left out (else the gate's own would stay): telling it would make every
    connection of one host another client and cost each a round trip.
    """
    names = {"NAME": _host_name(client.name)}
    if client.is_reverse_known:
        names["REVERSE_NAME"] = _host_name(client.reverse_name)
    is_alike = (":" in client.destination) == (":" in client.address)  # of another family it could not be, and misleads
    destination = client.destination if is_alike else ""
    values = {
        "PORT": UNAVAILABLE,
        "PROTO": client.protocol,
        "HELO": _limited(client.helo, _OCTETS_MAX),
        "LOGIN": _limited(client.login, _OCTETS_MAX),
        "DESTADDR": _address(destination),
        "DESTPORT": _port(client.destination_port if destination else 0),
        "ADDR": _address(client.address),
    }
    lines = [" ".join(_words(values, attributes))]
    for word in reversed(_words(names, attributes)):
        if len("XCLIENT ") + len(word) + 1 + len(lines[0]) <= COMMAND_OCTETS_MAX:
            lines[0] = f"{word} {lines[0]}"
        else:
            lines.insert(0, word)
    return tuple(f"XCLIENT {line}".encode("ascii") for line in lines)


def xforward_commands(client: ClientIdentity, attributes: frozenset[str]) -> list[bytes]:
    """The XFORWARD lines for a mail server that takes these attributes, without CRLF; two, as one would be too long."""
    who = {
        "NAME": _host_name(client.name),
        "ADDR": _address(client.address),
        "PORT": _port(client.port),
        "PROTO": client.protocol,
    }
    greeting = {"HELO": _limited(client.helo, VALUE_OCTETS_MAX), "SOURCE": "REMOTE"}
    lines = (_words(some, attributes) for some in (who, greeting))
    return [f"XFORWARD {' '.join(words)}".encode("ascii") for words in lines if words]


def proxy_header(client: ClientIdentity | None) -> bytes:
    """The PROXY v2 header of a connection made on behalf of `client`; None: the gate speaks for itself (LOCAL).

    Its family is the client's own. The destination is where the client has connected to, as far as that is known and of
    the same family; else it is the address that stands for any.
    """
    if client is None:
        return PROXY_SIGNATURE + b"\x20\x00\x00\x00"
    source = ip_address(plain_address(client.address))
    target, port = ip_address(_ANY[source.version]), 0
    if client.destination and (known := ip_address(client.destination)).version == source.version:
        target, port = known, client.destination_port
    addresses = source.packed + target.packed + struct.pack("!HH", client.port, port)
    return PROXY_SIGNATURE + struct.pack("!BBH", 0x21, _TCP[source.version], len(addresses)) + addresses


def is_host_name(text: str) -> bool:
    """Whether Postfix would take it for one: what it would not (a PTR can say anything) it refuses in XCLIENT."""
    return len(text) <= VALUE_OCTETS_MAX and _HOST_NAME.fullmatch(text) is not None and not _is_numeric(text)


def _is_numeric(text: str) -> bool:
    return all(character.isdigit() or character == "." for character in text)


def _host_name(name: str | None) -> str:
    if name is None:
        return TEMPORARILY_UNAVAILABLE
    return name if is_host_name(name) else UNAVAILABLE


def _address(address: str) -> str:
    return f"IPV6:{address}" if ":" in address else address or UNAVAILABLE


def _port(port: int) -> str:
    return str(port) if port else UNAVAILABLE


def _limited(value: str, octets_max: int) -> str:
    return value if value and len(_to_xtext(value)) <= octets_max else UNAVAILABLE


def _words(values: dict[str, str], attributes: frozenset[str]) -> list[str]:
    return [f"{name}={_to_xtext(value)}" for name, value in values.items() if name in attributes]


def _to_xtext(value: str) -> str:
    if value in (UNAVAILABLE, TEMPORARILY_UNAVAILABLE):
        return value
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"+=" else f"+{byte:02X}" for byte in value.encode()
    )
