"""A header field as a person may read it: decoded (RFC 2047), on one line, with nothing that steers a terminal."""

import re
from email.header import decode_header, make_header

from pennyred.postage.letter import HeaderSection

FIELD_BYTES_READ_MAX = 2000
"""Of a field; the library takes time that grows with the square of what it reads."""
CHARACTERS_MAX = 200

_SPACE = re.compile(r"\s+")


def readable_field(header: HeaderSection, key: bytes) -> str:
    """The first field with this lower-case name; empty where there is none."""
    fields = header.named(key)
    return readable(fields[0].value) if fields else ""


def readable(value: bytes, characters_max: int = CHARACTERS_MAX) -> str:
    """A field's value in at most that many characters; what cannot be decoded is shown as it is."""
    text = _SPACE.sub(" ", value[:FIELD_BYTES_READ_MAX].decode("utf-8", "replace")).strip()
    try:
        decoded = str(make_header(decode_header(text)))
    except Exception:  # noqa: BLE001 - the library's parser has raised about everything once
        decoded = text
    one_line = _SPACE.sub(" ", decoded)
    return "".join(one if one.isprintable() else "?" for one in one_line)[:characters_max]
