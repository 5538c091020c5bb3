"""Read the addresses of a field in time that grows with its length alone, whoever wrote it.

The standard library reads one mailbox well, but a long field takes it time that grows with the square of its length:
minutes for 100,000 commas. So the field is taken apart here, and the library gets one mailbox at a time.
"""

import re
from collections.abc import Iterator
from email.errors import InvalidHeaderDefect
from email.headerregistry import HeaderRegistry
from typing import Any

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field

MAILBOX_BYTES_MAX = 2_000
"""Of one mailbox with its name and comments."""
GROUPS_MAX = 100

_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|<[^<>]*(?:>|\Z)|\[[^\[\]]*(?:\]|\Z)|\\.|[(),:;]|[^"<\[\\(),:;]+|.', re.DOTALL
)
_IN_COMMENT = re.compile(rb"\\.|[()]|[^\\()]+|.", re.DOTALL)
"""Quotes and brackets mean nothing there."""


def read_addresses(field: Field) -> Iterator[str]:
    """The addresses of an address field in order, out of groups too (RFC 5322 section 3.4).

    Raises `MalformedAddress` where part of the field is no address: to send to some only would be worse than to none.
    """
    name = field.key.decode("ascii").capitalize()
    for mailbox in _mailboxes(_FOLDING.sub(b"", field.value), name):
        yield from _read_mailbox(mailbox, name)


def _mailboxes(value: bytes, name: str) -> Iterator[bytes]:
    """What stands between commas; empty places are left out, a group's name is an empty group of its own."""
    groups = 0
    is_in_group = False
    before = b","
    for text, end in _pieces(value, name):
        is_name = end == b":"
        if end in (b":", b";"):
            if is_in_group == is_name:
                raise _no_address(name)  # a group in a group, or the end of none
            is_in_group = is_name
            groups += is_name
        if groups > GROUPS_MAX:
            raise MalformedAddress(f"the {name} field has more than {GROUPS_MAX} groups")
        if before == b";" and text.strip():
            raise _no_address(name)  # no comma behind a group
        if is_name or text.strip():
            yield text + b":;" if is_name else text
        before = end
    if is_in_group:
        raise _no_address(name)


def _pieces(value: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """What stands between commas, colons and semicolons outside quotes, brackets and comments, and which ends it."""
    between: list[bytes] = []
    depth = at = 0
    while token := (_IN_COMMENT if depth else _TOKEN).match(value, at):
        at = token.end()
        depth += {b"(": 1, b")": -1 if depth else 0}.get(token[0], 0)
        if depth or token[0] not in (b",", b":", b";"):
            between.append(token[0])
            continue
        yield b"".join(between), token[0]
        between = []
    if depth:
        raise _no_address(name)
    yield b"".join(between), b""


def _read_mailbox(mailbox: bytes, name: str) -> list[str]:
    if len(mailbox) > MAILBOX_BYTES_MAX:
        raise MalformedAddress(f"the {name} field has an address of more than {MAILBOX_BYTES_MAX:,} bytes")
    try:
        read: Any = HeaderRegistry()("To", mailbox.decode("utf-8", "surrogateescape"))
        addresses: list[str] = [address.addr_spec for address in read.addresses]
    except Exception as error:  # the library's parser has raised about everything once
        raise MalformedAddress(f"the {name} field cannot be read; name the recipients with --to") from error
    if any(isinstance(defect, InvalidHeaderDefect) for defect in read.defects):
        raise _no_address(name)
    return addresses


def _no_address(name: str) -> MalformedAddress:
    return MalformedAddress(f"the {name} field has something that is no address; name the recipients with --to")
