"""Letters as programs, scripts and people write them, strategies for Hypothesis: parts in parts, every encoding, raw
octets, boundaries in all spellings, lines too long.
"""

import urllib.parse
from typing import Any

from hypothesis import strategies as st

TEXTS = [
    "plain", "Grüße aus Köln", "x" * 1200, "Ωδη " * 30, "--b", "--bx", "--b ü", "--c ü", "--cx", "trailing  ", ".", "=", "= \r\nx",
    "=C3=BC", "=2D-b", "QUJDRA==", "", "Note: x", "x" * 74 + "--b ü" + "y" * 80, "w " * 700, "ü" + " " * 1500 + "z",
]  # fmt: skip
SUBJECTS = [
    "Tea", "Grüße", "=?utf-8?q?x?= ä", "ä=?utf-8?q?x?=", "=?utf-8?q?J=C3=B6rg?= Müller ä =?utf-8?q?x?=",
    "=?utf-8?q?J\u00f6rg?=", "x" * 1500, "a " * 700, "ü" * 600, "a  ü\tü  =?utf-8?b?w7w=?=",
]  # fmt: skip
PEOPLE = [
    "Jörg <j@b.example>", '"Käthe, von" <k@b.example>', "a@b.example", "=?utf-8?q?J=C3=B6rg?= Müller <m@b.example>",
    "Müller =?utf-8?q?J=C3=B6rg?= <m@b.example>", '"=?utf-8?q?J=C3=B6rg?= Müller" <m@b.example>',
    "j@b.example (töll)", "J. Müller <j@b.example>", "Team Ü: a@b.example, Ö <o@b.example>;", "'Ö x' <q@b.example>",
    'Ö "a.b" c <q@b.example>', '"x"ü <q@b.example>', "Ü (ä (ö) x) <z@b.example>", "Jörg<j@b.example>",
]  # fmt: skip
FILE_NAMES = [
    'filename="ü.txt"', "filename=a.txt", 'filename="a b.txt"', "filename=\"ü.txt\"; filename*=utf-8''%C3%BC.txt",
    "filename=\"u.txt\"; filename*=utf-8''%C3%BC.txt", f'filename="{"x" * 1100}"', f'filename="{"ü" * 400}"',
    'filename="=?utf-8?q?=C3=BC?= ä.txt"', "filename*=utf-8''ü.txt", 'filename*0="gr"; filename*1="ü.txt"',
]  # fmt: skip
_TYPES = ["", "text/plain; charset=utf-8", "text/html", "image/png", "application/octet-stream", "text"]
_ENCODINGS = ["", "8bit", "7bit", "binary", "quoted-printable", "base64", "8BIT (x)", "x-own"]
_KINDS = ["mixed", "alternative", "related", "report", "signed"]
_BOUNDARIES = ["c", "bxy", "b 1", "d--", "=_x"]
"""None is a line of the texts, but lines begin with some of them, and some with lines."""
_LINES_TOO = ["b", "bx", "b--"]
"""These are: a part ends in the middle, and another begins, without fields or an empty line."""
NO_FIELD = "no field here"


def _boundary(boundary: str) -> st.SearchStrategy[str]:
    extended = urllib.parse.quote(boundary, safe="")
    return st.sampled_from(
        [
            f'boundary="{boundary}"',
            f"boundary*=us-ascii''{extended}",
            f'boundary*0="{boundary[:1]}"; boundary*1="{boundary[1:]}"',
            f"boundary*0*=us-ascii''{extended}",
        ]
    )


_bodies = st.lists(st.sampled_from(TEXTS), max_size=4).map(lambda lines: "".join(f"{line}\r\n" for line in lines))
_spaces = st.sampled_from(["", "", " ", "\t"])


@st.composite
def _fields(draw: st.DrawFn, media_type: str, *, is_broken: bool) -> str:
    fields = [f"Content-Type: {media_type}"] if media_type else []
    if not media_type.startswith(("multipart", "message")) and (encoding := draw(st.sampled_from(_ENCODINGS))):
        fields.append(f"Content-Transfer-Encoding: {encoding}")
    if draw(st.integers(0, 3)) == 0:
        fields.append(f"Content-Disposition: attachment; {draw(st.sampled_from(FILE_NAMES))}")
    if draw(st.integers(0, 5)) == 0:
        fields.append("Content-Description: ü")
    if is_broken and draw(st.integers(0, 5)) == 0:
        fields.append(NO_FIELD)
    return "".join(f"{field}\r\n" for field in draw(st.permutations(fields)))


@st.composite
def _multipart(draw: st.DrawFn, depth: int, *, is_broken: bool) -> str:
    boundary = (
        draw(st.sampled_from([*_BOUNDARIES, *(_LINES_TOO if is_broken else [])])) + "'" * depth
    )  # none like one around it
    kind = draw(st.sampled_from([*_KINDS, "digest"] if is_broken else _KINDS))  # parts of a digest are letters
    media_type = f"multipart/{kind}; {draw(_boundary(boundary))}"
    pieces = [draw(_fields(media_type, is_broken=is_broken)), "" if is_broken and draw(st.booleans()) else "\r\n"]
    pieces.append(draw(st.one_of(st.just(""), _bodies)))
    for _ in range(draw(st.integers(1, 3))):
        part = draw(entities(depth + 1, is_broken=is_broken))
        pieces.append(f"--{boundary}{draw(_spaces)}\r\n{part}\r\n")
    if draw(st.integers(0, 3)):
        pieces += [f"--{boundary}--\r\n", draw(st.one_of(st.just(""), _bodies))]
    return "".join(pieces)


@st.composite
def _leaf(draw: st.DrawFn, *, is_broken: bool) -> str:
    fields = draw(_fields(draw(st.sampled_from(_TYPES)), is_broken=is_broken))
    return fields + ("" if is_broken and draw(st.integers(0, 5)) == 0 else "\r\n") + draw(_bodies)


@st.composite
def _letter(draw: st.DrawFn, depth: int, *, is_broken: bool) -> str:
    fields = [
        f"Subject: {draw(st.sampled_from(SUBJECTS))}",
        f"From: {draw(st.sampled_from(PEOPLE))}",
        f"To: {', '.join(draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3)))}",
    ]
    return "".join(f"{field}\r\n" for field in fields) + draw(entities(depth, is_broken=is_broken))


def entities(depth: int = 0, *, is_broken: bool = False) -> st.SearchStrategy[str]:
    """A part: fields of its own, empty line, body."""
    kinds: list[st.SearchStrategy[Any]] = [_leaf(is_broken=is_broken)]
    if depth < 3:
        kinds.append(st.deferred(lambda: _multipart(depth, is_broken=is_broken)))
        inner = st.deferred(lambda: _letter(depth + 1, is_broken=is_broken))
        kinds.append(inner.map(lambda letter: f"Content-Type: message/rfc822\r\n\r\n{letter}"))
    return st.one_of(kinds)


def letters(*, is_broken: bool = False) -> st.SearchStrategy[bytes]:
    """A whole letter; a broken one may lack empty lines, and have lines in headers that are no fields."""
    return _letter(0, is_broken=is_broken).map(str.encode)
