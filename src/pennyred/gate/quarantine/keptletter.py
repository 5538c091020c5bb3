"""One refused letter as a file: three fields of the gate's, and below them the letter as it came, byte for byte.

::

    Return-Path: <ann@sender.example>
    Delivered-To: bob@example.org
    X-Postage-Refused: v=1; reason=no-stamp; time=1790000000; ip=192.0.2.1; ...; size=1234

The first two are for mail programs. The gate itself believes only the third: a tag list (STAMP.md 2.3) whose values are
percent-encoded, so that nobody can put a field, or a tag, into it. Its `size` says where the letter begins, whatever
that begins with, and that it is whole.

A file that several recipients have (`v=2`) names none of them, as none is to know of the others: the second field and
the tag `recipient` are missing, and whose it is says the folder.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pennyred.postage.encoding import decode_integer, encode_integer
from pennyred.postage.errors import Malformed
from pennyred.postage.taglist import fold_field, parse_tag_list

HEAD_BYTES_MAX = 64 * 1024
"""More than the longest that is written."""
HEAD_BYTES_USUAL = 500
"""The size that most heads have; used to reckon before a head is written."""
MAILBOX_BYTES_MAX = 2048
"""As long as a command line of the gate's door may be."""
_TEXT_BYTES_MAX = 1000
"""Of a host name, a greeting, and what was proven."""
_SHOWN_BYTES_MAX = 900
"""Lines have 998 octets at most (RFC 5322 section 2.1.1)."""
_TIME_MAX = 253_402_300_799
"""The last second of the year 9999, as far as dates can be shown."""
_UNRESERVED = "@:/[],+!*'()="
_FIELD = b"X-Postage-Refused"
_HEAD = re.compile(
    rb"Return-Path: [^\r\n]*\r\n(?:Delivered-To: [^\r\n]*\r\n)?" + _FIELD + rb":([^\r\n]*(?:\r\n [^\r\n]*)*)\r\n"
)
_REASON = re.compile(rb"[a-z]+(?:-[a-z]+){0,5}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a letter came from, and when."""

    sender: bytes
    """The reverse-path's mailbox as received, without angle brackets; empty for the null sender."""
    source: str
    """The client's IP address in text."""
    at: int
    """Seconds since 1970-01-01 UTC."""
    client_name: str = ""
    """Its verified host name; empty where there is none."""
    helo: str = ""
    """What it called itself."""
    authenticated: str = ""
    """What was proven of the letter, in the words of who says so; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the fields above a kept letter say."""

    origin: Origin
    recipient: bytes
    """The mailbox as received."""
    reason: str
    size: int
    """Bytes of the letter."""
    begins_at: int
    """Where in the file it begins, in bytes."""


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A kept letter, as lists of them show it."""

    name: str
    """The letter hash in 64 hexadecimal digits: names the letter and its recipient."""
    head: Head
    sender_shown: str
    """The letter's From, made readable; anybody can say anything."""
    subject: str
    path: Path

    @property
    def id(self) -> str:
        """As short as people like it; more digits may be given where two begin alike."""
        return self.name[:12]

    @property
    def recipient(self) -> str:
        """The mailbox in text."""
        return self.head.recipient.decode("utf-8", "backslashreplace")


def format_head(origin: Origin, recipient: bytes | None, reason: str, size: int, letter_begins: bytes) -> bytes:
    """The fields to put above a letter of `size` bytes whose first octets are `letter_begins`; `recipient` is None for
    several.

    Raises ValueError for mailboxes longer than any that a gate takes: cut, they would be somebody else's.
    """
    if max(len(origin.sender), len(recipient or b"")) > MAILBOX_BYTES_MAX:
        raise ValueError(f"a mailbox of more than {MAILBOX_BYTES_MAX} octets")
    tags = [
        ("v", b"1" if recipient is not None else b"2"),
        ("reason", reason.encode()),
        ("time", encode_integer(origin.at)),
        ("ip", _encoded(_cut(origin.source))),
        ("name", _encoded(_cut(origin.client_name))),
        ("helo", _encoded(_cut(origin.helo))),
        ("sender", _encoded(origin.sender)),
        *([("recipient", _encoded(recipient))] if recipient is not None else []),
        ("authenticated", _encoded(_cut(origin.authenticated))),
        ("size", encode_integer(size)),
    ]
    shown = b"Return-Path: <%s>\r\n" % _line(origin.sender)
    if recipient is not None:
        shown += b"Delivered-To: %s\r\n" % _line(recipient)
    # A letter that begins with a folded line would continue our field in the sender's words.
    return shown + fold_field(_FIELD, tags) + (b"\r\n" if letter_begins[:1] in (b" ", b"\t") else b"")


def parse_head(beginning: bytes, file_bytes: int, *, owner: bytes = b"") -> Head:
    """Read the fields from the first bytes of a file (`HEAD_BYTES_MAX` will do) of `file_bytes` in all.

    `owner` is whose folder it lies in, for a file that several have. Raises `Malformed` for a file that is not one of
    ours, or not whole.
    """
    found = _HEAD.match(beginning[:HEAD_BYTES_MAX])
    if found is None:
        raise Malformed("not a kept letter")
    tags = dict(parse_tag_list(found[1], bytes_max=HEAD_BYTES_MAX))
    at, size = decode_integer(tags.get("time", b"")), decode_integer(tags.get("size", b""))
    reason = tags.get("reason", b"")
    is_shared = tags.get("v") == b"2" and bool(owner)
    if not (is_shared or tags.get("v") == b"1") or at > _TIME_MAX or len(reason) > 40 or not _REASON.fullmatch(reason):
        raise Malformed("not a kept letter of this version")
    end = file_bytes - size
    if end != found.end() and not (end == found.end() + 2 and beginning[found.end() : end] == b"\r\n"):
        raise Malformed("the kept letter is not whole")
    origin = Origin(
        _decoded(tags, "sender"),
        _text(tags, "ip"),
        at,
        client_name=_text(tags, "name"),
        helo=_text(tags, "helo"),
        authenticated=_text(tags, "authenticated"),
    )
    return Head(origin, owner if is_shared else _decoded(tags, "recipient"), reason.decode(), size, end)


def _line(value: bytes) -> bytes:
    """The text as it may stand in a field: without control characters, and no longer than a line takes."""
    return bytes(octet if octet >= 0x20 and octet != 0x7F else 0x3F for octet in value[:_SHOWN_BYTES_MAX])


def _cut(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:_TEXT_BYTES_MAX]


def _encoded(value: bytes) -> bytes:
    return quote_from_bytes(value, safe=_UNRESERVED).encode("ascii")


def _decoded(tags: dict[str, bytes], name: str) -> bytes:
    return unquote_to_bytes(tags.get(name, b""))


def _text(tags: dict[str, bytes], name: str) -> str:
    return _decoded(tags, name).decode("utf-8", "replace")
