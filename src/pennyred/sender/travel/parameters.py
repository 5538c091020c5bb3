"""Read and rewrite the parameters of Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2231).

They are rewritten only where they cannot travel, and their values stay the same. They are read as programs that show
file names do: a value without quotes goes on to the next semicolon, with its blanks.
"""

import re
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.reading.structured import unquoted
from pennyred.sender.travel.encodedwords import EIGHT_BIT, ENCODED_WORD, WORD_OCTETS_MAX, Assume, decoded_words
from pennyred.sender.travel.phrases import spell_comment, spell_comments

_SECTION_OCTETS = 60
_NO_OTHER_SPELLING = frozenset((b"boundary", b"charset"))
"""Parameters that programs read in the plain form only."""

_PIECE = re.compile(rb'(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^";]+)*', re.DOTALL)
_PARAMETER = re.compile(rb"\s*([^\s*=\"]+)(?:\*([0-9]{1,4}))?(\*)?\s*=\s*", re.DOTALL)
_QUOTED = re.compile(rb'("(?:[^"\\]|\\.)*")\s*(\(.*\))?\Z', re.DOTALL)
_EXTENDED = re.compile(rb"([^'*%\s]*)'([^'*%\s]*)'(.*)", re.DOTALL)
_HALF_QUOTED_PAIR = re.compile(rb'\\(["\\])')
_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2}|[^%]){1,20}")


class _Piece(NamedTuple):
    """The text between two semicolons: one parameter, or one section of a long one."""

    raw: bytes
    name: bytes
    """The parameter's name in lower case, without stars; empty if this is no parameter."""
    section: int | None
    """The section's number (RFC 2231 section 3); None if the value is in one piece."""
    is_extended: bool
    """Whether it has charset, language and percent signs (RFC 2231 section 4)."""
    value: bytes
    """The value with its quotes, without a comment after the quotes."""
    comment: bytes = b""

    @property
    def is_fit(self) -> bool:
        """Whether it can travel as it is: ASCII, and not too long."""
        return len(self.raw) <= WORD_OCTETS_MAX and not EIGHT_BIT.search(self.raw)

    @property
    def readings(self) -> list[bytes]:
        """The values that programs may read here, one or two; empty if a quotation mark is never closed."""
        if not self.value.startswith(b'"'):
            return list(dict.fromkeys([self.value, *self.value.split()[:1]]))[: 1 if self.is_extended else 2]
        if not _QUOTED.match(self.value):
            return []
        return list(dict.fromkeys([unquoted(self.value), _HALF_QUOTED_PAIR.sub(rb"\1", self.value[1:-1])]))


class _Said(NamedTuple):
    """The value that one spelling of a parameter has."""

    octets: bytes
    charset: str
    """The charset of the octets; empty if they are ASCII and no charset was named."""
    language: bytes = b""

    @property
    def text(self) -> str | bytes:
        """The value as text, to compare two spellings; the octets if they cannot be decoded."""
        try:
            return self.octets.decode(self.charset or "ascii")
        except (LookupError, ValueError):
            return self.octets


def values_of(value: bytes, name: bytes) -> list[bytes]:
    """The values (octets) that programs may read for one parameter: none if it is missing, several if they differ."""
    found: dict[bytes, None] = {}
    for spelling in _spellings([piece for piece in _pieces(value) if piece.name == name]):
        if len(spelling) == 1 and not spelling[0].is_extended and spelling[0].section is None:
            found |= dict.fromkeys(spelling[0].readings)
        elif said := _extended(spelling):
            found[said.octets] = None
    return list(found)


def spell_parameters(value: bytes, assume: Assume) -> bytes:
    """Rewrite each parameter that cannot travel in the form of RFC 2231, once; the others stay as they are.

    Raises `MalformedLetter` if a parameter has two values, or programs differ about its value.
    """
    pieces = list(_pieces(value))
    spelt: dict[int, bytes] = {}
    for name in dict.fromkeys(piece.name for piece in pieces if piece.name and not piece.is_fit):
        places = [at for at, piece in enumerate(pieces) if piece.name == name]
        spelt |= dict.fromkeys(places, b"")
        spelt[places[0]] = b";".join(_spelt_anew(name, [pieces[at] for at in places], assume))
    texts = [(at, piece.raw if piece.name else spell_comments(piece.raw, assume)) for at, piece in enumerate(pieces)]
    return b";".join(spelt.get(at, text) for at, text in texts if spelt.get(at) != b"")


def _pieces(value: bytes) -> Iterator[_Piece]:
    at = 0
    while at <= len(value):
        found = _PIECE.match(value, at)
        assert found is not None  # it may be empty
        yield _piece(found[0])
        at = found.end() + 1


