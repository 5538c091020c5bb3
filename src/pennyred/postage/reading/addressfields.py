"""Read the addresses of a header field in linear time, whatever it contains.

The standard library reads one mailbox well. But for a whole field its time grows with the square of the length: minutes
for 100,000 commas. So the field is split into mailboxes here. Simple mailboxes are also read here, because the library
refuses some that are legal and some that many programs write. The others go to the library one at a time.
"""

import re
from collections.abc import Iterator, Sequence
from email.errors import InvalidHeaderDefect
from email.headerregistry import HeaderRegistry
from typing import Any

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field
from pennyred.postage.reading.structured import Token, joined, segments

MAILBOX_BYTES_MAX = 2_000
"""The longest single mailbox that is read, with its display name and comments."""
GROUPS_MAX = 100
PLAIN_BYTES_MAX = 65_536
"""How long the fields may be together whose addresses a stamp signs as addresses; longer ones are signed as they are
written. So much takes a gate a quarter of a second, if all domains are international ones."""

_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_ADDRESS = re.compile(
    rb"""(?!.*=\?)(?:[^()<>\[\]:;@\\,"\x00-\x20\x7f]+|"(?:[^"\\]|\\.)*")@(?:[\w.\x80-\xff-]+|\[[^\[\]\\\s]*\])""",
    re.DOTALL,
)
"""An address that is simple enough to be read here. Dots may stand anywhere in the local part: RFC 5322 forbids "a..b",
but such mailboxes exist and get mail."""
_PLAIN_ADDRESS = rb"[A-Za-z0-9._+=~-]+@[A-Za-z0-9.-]+"
_PLAIN_MAILBOX = re.compile(
    rb"""[ \t]*(?:(?:[A-Za-z0-9!#$%%&'*+/=?^_`{|}~. \t-]*|"[^"@\\\x00-\x1f\x7f-\xff]*"[ \t]*)<(%s)>|(%s))[ \t]*"""
    % (_PLAIN_ADDRESS, _PLAIN_ADDRESS)
)
"""How most mailboxes are written; the rest of this module would read the same in them, and takes ten times as long."""
_AROUND_AGAIN = b" \t'\""
"""What may stand around an address that is written once more as a name."""
_IN_NO_NAME = re.compile(rb"[@()<>\[\]\\]")


def read_addresses(field: Field) -> Iterator[str]:
    """All addresses of an address field in order, those inside groups too (RFC 5322 section 3.4).

    Raises `MalformedAddress` if any part of the field is not an address: to send to some of the recipients only would
    be worse than to send to none.
    """
    name = field.key.decode("ascii").capitalize()
    for pieces, is_group in _mailboxes(_FOLDING.sub(b"", field.value), name):
        if sum(len(token.raw) for token in pieces) > MAILBOX_BYTES_MAX:
            raise MalformedAddress(f"the {name} field has an address of more than {MAILBOX_BYTES_MAX:,} bytes")
        found = None if is_group else plain_address(pieces)
        if found:
            yield _text(joined(found))
        else:
            yield from _read_mailbox(joined(pieces) + (b":;" if is_group else b""), name)


def plain_addresses(fields: Sequence[Field]) -> list[str]:
    """All addresses of some address fields, where each mailbox is simple enough that all readers agree (STAMP.md 5.4).

    Raises `MalformedAddress` for any other field, also for fields that are too long together.
    """
    addresses: list[str] = []
    octets = groups = 0
    for field in fields:
        value = field.value
        if b"\n" in value:
            value = _FOLDING.sub(b"", value)
        octets += len(value)
        if octets > PLAIN_BYTES_MAX:
            raise MalformedAddress(f"address fields of more than {PLAIN_BYTES_MAX:,} bytes")
        mailboxes = value.split(b",")
        simple = [_PLAIN_MAILBOX.fullmatch(mailbox) for mailbox in mailboxes]
        if None not in simple and (len(value) <= MAILBOX_BYTES_MAX or max(map(len, mailboxes)) <= MAILBOX_BYTES_MAX):
            addresses += [(found[1] or found[2]).decode("ascii") for found in simple if found]
            continue
        name = field.key.decode("ascii").capitalize()
        for pieces, is_group in _mailboxes(value, name):
            groups += is_group
            found = pieces if is_group else plain_address(pieces)
            is_plain = _is_name(pieces) if is_group else bool(found) and _is_only_address(pieces, found)
            if not is_plain or len(joined(pieces)) > MAILBOX_BYTES_MAX or groups > GROUPS_MAX:
                raise _no_address(name)
            if not is_group:
                addresses.append(_text(joined(found)))
    return addresses


