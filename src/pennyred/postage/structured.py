"""A structured field's value taken apart (RFC 5322 section 3.2), in time that grows with its length, whoever wrote it.

What is joined again is the value, octet for octet: nothing is dropped, and what follows no grammar is text.
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
# A quoted text that never ends takes all the rest, a last backslash too: else each quote would be tried to the end.
_IN_COMMENT = re.compile(rb"\\.|[()]|[^\\()]+|.", re.DOTALL)
"""Quotes and brackets mean nothing there."""
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)


class Token(NamedTuple):
    """A piece of a value as it stands there."""

    kind: Kind
    """`mark` is a comma, colon or semicolon; `angle` has its brackets, `quoted` its quotes, `comment` its parentheses,
    and those within it."""
    raw: bytes


def tokens(value: bytes) -> Iterator[Token]:
    """The tokens of an unfolded value. A parenthesis that is never closed begins no comment: it is text."""
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
    """What stands between commas, colons and semicolons, and which of them ends it; the last is ended by none."""
    between: list[Token] = []
    for token in tokens(value):
        if token.kind == "mark":
            yield between, token.raw
            between = []
        else:
            between.append(token)
    yield between, b""


def joined(pieces: Iterable[Token]) -> bytes:
    """The tokens as they stood."""
    return b"".join(token.raw for token in pieces)


def unquoted(raw: bytes) -> bytes:
    """What a quoted text says; any other text without its backslashes."""
    return _QUOTED_PAIR.sub(rb"\1", raw[1:].removesuffix(b'"') if raw.startswith(b'"') else raw)


def _end_of_comment(value: bytes, at: int) -> int | None:
    depth = 1
    while found := _IN_COMMENT.match(value, at):
        at = found.end()
        depth += {b"(": 1, b")": -1}.get(found[0], 0)
        if not depth:
            return at
    return None
