"""Tag lists as in RFC 6376 section 3.2, but read strictly and written in one way only (STAMP.md 2.3)."""

import re
from collections.abc import Sequence

from pennyred.postage.errors import Malformed

LIST_BYTES_MAX = 4096
"""The longest list that is read, with its white space; a stamp has about 900 bytes."""
TAGS_MAX = 40

_TAG = re.compile(rb"([A-Za-z][A-Za-z0-9_]{0,31})=([!-:<-~]*);")
_LINE_OCTETS = 78
"""The length at which lines are folded, CRLF not counted (RFC 5322 section 2.1.1)."""

Tag = tuple[str, bytes]
"""A tag's name, case-sensitive, and its value without any white space."""


def parse_tag_list(value: bytes, *, bytes_max: int = LIST_BYTES_MAX, tags_max: int = TAGS_MAX) -> list[Tag]:
    """The tags in their order, without white space and folding. Raises `Malformed`, also if a tag occurs twice."""
    if len(value) > bytes_max:
        raise Malformed(f"tag list of more than {bytes_max} bytes")
    return parse_bare_list(without_white_space(value), bytes_max=bytes_max, tags_max=tags_max)


def parse_bare_list(text: bytes, *, bytes_max: int = LIST_BYTES_MAX, tags_max: int = TAGS_MAX) -> list[Tag]:
    """The tags of a list that has no white space; raises as `parse_tag_list` does."""
    if len(text) > bytes_max:
        raise Malformed(f"tag list of more than {bytes_max} bytes")
    if text and not text.endswith(b";"):
        text += b";"
    if text.count(b";") > tags_max:
        raise Malformed(f"more than {tags_max} tags")
    tags = [(name.decode(), tag) for name, tag in _TAG.findall(text)]
    # `findall` skips what it cannot read; if the lengths add up, nothing was skipped.
    if sum([len(name) + len(tag) + 2 for name, tag in tags]) != len(text):
        raise Malformed("not a tag list")
    if len(dict(tags)) != len(tags):
        raise Malformed("a tag occurs twice")
    return tags


def without_white_space(value: bytes) -> bytes:
    """The value unfolded, and without spaces and tabs: they mean nothing in a tag list."""
    return value.replace(b"\r\n ", b"").replace(b"\r\n\t", b"").translate(None, b" \t")


def format_tag_list(tags: Sequence[Tag]) -> bytes:
    """The canonical text: each tag followed by a semicolon, without white space."""
    return b"".join([b"%s=%s;" % (name.encode(), value) for name, value in tags])


def fold_field(name: bytes, tags: Sequence[Tag]) -> bytes:
    """A whole header field in lines of at most 78 octets, with its last CRLF.

    It is folded between tags, and inside a value only where the value is too long for a line.
    """
    lines: list[bytes] = []
    line = name + b":"
    for index, (tag, value) in enumerate(tags, 1):
        item = b" %s=%s%s" % (tag.encode(), value, b";" if index < len(tags) else b"")
        if len(line) + len(item) > _LINE_OCTETS:
            lines.append(line)
            line = b""
        line += item
        while len(line) > _LINE_OCTETS:
            lines.append(line[:_LINE_OCTETS])
            line = b" " + line[_LINE_OCTETS:]
    return b"\r\n".join([*lines, line]) + b"\r\n"
