"""Read the parts of a letter (RFC 2046): the header and body of each, and where it ends.

They are read as mail servers and mail programs read them. Where programs differ, or one would lose something, nothing
is guessed: the part is repaired in the way all of them would, or `MalformedLetter` names the line.
"""

import re
from dataclasses import dataclass

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import Field, parse_header
from pennyred.postage.reading.structured import tokens
from pennyred.sender.travel.fieldgrammar import Grammar, grammar_of
from pennyred.sender.travel.parameters import values_of

NESTING_MAX = 30
MAILBOX_LINES = re.compile(rb"\A(?:>*From (?![ \t]*:)[^\r\n]*(?:\r\n|\Z))+")
"""The "From " lines that a mailbox file puts before a letter (RFC 4155). They are no fields: below a stamp, such a line
would end the header."""
IDENTITY = frozenset((b"", b"7bit", b"8bit", b"binary"))
SEALED = frozenset((b"multipart/signed", b"multipart/encrypted"))
"""Media types in which every octet of every part is signed or encrypted, so nothing may be changed."""
LETTERS = frozenset((b"message/rfc822", b"message/global", b"message/news"))
"""Media types of parts that are letters. Other message/* types are not known to be letters."""

_MEDIA_TYPE = re.compile(rb"\s*([^\s/;()]+)\s*/\s*([^\s/;()]+)")
_NO_FIELD = re.compile(rb"(?:\A|\r\n)(?![!-9;-~]+[ \t]*:|[ \t]|\r\n|\Z)|\A[ \t]")
_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_CHARSETS_SOUGHT = 50
_WIDE_CHARSET = re.compile(r"utf-?(?:16|32)|ucs-?[24]|(?:cs)?iso-?10646|(?:cs)?unicode", re.IGNORECASE)
"""Charsets in which CR and LF octets may be halves of other characters: no mail text without an encoding (RFC 2781)."""


@dataclass(frozen=True, slots=True)
class Content:
    """What Content-Type says about a part."""

    media_type: bytes
    """Type and subtype, in lower case."""
    boundaries: tuple[bytes, ...]
    """What programs take for the boundary: none, one, or several if programs differ."""
    charset: str
    is_certain: bool = True
    """Whether all programs read the same: there is at most one such field, and it is not half a multipart."""

    @property
    def is_multipart(self) -> bool:
        """Whether the part is itself made of parts."""
        return self.media_type.startswith(b"multipart/")


@dataclass(frozen=True, slots=True)
class Entity:
    """A letter, or a part of one, split into header and body."""

    above: bytes
    """"From " lines of a mailbox file above a letter within a letter; else empty."""
    fields: tuple[Field, ...]
    separator: bytes
    """The empty line below the header; empty if there is no body."""
    body: bytes
    content: Content
    is_repaired: bool = False
    """Whether the empty line was missing and has been added."""

    def encoding(self) -> bytes:
        """The transfer encoding in lower case, without comments; b"" if none is named.

        Raises `MalformedLetter` if two different ones are named.
        """
        fields = [field for field in self.fields if field.key == b"content-transfer-encoding"]
        named = {_head(_unfolded(field)).strip().lower() for field in fields}
        if len(named) > 1:
            raise MalformedLetter("a part names two transfer encodings")
        return named.pop() if named else b""

    @property
    def body_line(self) -> int:
        """How many lines stand above the body."""
        return sum(text.count(b"\n") for text in (self.above, *(field.raw for field in self.fields), self.separator))

    def split(self) -> tuple[bytes, list[bytes]]:
        """The boundary, and the body split into preamble, delimiter, part, delimiter, part ... delimiter, epilogue.

        Each part begins with the CRLF that ends its delimiter. Without a delimiter, the whole body is preamble. Raises
        `MalformedLetter` if programs differ about the boundary.
        """
        found = {boundary: split for boundary in self.content.boundaries if (split := _split(self.body, boundary))[1:]}
        if len(found) > 1:
            raise MalformedLetter("programs differ in what the boundary of a multipart part is")
        return next(iter(found.items()), (b"", [self.body]))


def has_strange_line(header: bytes) -> bool:
    """Whether a header section has a line that is no field and continues none: there, mail servers end the header."""
    return _NO_FIELD.search(header) is not None


def take_apart(entity: bytes) -> tuple[bytes, bytes, bytes]:
    """Split into header section, empty line and body; joined, they are the entity again."""
    if entity.startswith(b"\r\n"):
        return b"", b"\r\n", entity[2:]
    end = entity.find(b"\r\n\r\n")
    return (entity, b"", b"") if end < 0 else (entity[: end + 2], b"\r\n", entity[end + 4 :])


def read_entity(raw: bytes, default_type: bytes, *, is_letter: bool) -> Entity:
    """Read a letter or a part; if the empty line below its header is missing, it is added.

    The header ends at the first line that is no field, as for every mail server, and the body begins with that line.
    `default_type` counts if no Content-Type is given. Raises `MalformedLetter` if there are fields below such a line:
    programs differ about whether they count.
    """
    above = MAILBOX_LINES.match(raw)
    start = above.end() if above and not is_letter else 0
    header, separator, body = take_apart(raw[start:])
    fields = parse_header(header).fields
    strange = next((at for at, field in enumerate(fields) if not field.key), len(fields))
    content = _content(fields[:strange], default_type)
    if strange == len(fields):
        return Entity(raw[:start], fields, separator, body, content)
    _want_no_field_below(fields, strange, content, is_letter=is_letter)
    body = b"".join(field.raw for field in fields[strange:]) + separator + body
    return Entity(raw[:start], fields[:strange], b"\r\n", body, content, is_repaired=True)


