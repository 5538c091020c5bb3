"""Split a letter into header fields and body, byte for byte as it came (RFC 5322 section 2.1, STAMP.md 3.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from pennyred.postage.errors import MalformedLetter

STAMP_FIELD = b"X-Postage-Stamp"
PASS_FIELD = b"X-Postage-Pass"

HEADER_BYTES_MAX = 4 * 2**20
HEADER_FIELDS_MAX = 20_000
"""Real letters have dozens of fields, mailing-list digests a few hundred; more than this is an attack on memory."""

_FIELD_END = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_END_OF = re.Match[bytes].end


@dataclass(frozen=True, slots=True)
class Field:
    """One header field with its folded lines and CRLF, or a line that is no field, kept as it came."""

    raw: bytes
    key: bytes
    """The name in lower case; empty for a line that is no field."""

    @property
    def value(self) -> bytes:
        """What follows the colon, still folded, without the last CRLF."""
        return self.raw.partition(b":")[2].removesuffix(b"\r\n")


@dataclass(frozen=True, slots=True)
class HeaderSection:
    """The header of a letter: all its fields, from top to bottom."""

    fields: tuple[Field, ...]
    _by_key: Mapping[bytes, tuple[Field, ...]] = field(init=False, repr=False, compare=False)
    """The fields by name: `named` is called for every stamp judged, and a header may have thousands of fields."""

    def __post_init__(self) -> None:
        by_key: dict[bytes, list[Field]] = {}
        for one in self.fields:
            by_key.setdefault(one.key, []).append(one)
        object.__setattr__(self, "_by_key", {key: tuple(found) for key, found in by_key.items()})

    def named(self, key: bytes) -> tuple[Field, ...]:
        """The fields with this lower-case name, from the top."""
        return self._by_key.get(key, ())

    @property
    def raw(self) -> bytes:
        """The header section, byte for byte as it came."""
        return b"".join([one.raw for one in self.fields])


def parse_header(section: bytes) -> HeaderSection:
    """Split the section before the empty line into fields; a line that is no field is kept as it is.

    Raises `MalformedLetter` only beyond `HEADER_BYTES_MAX` or `HEADER_FIELDS_MAX`, so real mail is never refused.
    """
    if len(section) > HEADER_BYTES_MAX:
        raise MalformedLetter(f"header section of more than {HEADER_BYTES_MAX} bytes")
    # Cut where fields end: an expression that matches a whole field would use a hundred octets for each fold.
    fields: list[Field] = []
    start = 0
    for end in chain(map(_END_OF, _FIELD_END.finditer(section)), (len(section),)):
        if start < end:
            if len(fields) >= HEADER_FIELDS_MAX:
                raise MalformedLetter(f"more than {HEADER_FIELDS_MAX} header fields")
            raw = section[start:end]
            name = _NAME.match(raw)
            fields.append(Field(raw, name[1].lower() if name else b""))
            start = end
    return HeaderSection(tuple(fields))


def split_letter(letter: bytes) -> tuple[bytes, bytes]:
    """The header section with its last CRLF, and the body; the empty line between them is in neither."""
    if letter.startswith(b"\r\n"):
        return b"", letter[2:]
    header, separator, body = letter.partition(b"\r\n\r\n")
    return (header + b"\r\n", body) if separator else (letter, b"")
