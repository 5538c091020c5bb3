"""Split a letter into header fields and body, byte for byte as it came (RFC 5322 section 2.1, STAMP.md 3.1)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pennyred.postage.errors import MalformedLetter

STAMP_FIELD = b"X-Postage-Stamp"
PASS_FIELD = b"X-Postage-Pass"

HEADER_BYTES_MAX = 4 * 2**20
HEADER_FIELDS_MAX = 20_000
"""Real letters have dozens of fields, mailing-list digests a few hundred; more than this is an attack on memory."""

_NAME = rb"([!-9;-~]+)(?::|([ \t]+):)"
_FIRST_NAME = re.compile(_NAME)
_FIELD_START = re.compile(rb"\n(?![ \t])(?:(?=%b)|)" % _NAME)
"""The line end before a field; the name below it, and the white space before its colon. It cuts where fields begin: an
expression that matches a whole field would use a hundred octets for each fold."""


class Field(NamedTuple):
    """One header field with its folded lines and CRLF, or a line that is no field, kept as it came."""

    raw: bytes
    key: bytes
    """The name in lower case; empty for a line that is no field."""

    @property
    def value(self) -> bytes:
        """What follows the colon, still folded, without the last CRLF."""
        return self.raw.partition(b":")[2].removesuffix(b"\r\n")


class HeaderSection:
    """The header of a letter: all its fields, from top to bottom.

    It is cut once, and a `Field` is made when somebody asks for it: few of a letter's fields are ever looked at.
    """

    __slots__ = ("_by_key", "_has_strays", "_keys", "_raws")

    def __init__(self, raws: Sequence[bytes], keys: Sequence[bytes], *, has_strays: bool) -> None:
        """`raws` and `keys` of its fields, as in `Field`; `has_strays`: whether there are `strays`."""
        self._raws = raws
        self._keys = keys
        self._has_strays = has_strays
        self._by_key: dict[bytes, list[bytes]] = {}
        """The fields by name: `named` is called for every stamp judged, and a header may have thousands of fields."""
        for raw, key in zip(raws, keys, strict=True):
            if key in self._by_key:
                self._by_key[key].append(raw)
            else:
                self._by_key[key] = [raw]

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields, from the top."""
        return tuple(map(Field, self._raws, self._keys))

    def named(self, key: bytes) -> tuple[Field, ...]:
        """The fields with this lower-case name, from the top."""
        raws = self._by_key.get(key)
        return tuple([Field(raw, key) for raw in raws]) if raws else ()

    def raws(self, key: bytes) -> Sequence[bytes]:
        """The same fields as they stand."""
        return self._by_key.get(key, ())

    def has_any(self, keys: frozenset[bytes]) -> bool:
        """Whether there is a field with one of these lower-case names."""
        return not self._by_key.keys().isdisjoint(keys)

    @property
    def strays(self) -> bytes:
        """Lines that are no field, and fields with white space before their colon (RFC 5322 section 4.5.8).

        Some readers (mutt, Python's library) end the header there, and show them and what follows as text.
        """
        if not self._has_strays:
            return b""
        pairs = zip(self._raws, self._keys, strict=True)
        return b"".join([raw for raw, key in pairs if not key or not raw.startswith(b":", len(key))])

    @property
    def raw(self) -> bytes:
        """The header section, byte for byte as it came."""
        return b"".join(self._raws)


def parse_header(section: bytes) -> HeaderSection:
    """Split the section before the empty line into fields; a line that is no field is kept as it is.

    Raises `MalformedLetter` only beyond `HEADER_BYTES_MAX` or `HEADER_FIELDS_MAX`, so real mail is never refused.
    """
    if len(section) > HEADER_BYTES_MAX:
        raise MalformedLetter(f"header section of more than {HEADER_BYTES_MAX} bytes")
    first, *rest = _FIELD_START.split(section, HEADER_FIELDS_MAX)
    named = _FIRST_NAME.match(section)
    name, blank = named.groups() if named else (None, None)
    names = [name, *rest[::3]]
    *lines, last = first, *rest[2::3]
    if not last:  # below the last line end is no field
        names.pop()
    raws = [section] * len(names)  # one alone is not copied: it may be as long as a section may
    if len(names) > 1:
        raws = [line + b"\n" for line in lines] + [last] * bool(last)
    if len(raws) > HEADER_FIELDS_MAX:
        raise MalformedLetter(f"more than {HEADER_FIELDS_MAX} header fields")
    keys = [name.lower() if name else b"" for name in names]
    return HeaderSection(raws, keys, has_strays=b"" in keys or bool(blank) or any(rest[1::3]))


def split_letter(letter: bytes) -> tuple[bytes, bytes]:
    """The header section with its last CRLF, and the body; the empty line between them is in neither."""
    if letter.startswith(b"\r\n"):
        return b"", letter[2:]
    header, separator, body = letter.partition(b"\r\n\r\n")
    return (header + b"\r\n", body) if separator else (letter, b"")