def closes(delimiter: bytes, boundary: bytes) -> bool:
    """Whether a delimiter line is the last one of its multipart (it ends with "--")."""
    return delimiter.rstrip(b" \t").endswith(b"--" + boundary + b"--")


def names_boundary(body: bytes, boundary: bytes) -> bool:
    """Whether something inside a body declares the same boundary."""
    named = rb"boundary[ \t]*=[ \t]*\"?" + re.escape(boundary) + rb"(?:[\s\";]|\Z)"
    return re.search(named, body, re.IGNORECASE) is not None


def type_of_parts(media_type: bytes) -> bytes:
    """The media type of a part without Content-Type inside this multipart (RFC 2046 section 5.1.5)."""
    return b"message/rfc822" if media_type == b"multipart/digest" else b"text/plain"


def first_charset(entity: Entity, depth: int = 0) -> str:
    """The charset that the letter's Content-Type names, or else the first part that names one; "" if none does."""
    if entity.content.charset or not entity.content.is_multipart or depth >= NESTING_MAX:
        return entity.content.charset
    if len(entity.content.boundaries) != 1:
        return ""
    parts = entity.split()[1][2 : 2 * _CHARSETS_SOUGHT : 2]
    return next((found for part in parts if (found := first_charset(_as_it_is(part[2:]), depth + 1))), "")


def has_binary_part(entity: Entity, depth: int = 0) -> bool:
    """Whether any part, at any depth, is binary: such a part is damaged when line ends are changed.

    Raises `MalformedLetter` for parts nested deeper than `NESTING_MAX`.
    """
    if depth > NESTING_MAX:
        raise MalformedLetter(f"a letter of more than {NESTING_MAX} parts in parts")
    media_type = entity.content.media_type
    inner: list[bytes] = []
    if media_type in LETTERS:
        inner = [entity.body]
    elif entity.content.is_multipart:
        inner = [part[2:] for part in entity.split()[1][2::2]]
    elif (encoding := entity.encoding()) in IDENTITY:
        is_binary = encoding == b"binary" and not media_type.startswith(b"text/")
        return is_binary or b"\0" in entity.body or _WIDE_CHARSET.match(entity.content.charset) is not None
    return any(has_binary_part(_as_it_is(part, type_of_parts(media_type)), depth + 1) for part in inner)


def _as_it_is(part: bytes, default_type: bytes = b"text/plain") -> Entity:
    """Read a part without repairs."""
    header, separator, body = take_apart(part)
    fields = parse_header(header).fields
    return Entity(b"", fields, separator, body, _content(fields, default_type))


def _content(fields: tuple[Field, ...], default: bytes) -> Content:
    values = list(dict.fromkeys(_unfolded(field).strip() for field in fields if field.key == b"content-type"))
    if not values:
        return Content(default, (), "")
    match = _MEDIA_TYPE.match(_head(values[0]).replace(b'"', b""))
    media_type = b"/".join(match.groups()).lower() if match and match[0].isascii() else b"text/plain"
    boundaries = dict.fromkeys(boundary.rstrip(b" \t") for boundary in values_of(values[0], b"boundary"))
    charsets = [found.decode() for found in values_of(values[0], b"charset")[:1] if found.isascii()]
    is_certain = len(values) == 1 and (b"multipart" in media_type or b"multipart" not in values[0].lower())
    return Content(media_type, tuple(one for one in boundaries if one), "".join(charsets), is_certain)


def _head(value: bytes) -> bytes:
    """The value up to its first semicolon, without comments."""
    kept: list[bytes] = []
    for token in tokens(value):
        if token.raw == b";":
            break
        kept += [] if token.kind == "comment" else [token.raw]
    return b"".join(kept)


def _unfolded(field: Field) -> bytes:
    return _FOLDING.sub(b"", field.value)


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    delimiter = re.compile(rb"((?:\A|\r\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*)(?=\r\n|\Z)")
    return delimiter.split(body)


def _want_no_field_below(fields: tuple[Field, ...], strange: int, content: Content, *, is_letter: bool) -> None:
    """Raise `MalformedLetter` if programs may differ about the line that is no field and ends the header.

    A delimiter line always ends it, whatever is below.
    """
    first = fields[strange].raw.removesuffix(b"\r\n")
    if any(_split(first, boundary)[1:] for boundary in content.boundaries if content.is_multipart):
        return
    is_above_fields = any(grammar_of(field.key) is not Grammar.UNKNOWN for field in fields[strange + 1 :] if field.key)
    is_in_doubt = first.startswith((b":", b" ", b"\t")) or content.media_type in LETTERS
    if is_above_fields or is_in_doubt or (is_letter and strange == 0):
        line = 1 + sum(field.raw.count(b"\n") for field in fields[:strange])
        where = f"line {line} of the letter's header" if is_letter else f"line {line} of the header of a part"
        raise MalformedLetter(f"{where} is no field: {_shown(first)}; put an empty line before it, or take it out")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))