def _piece(raw: bytes) -> _Piece:
    found = _PARAMETER.match(raw)
    if not found:
        return _Piece(raw, b"", None, is_extended=False, value=b"")
    section = None if found[2] is None else int(found[2])
    value = raw[found.end() :].rstrip()
    quoted = _QUOTED.match(value)
    value, comment = (quoted[1], quoted[2] or b"") if quoted else (value, b"")
    return _Piece(raw, found[1].lower(), section, bool(found[3]), value, comment)


def _spellings(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Group the pieces of one parameter by spelling: each piece alone, but the sections of a long value together."""
    sections = sorted((piece for piece in pieces if piece.section is not None), key=lambda piece: piece.section or 0)
    return [[piece] for piece in pieces if piece.section is None] + ([sections] if sections else [])


def _spelt_anew(name: bytes, pieces: list[_Piece], assume: Assume) -> list[bytes]:
    """One parameter in a spelling that can travel; a plain one beside it stays, for programs that know only that."""
    plain = [piece for piece in pieces if piece.section is None and not piece.is_extended]
    others = [one for one in _spellings(pieces) if one[:1] != plain[:1]]
    if name in _NO_OTHER_SPELLING or len(plain) > 1 or len(others) > 1:
        raise _uncertain(name)
    said = _extended(others[0], assume) if others else None
    if others and not said:
        raise _uncertain(name)
    if plain and (not said or not plain[0].is_fit):
        spoken = _plain(plain[0], assume)
        if said and spoken.text != said.text:
            raise _uncertain(name)
        said = said or spoken
        plain = []
    assert said is not None  # there is a piece at least
    kept = [*plain, *(others[0] if others and all(piece.is_fit for piece in others[0]) else [])]
    new = [] if kept[len(plain) :] else _form(name, said)
    if not kept and not new:
        raise _uncertain(name)  # an empty value without a charset: RFC 2231 has no other form for it
    comments = (b" " + spell_comment(piece.comment, assume) for piece in pieces if piece.comment and piece not in kept)
    *texts, last = [*(piece.raw for piece in kept), *new]
    return [*texts, last + b"".join(comments)]


def _plain(piece: _Piece, assume: Assume) -> _Said:
    """The value of a plain parameter. Encoded words should not be there, but are decoded, as programs do."""
    octets, *differing = piece.readings or [b""]
    if not octets or (differing and piece.value.startswith(b'"')):
        raise _uncertain(piece.name)
    if ENCODED_WORD.search(octets):
        text = decoded_words(octets)
        if text is None:
            raise _uncertain(piece.name)
        return _Said(text.encode(), "utf-8")
    return _Said(octets, assume(octets) if EIGHT_BIT.search(octets) else "")


def _extended(pieces: list[_Piece], assume: Assume | None = None) -> _Said | None:
    """The value of an extended parameter, or of the sections of one; None if it cannot be read."""
    if pieces[0].section is not None and [piece.section for piece in pieces] != list(range(len(pieces))):
        return None
    charset, language = "", b""
    octets = b""
    for at, piece in enumerate(pieces):
        value, *_ = piece.readings or [b""]
        if piece.is_extended and at == 0:
            found = _EXTENDED.fullmatch(value)
            if not found or not found[1].isascii():
                return None
            charset, language, value = found[1].decode("ascii"), found[2], found[3]
        elif piece.is_extended and not pieces[0].is_extended:
            return None
        octets += urllib.parse.unquote_to_bytes(value) if piece.is_extended else value
    if EIGHT_BIT.search(octets) and not charset:
        charset = assume(octets) if assume else ""
    return _Said(octets, charset, language)


def _form(name: bytes, said: _Said) -> list[bytes]:
    """A parameter in the form of RFC 2231: in one piece, or in sections if that is too long for a line."""
    if not said.charset:
        plain = [said.octets[at : at + _SECTION_OCTETS] for at in range(0, len(said.octets), _SECTION_OCTETS)]
        return [b' %s*%d="%s"' % (name, at, re.sub(rb'["\\]', rb"\\\g<0>", one)) for at, one in enumerate(plain)]
    quoted = urllib.parse.quote(said.octets, safe="").encode()
    start = b"%s'%s'" % (said.charset.encode("ascii"), said.language)
    whole = b" %s*=%s%s" % (name, start, quoted)
    if len(whole) <= WORD_OCTETS_MAX:
        return [whole]
    first, *sections = _PERCENT.findall(quoted)
    later = [b" %s*%d*=%s" % (name, at, one) for at, one in enumerate(sections, 1)]
    return [b" %s*0*=%s%s" % (name, start, first), *later]


def _uncertain(name: bytes) -> MalformedLetter:
    shown = name[:40].decode("ascii", "replace")
    return MalformedLetter(f"its parameter {shown!r} cannot travel as it is, and programs differ in what it says")
