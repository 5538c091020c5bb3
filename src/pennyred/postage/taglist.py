"""Tag lists of RFC 6376 section 3.2, read strictly and written in one way."""

import re

from pennyred.postage.errors import Malformed

VALUE_BYTES_MAX = 8192
TAGS_MAX = 40

_FWS = re.compile(rb"(?:\r\n)?[ \t]+")
_TAG = re.compile(rb"([A-Za-z][A-Za-z0-9_]{0,31})=([!-:<-~]*)")
_LINE_OCTETS = 76


def parse_tag_list(value: bytes) -> list[tuple[str, bytes]]:
    """The tags in their order, white space and folding taken out; raises `Malformed`, for a duplicate too."""
    if len(value) > VALUE_BYTES_MAX:
        raise Malformed(f"tag list of more than {VALUE_BYTES_MAX} bytes")
    parts = _FWS.sub(b"", value).split(b";", TAGS_MAX + 1)
    if parts[-1] == b"":
        parts.pop()
    if len(parts) > TAGS_MAX:
        raise Malformed(f"more than {TAGS_MAX} tags")
    tags: list[tuple[str, bytes]] = []
    seen: set[bytes] = set()
    for part in parts:
        match = _TAG.fullmatch(part)
        if not match:
            raise Malformed("not a tag list")
        if match[1] in seen:
            raise Malformed(f"tag {match[1].decode()} occurs twice")
        seen.add(match[1])
        tags.append((match[1].decode(), match[2]))
    return tags


def format_tag_list(tags: list[tuple[str, bytes]]) -> bytes:
    """The canonical text: every tag with a semicolon, no white space."""
    return b"".join(name.encode() + b"=" + value + b";" for name, value in tags)


def fold_field(name: bytes, tags: list[tuple[str, bytes]]) -> bytes:
    """A whole header field, folded between tags and inside long values to lines of at most 78 octets, CRLF included."""
    lines: list[bytes] = []
    line = name + b":"
    for tag, value in tags:
        item = b" " + tag.encode() + b"=" + value + b";"
        if len(line) + len(item) > _LINE_OCTETS and line.strip():
            lines.append(line)
            line = b""
        line += item
        while len(line) > _LINE_OCTETS:
            lines.append(line[:_LINE_OCTETS])
            line = b"  " + line[_LINE_OCTETS:]
    lines.append(line)
    return b"\r\n".join(lines).removesuffix(b";") + b"\r\n"
