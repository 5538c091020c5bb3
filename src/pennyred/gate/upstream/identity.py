"""Who a client is, as a trusted front tells it by XCLIENT or XFORWARD; `xclient` tells it to the mail server.

The form is Postfix's (XCLIENT_README, XFORWARD_README): attributes are `NAME=value`, values are in xtext (RFC 3461
section 4), and IPv6 addresses have the prefix `IPV6:`. What is not known is `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from pennyred.postage.errors import Malformed

UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"
XFORWARD_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT", "REVERSE_NAME")
"""The attributes that the gate takes from a trusted front."""
_IGNORED_ATTRIBUTES = frozenset(("IDENT", "SOURCE"))
_KNOWN_ATTRIBUTES = frozenset((*XCLIENT_ATTRIBUTES, *XFORWARD_ATTRIBUTES))
_HOST_NAMES = frozenset(("NAME", "REVERSE_NAME"))
COMMAND_OCTETS_MAX = 510
VALUE_OCTETS_MAX = 255
_XTEXT_PAIR = re.compile(rb"\+([0-9A-Fa-f]{2})")


class MalformedIdentity(Malformed):
    """The attributes of XCLIENT or XFORWARD cannot be read; the text says why."""


class ClientIdentity(NamedTuple):
    """A client as the mail server should see it."""

    address: str
    """IP address in text; an IPv4 address mapped into IPv6 is the IPv4 address."""
    port: int = 0
    """The client's port; 0 if it is not known."""
    helo: str = ""
    name: str | None = ""
    """The verified host name; empty if there is none or nobody has told it, None if it cannot be known now."""
    protocol: str = "ESMTP"
    """"ESMTP" if the client has said EHLO, else "SMTP"."""
    reverse_name: str | None = ""
    """The name of its address in the DNS (PTR), confirmed or not; empty and None as for `name`."""
    is_reverse_known: bool = False
    """Whether `reverse_name` was looked up or told."""
    login: str = ""
    """The login with which it has authenticated to a trusted front; empty: none."""
    destination: str = ""
    """The IP address that it has connected to, in the form of `address`; empty if it is not known."""
    destination_port: int = 0


def plain_address(text: str) -> str:
    """An IP address in its standard text form, without a zone; raises ValueError if it is none."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def parse_attributes(argument: bytes) -> dict[str, str | None]:
    """Read the argument of XCLIENT or XFORWARD. Raises `MalformedIdentity`.

    Returns a value for each name. None: not known. For a host name, None is "not known now", and empty "has none".
    """
    if len(argument) > COMMAND_OCTETS_MAX:
        raise MalformedIdentity("Too long")
    attributes: dict[str, str | None] = {}
    for word in argument.split():
        name, equals, encoded = word.partition(b"=")
        key = name.decode("ascii", "replace").upper()
        if not equals or key not in _KNOWN_ATTRIBUTES:
            raise MalformedIdentity(f"Bad attribute: {key[:20]}")
        value = _from_xtext(encoded)
        if key in _IGNORED_ATTRIBUTES:
            continue
        if value.upper() == UNAVAILABLE:
            attributes[key] = "" if key in _HOST_NAMES else None
        else:
            attributes[key] = None if value.upper() == TEMPORARILY_UNAVAILABLE else _checked(key, value)
    if not attributes and not argument.split():
        raise MalformedIdentity("No attributes")
    return attributes


def told_of(known: ClientIdentity, attributes: dict[str, str | None]) -> ClientIdentity:
    """The identity, with what a front has told put in.

    A told name is also the reverse name, unless that is told as well (as in Postfix).
    """
    changes: dict[str, str | int | bool | None] = {}
    if attributes.get("ADDR") is not None:
        # What is known of the front's own connection is not true of its client.
        known = ClientIdentity("", helo=known.helo, protocol=known.protocol)
    for key, value in attributes.items():
        match key:
            case "ADDR" if value is not None:
                changes["address"] = value
            case "NAME":
                changes["name"] = value
            case "PROTO" if value is not None:
                changes["protocol"] = value
            case "PORT" | "DESTPORT":
                changes["port" if key == "PORT" else "destination_port"] = int(value or 0)
            case "HELO" | "LOGIN":
                changes[key.lower()] = value or ""
            case "DESTADDR":
                changes["destination"] = value or ""
    if "REVERSE_NAME" in attributes or attributes.get("NAME"):
        changes["reverse_name"] = attributes.get("REVERSE_NAME", attributes.get("NAME"))
        changes["is_reverse_known"] = True
    return known._replace(**changes)  # type: ignore[arg-type]


def _checked(key: str, value: str) -> str:
    if len(value) > VALUE_OCTETS_MAX or not value.isprintable() or not value:
        raise MalformedIdentity(f"Bad value of {key}")
    match key:
        case "ADDR" | "DESTADDR":
            try:
                return plain_address(value[5:] if value[:5].upper() == "IPV6:" else value)
            except ValueError:
                raise MalformedIdentity(f"Bad value of {key}") from None
        case "PORT" | "DESTPORT":
            if not (value.isascii() and value.isdigit() and len(value) <= 5 and int(value) < 65536):
                raise MalformedIdentity(f"Bad value of {key}")
        case "PROTO":
            value = value.upper()
            if value not in ("SMTP", "ESMTP"):
                raise MalformedIdentity("Bad value of PROTO")
    return value


def _from_xtext(encoded: bytes) -> str:
    decoded = _XTEXT_PAIR.sub(lambda pair: bytes((int(pair[1], 16),)), encoded)
    return decoded.decode("utf-8", "replace")
