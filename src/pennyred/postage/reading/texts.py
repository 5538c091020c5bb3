"""The texts that stand for the parts of a letter when a stamp signs them (STAMP.md 5.3, 5.4, 5.6).

A text says what a reader makes of a field, not how it is spelled: servers spell fields anew. Where a field cannot be
read in one way only, its octets stand for it.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pennyred.postage.address import canonical_recipient
from pennyred.postage.canonical import plain_field
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field, HeaderSection
from pennyred.postage.reading.addressfields import plain_addresses
from pennyred.postage.reading.subject import subject_text

REPLY_NAMES = (b"reply-to", b"mail-reply-to", b"mail-followup-to")
"""The fields that tell where answers go: mail programs obey one or the other of them."""

BODY_NAMES = (b"content-disposition", b"content-description", b"content-base", b"content-location")
"""Further fields by which mail programs show words beside the body, such as a file's name, or by which its links lead
elsewhere."""

_BODY_KEYS = frozenset(BODY_NAMES)

UNREAD = b"\0"
"""Begins a text that is octets, so that no spelling of a field can pass for another's addresses."""
_BLANK = b" \t\r\n"
_FWS = rb"[ \t\r\n]"
_ATOM = rb"[A-Za-z0-9!#$%&'*+._`{|}~^-]+"
_MEDIA_TYPE = re.compile(rb"%s*(%s)%s*/%s*(%s)%s*(?:;.*)?" % (_FWS, _ATOM, _FWS, _FWS, _ATOM, _FWS), re.DOTALL)
_TYPES_REMEMBERED = 1_000
_ADDRESSES_REMEMBERED = 2_000
_BYTES_REMEMBERED = 200
"""How many Content-Type fields, and fields of addresses, are remembered, and how long ones: most letters have one of a
few, and people write again. A longer one is read each time: a thousand of the longest that a letter may have would take
eight gigabytes."""
_IDENTITY = frozenset((b"7bit", b"8bit", b"binary", b""))
_USUAL = b"text/plain;identity\n"


def field_texts(header: HeaderSection, plain: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """The texts of author, Reply-To, recipients, Subject (UTF-8), Date and Message-ID, in this order.

    `plain` has the plain forms of all fields of a name, joined from the top, by name.
    """
    return (
        _addresses(header, plain, (b"from",)),
        _addresses(header, plain, REPLY_NAMES),
        _addresses(header, plain, (b"to", b"cc")),
        _subject(header, plain),
        plain.get(b"date", b""),
        plain.get(b"message-id", b""),
    )


def _addresses(header: HeaderSection, plain: Mapping[bytes, bytes], names: Sequence[bytes]) -> bytes:
    """The addresses in the fields of these names: canonical, each once, sorted, one a line; empty if there are none.

    Display names and comments do not count. If one field cannot be read, the octets of all of them stand instead.
    """
    fields = [Field(raw, name) for name in names for raw in header.raws(name)]
    if not fields:
        return b""
    is_usual = len(fields) == 1 and len(fields[0].raw) <= _BYTES_REMEMBERED
    text = _addresses_remembered(fields[0]) if is_usual else _addresses_read(*fields)
    return UNREAD + b"".join([plain.get(name, b"") for name in names]) if text is None else text


def _addresses_read(*fields: Field) -> bytes | None:
    try:
        canonical = {canonical_recipient(one).canonical for one in plain_addresses(fields)}
    except MalformedAddress:
        return None
    return "\n".join(sorted(canonical)).encode()


_addresses_remembered = lru_cache(maxsize=_ADDRESSES_REMEMBERED)(_addresses_read)


def _subject(header: HeaderSection, plain: Mapping[bytes, bytes]) -> bytes:
    """What a reader sees of the Subject, in UTF-8; its octets where it is too long to be read."""
    text = subject_text([raw.partition(b":")[2].removesuffix(b"\r\n") for raw in header.raws(b"subject")])
    return UNREAD + plain[b"subject"] if text is None else text.encode()


def body_text(header: HeaderSection) -> bytes:
    """How the body is to be read: its media type and encoding; what else is said of it; and stray lines of the
    header section.
    """
    types, encodings = header.raws(b"content-type"), header.raws(b"content-transfer-encoding")
    further, strays = b"", header.strays
    if header.has_any(_BODY_KEYS):
        further = b"".join([plain_field(*one) for key in BODY_NAMES for one in header.named(key) if has_words(one)])
    if not types and not encodings and not further and not strays:
        return _USUAL
    kinds = b",".join(map(_media_type, types)) or b"text/plain"
    return kinds + b";" + (b",".join(map(_encoding, encodings)) or b"identity") + b"\n" + further + strays


def has_words(field: Field) -> bool:
    """Whether a field that describes the body has words that are shown or obeyed: a file's name, a base of links.

    Of Content-Type only a name counts, and not that of a multipart, which is no file.
    """
    value = field.value.lower()
    if field.key == b"content-type":
        return b"name" in value and not _is_multipart(_MEDIA_TYPE.fullmatch(value))
    return field.key != b"content-disposition" or value.strip(_BLANK) not in (b"", b"inline")


def may_have_parts(header: HeaderSection) -> bool:
    """Whether a reader may look for the headers of parts in the body; also where a type cannot be read."""
    types = (_MEDIA_TYPE.fullmatch(one.value) for one in header.named(b"content-type"))
    return any(found is None or found[1].lower() in (b"multipart", b"message") for found in types)


def _media_type(raw: bytes) -> bytes:
    """Type and subtype; the whole value of a multipart, because another boundary shows other parts of the same body,
    and where there is a name, which is shown.
    """
    return _type_remembered(raw) if len(raw) <= _BYTES_REMEMBERED else _type_read(raw)


def _type_read(raw: bytes) -> bytes:
    field = Field(raw, b"content-type")
    found = _MEDIA_TYPE.fullmatch(field.value)
    if not found or _is_multipart(found) or has_words(field):
        return UNREAD + _plain_value(raw)
    return b"%s/%s" % (found[1].lower(), found[2].lower())


_type_remembered = lru_cache(maxsize=_TYPES_REMEMBERED)(_type_read)


def _is_multipart(found: re.Match[bytes] | None) -> bool:
    return found is not None and found[1].lower() == b"multipart"


def _encoding(raw: bytes) -> bytes:
    value = raw.partition(b":")[2].strip(_BLANK).lower()
    if value in _IDENTITY:
        return b"identity"
    return value if value in (b"base64", b"quoted-printable") else UNREAD + _plain_value(raw).lower()


def _plain_value(raw: bytes) -> bytes:
    return b" ".join(raw.partition(b":")[2].split())
