"""Split the value of a structured header field into tokens (RFC 5322 section 3.2), in linear time.

The tokens, joined again, are the value, octet for octet. Nothing is dropped; what follows no grammar is text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["quoted", "angle", "literal", "space", "mark", "comment", "text"]

_TOKEN = re.compile(
    rb'(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\\?\Z))|(?P<angle><[^<>]*(?:>|\Z))|(?P<literal>\[[^\[\]]*(?:\]|\Z))'
    rb'|(?P<space>[ \t]+)|(?P<mark>[,:;])|(?P<open>\()|(?P<text>(?:\\.|[^ \t"<\[,:;(\\])+|.)',
    re.DOTALL,
)
# A quoted text that never ends takes all the rest, also a last backslash: otherwise each quote would be tried again.
_IN_COMMENT = re.compile(rb"\\.|[()]|[^\\()]+|.", re.DOTALL)
"""A piece of a comment; quotes and angle brackets mean nothing inside one."""
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)


class Token(NamedTuple):
    """A piece of a value, exactly as it is written there."""

    kind: Kind
    """`mark` is a comma, colon or semicolon. `angle` includes its brackets, `quoted` its quotes, and `comment` its
    parentheses and the comments inside it."""
    raw: bytes


def tokens(value: bytes) -> Iterator[Token]:
    """The tokens of an unfolded value. A parenthesis that is never closed does not begin a comment: it is text."""
    at = 0
    may_comment = True
    while found := _TOKEN.match(value, at):
        start, at = at, found.end()
        if found.lastgroup != "open":
            yield Token(found.lastgroup, found[0])  # type: ignore[arg-type]  # the groups have the names of the kinds
            continue
        end = _end_of_comment(value, at) if may_comment else None
        may_comment = end is not None
        at = end or at
        yield Token("comment" if end else "text", value[start:at])


def segments(value: bytes) -> Iterator[tuple[list[Token], bytes]]:
    """Split at commas, colons and semicolons; yields each segment's tokens and the mark behind it (b"" at the end)."""
    between: list[Token] = []
    for token in tokens(value):
        if token.kind == "mark":
            yield between, token.raw
            between = []
        else:
            between.append(token)
    yield between, b""


def joined(pieces: Iterable[Token]) -> bytes:
    """The tokens joined to the octets they were read from."""
    return b"".join(token.raw for token in pieces)


def unquoted(raw: bytes) -> bytes:
    """The content of a quoted text, without quotes and backslashes; another text just without its backslashes."""
    return _QUOTED_PAIR.sub(rb"\1", raw[1:].removesuffix(b'"') if raw.startswith(b'"') else raw)


def _end_of_comment(value: bytes, at: int) -> int | None:
    depth = 1
    while found := _IN_COMMENT.match(value, at):
        at = found.end()
        depth += {b"(": 1, b")": -1}.get(found[0], 0)
        if not depth:
            return at
    return None