def _is_name(pieces: Sequence[Token]) -> bool:
    """Whether these tokens are the name of a group, without anything that could be taken for an address."""
    is_said = any(token.kind not in {"space", "comment"} for token in pieces)
    is_name = all(_may_be_in_name(token) and b"@" not in token.raw for token in pieces)
    return is_said and is_name and not _seems_address(pieces)


def _is_only_address(pieces: Sequence[Token], found: Sequence[Token]) -> bool:
    """Whether nothing but `found` could be taken for an address in a mailbox, by a reader of whatever kind.

    Some end a quoted text at a quote that a backslash precedes, or a comment at its first parenthesis. The same address
    once more, as a name, harms nobody.
    """
    name = pieces[: pieces.index(found[0])]
    if _seems_address(name):
        return False
    before = joined(name)
    rest = before + joined(pieces[pieces.index(found[-1]) + 1 :])
    return b"@" not in rest or rest.strip(_AROUND_AGAIN).lower() == joined(found).strip(b"<> \t").lower()


def _seems_address(name: Sequence[Token]) -> bool:
    """Whether a name has encoded words and a literal: Python's library takes the words, decoded, for the address."""
    return any(token.kind == "literal" for token in name) and b"=?" in joined(name)


def _text(address: bytes) -> str:
    """An address without its brackets, as text; octets that are no UTF-8 become such as no canonical form has."""
    return address.strip(b"<> \t").decode("utf-8", "surrogateescape")


def plain_address(pieces: Sequence[Token]) -> Sequence[Token]:
    """The tokens of a mailbox that are its address; empty if the mailbox is not simple enough to tell.

    Simple means: an address in angle brackets after a name, or an address with nothing else but comments.
    """
    said = [at for at, token in enumerate(pieces) if token.kind not in {"space", "comment"}]
    if not said:
        return ()
    first, last = said[0], said[-1]
    if pieces[last].kind != "angle":
        found = pieces[first : last + 1]
        return found if _ADDRESS.fullmatch(joined(found)) else ()
    address = pieces[last].raw[1:-1].strip(b" \t")
    # Many programs repeat the address as the name when they know no name.
    is_again = joined(pieces[first:last]).strip(_AROUND_AGAIN).lower() == address.lower()
    is_name = is_again or all(_may_be_in_name(token) for token in pieces[:last])
    is_whole = pieces[last].raw.endswith(b">") and _ADDRESS.fullmatch(address)
    return (pieces[last],) if is_name and is_whole else ()


def _may_be_in_name(token: Token) -> bool:
    if token.kind == "literal":
        return token.raw.endswith(b"]") and b"@" not in token.raw
    return token.kind in {"space", "comment", "quoted"} or (token.kind == "text" and not _IN_NO_NAME.search(token.raw))


def _mailboxes(value: bytes, name: str) -> Iterator[tuple[list[Token], bool]]:
    """Split a field at its commas; yields the tokens of each mailbox, or of a group's name and then True.

    Empty places between commas are left out. Raises `MalformedAddress` for groups that are not well formed.
    """
    groups = 0
    is_in_group = False
    before = b","
    for pieces, end in segments(value):
        is_name = end == b":"
        if end in (b":", b";"):
            if is_in_group == is_name:
                raise _no_address(name)  # a group inside a group, or an end without a beginning
            is_in_group = is_name
            groups += is_name
        if groups > GROUPS_MAX:
            raise MalformedAddress(f"the {name} field has more than {GROUPS_MAX} groups")
        is_empty = all(token.kind == "space" for token in pieces)
        if before == b";" and not is_empty:
            raise _no_address(name)  # the comma after a group is missing
        if is_name or not is_empty:
            yield pieces, is_name
        before = end
    if is_in_group:
        raise _no_address(name)


def _read_mailbox(mailbox: bytes, name: str) -> list[str]:
    try:
        read: Any = HeaderRegistry()("To", mailbox.decode("utf-8", "surrogateescape"))
        addresses: list[str] = [address.addr_spec for address in read.addresses]
    except Exception as error:  # the library's parser is known to raise many kinds of exceptions
        raise MalformedAddress(f"the {name} field cannot be read; name the recipients with --to") from error
    if any(isinstance(defect, InvalidHeaderDefect) for defect in read.defects):
        raise _no_address(name)
    return addresses


def _no_address(name: str) -> MalformedAddress:
    return MalformedAddress(f"the {name} field has something that is no address; name the recipients with --to")
