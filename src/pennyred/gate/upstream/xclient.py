"""Tells the mail server who a client is: by XCLIENT or XFORWARD (see `identity`), or by PROXY.

PROXY is version 2 as HAProxy documents it (proxy-protocol.txt section 2.2). Only what is known is told, and only
attributes that the mail server takes. A name that it would not accept as a host name is not told.
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
"""The longest greeting or login in XCLIENT, encoded. EHLO tells a longer greeting all the same."""
_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - nobody listens there
_TCP = {4: 0x11, 6: 0x21}
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")


@lru_cache(maxsize=1000)
def xclient_commands(client: ClientIdentity, attributes: frozenset[str]) -> tuple[bytes, ...]:
    """The XCLIENT lines, without CRLF, for a mail server that takes these attributes; usually one.

    Long names come first, in lines of their own. ADDR comes last: after it no XCLIENT may follow (XCLIENT_README).
    The port is told as unknown. If it were left out, the gate's own port would stay. If it were told, each connection
    of a host would be another client, and cost a round trip.
    """
    names = {"NAME": _host_name(client.name)}
    if client.is_reverse_known:
        names["REVERSE_NAME"] = _host_name(client.reverse_name)
    is_alike = (":" in client.destination) == (":" in client.address)  # an address of the other family cannot be right
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


def says_helo(client: ClientIdentity, *, is_lmtp: bool) -> bool:
    """Whether to say HELO: the client has said HELO, and mail servers note in their trace who has."""
    return client.protocol == "SMTP" and not is_lmtp


def hello_line(client: ClientIdentity | None, hostname: str, *, is_lmtp: bool) -> bytes:
    """The greeting line: with the client's name and verb, or else the gate's name."""
    name = client.helo if client is not None and client.helo.isascii() else ""
    is_helo = client is not None and says_helo(client, is_lmtp=is_lmtp)
    verb = b"LHLO" if is_lmtp else b"HELO" if is_helo else b"EHLO"
    return b"%b %b" % (verb, (name or hostname).encode("ascii"))


@lru_cache(maxsize=1000)
def lines_about(
    client: ClientIdentity, attributes: frozenset[str], hostname: str, *, is_lmtp: bool
) -> tuple[bytes, ...]:
    """The XCLIENT lines and the greeting after them. They are asked for twice for each letter of a client."""
    return *xclient_commands(client, attributes), hello_line(client, hostname, is_lmtp=is_lmtp)


def xforward_commands(client: ClientIdentity, attributes: frozenset[str]) -> list[bytes]:
    """The XFORWARD lines, without CRLF, for a server that takes these attributes; one line would be too long."""
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

    The family is that of the client's address. The destination is where the client has connected to, if that is known
    and of the same family; else the unspecified address (0.0.0.0 or ::).
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
    """Whether Postfix would accept it as a host name. A PTR can say anything, and XCLIENT would be refused."""
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
