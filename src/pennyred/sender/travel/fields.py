"""Make header fields fit to travel: encode raw eight-bit text, fold lines of more than 990 octets.

The meaning of a field stays the same. Unstructured text, names before addresses and comments become encoded words (RFC
2047), parameters take the form of RFC 2231, URIs get percent signs. For some things no such spelling exists (an
address, a message id, a signed field); then the letter is refused.
"""

import re
import urllib.parse
from collections.abc import Callable, Iterable
from itertools import pairwise

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress, MalformedLetter
from pennyred.postage.letter import Field
from pennyred.postage.reading.structured import Token, tokens
from pennyred.sender.travel.encodedwords import EIGHT_BIT, ENCODED_WORD, Assume, assumed_charset, encoded_words
from pennyred.sender.travel.fieldgrammar import Grammar, grammar_of
from pennyred.sender.travel.parameters import spell_parameters
from pennyred.sender.travel.phrases import spell_addresses, spell_comments, spell_ids, spell_text
from pennyred.sender.travel.transfer import LINE_OCTETS_MAX, UNCUT_OCTETS_MAX

_FOLD_OCTETS = 76

_TRACE = frozenset((b"received", b"x-received"))
"""Fields in which no encoded word may stand, not even in a comment (RFC 2047 section 5). If a server wrote eight-bit
text into one, the field is kept as text under the name "Downgraded-..." (RFC 6857)."""
_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_SPACE_AND_WORD = re.compile(rb"[^ \t]+|[ \t]+")
_KEY_DATA = re.compile(rb"((?:\A|;)\s*keydata\s*=)([A-Za-z0-9+/=]+)")
"""The key in an Autocrypt field; its readers ignore white space in it (Autocrypt 1.1 section 2.1)."""
_AUTHORITY = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
_MAILTO = re.compile(rb"(mailto:[^?]*@)([^?]*)(.*)", re.DOTALL | re.IGNORECASE)


_ROOM: dict[Grammar, bytes | str] = {
    Grammar.ADDRESSES: b",",
    Grammar.PHRASES: b",",
    Grammar.URIS: b",",
    Grammar.IDS: "angle",
    Grammar.COMMENTS: b";",
    Grammar.PARAMETERS: b";",
}
"""After which token of each grammar white space may be added."""


def is_fit(raw: bytes, *, eight_bit: bool, line_octets_max: int = UNCUT_OCTETS_MAX) -> bool:
    """Whether a field (with its CRLF), or other octets, can travel as it is. `eight_bit` allows raw eight-bit text."""
    return b"\0" not in raw and (eight_bit or raw.isascii()) and not has_long_line(raw, line_octets_max)


def has_long_line(octets: bytes, line_octets_max: int = UNCUT_OCTETS_MAX) -> bool:
    """Whether a line has more octets than that, its CRLF not counted."""
    return len(octets) > line_octets_max and any(len(line) > line_octets_max for line in octets.split(b"\r\n"))


def fit_field(field: Field, assume: Assume = lambda octets: assumed_charset(octets, "")) -> bytes:
    """The whole field in a spelling that can travel; raises `MalformedLetter` if there is none."""
    name, _, value = field.raw.removesuffix(b"\r\n").partition(b":")
    name = name.rstrip(b" \t")
    value = _FOLDING.sub(b"", value)
    if b"\0" in value:
        raise MalformedLetter(f"field {_shown(field.key)} has a NUL")
    grammar = grammar_of(field.key)
    if field.key in _TRACE and EIGHT_BIT.search(value):
        name, grammar = b"Downgraded-" + name, Grammar.TEXT
    try:
        if EIGHT_BIT.search(value):
            value = _SPELLERS[grammar](value, assume)
        folded = _fold(name + b":", value, grammar)
        if has_long_line(folded):
            folded = _fold(name + b":", _loosened(value, grammar, assume), grammar)
    except MalformedLetter as error:
        raise MalformedLetter(f"field {_shown(field.key)}: {error}") from error
    if EIGHT_BIT.search(folded):
        raise MalformedLetter(f"field {_shown(field.key)} has eight-bit text where no encoding exists for it")
    if has_long_line(folded, LINE_OCTETS_MAX):
        raise MalformedLetter(f"field {_shown(field.key)} has a line of more than 998 octets that cannot be folded")
    return folded + b"\r\n"


def fold_field(field: Field, value: bytes) -> bytes:
    """The whole field with this value, folded to lines of at most 76 octets where it has white space to fold at."""
    return _fold(field.raw.partition(b":")[0].rstrip(b" \t") + b":", value, grammar_of(field.key)) + b"\r\n"


def _shown(key: bytes) -> str:
    return repr(key[:40].decode("ascii"))


def _fold(start: bytes, value: bytes, grammar: Grammar) -> bytes:
    """Fold to lines of at most 76 octets where there is white space; no line is of white space only.

    It does not fold inside quotes and brackets if that is possible: some programs show such a fold in a file name.
    """
    if grammar not in {Grammar.TEXT, Grammar.UNKNOWN}:
        folded = _folded(start, _unbroken(value))
        if not has_long_line(folded):
            return folded
    return _folded(start, _SPACE_AND_WORD.findall(value))


def _unbroken(value: bytes) -> list[bytes]:
    """Split a value at white space, but keep quoted texts and angle brackets in one piece."""
    pieces: list[list[bytes]] = []
    was_space = True
    for token in tokens(value):
        for raw in _SPACE_AND_WORD.findall(token.raw) if token.kind == "comment" else [token.raw]:
            is_space = not raw.strip(b" \t")
            if is_space or was_space:
                pieces.append([raw])
            else:
                pieces[-1].append(raw)
            was_space = is_space
    return [b"".join(piece) for piece in pieces]


def _folded(start: bytes, pieces: Iterable[bytes]) -> bytes:
    lines = [start]
    space = b""
    for piece in pieces:
        if not piece.strip(b" \t"):
            space = piece
            continue
        length = len(lines[-1]) + len(space) + len(piece)
        if space and length > (UNCUT_OCTETS_MAX if lines[-1] == start else _FOLD_OCTETS):
            lines.append(space + piece)
        else:
            lines[-1] += space + piece
        space = b""
    lines[-1] += space
    return b"\r\n".join(lines)


def _loosened(value: bytes, grammar: Grammar, assume: Assume) -> bytes:
    """The value with white space added where its grammar allows it, or too long words encoded, so it can be folded."""
    if grammar is Grammar.TEXT:
        return _loosened_text(value, assume)
    if grammar is Grammar.RIGID:
        return _KEY_DATA.sub(lambda found: found[1] + re.sub(rb".{70}", rb"\g<0> ", found[2]), value)
    if grammar in {Grammar.ADDRESSES, Grammar.PHRASES, Grammar.PARAMETERS}:
        value = _SPELLERS[grammar](value, assume)
    room = _ROOM.get(grammar)
    pieces = [*tokens(value), Token("space", b"")]
    has_room = (room in {one.raw, one.kind} and following.kind != "space" for one, following in pairwise(pieces))
    return b"".join(one.raw + b" " if has else one.raw for one, has in zip(pieces, has_room, strict=False))


def _loosened_text(value: bytes, assume: Assume) -> bytes:
    """Text with its too long words as encoded words; all of it, if a run of white space is still too long."""
    spelt = spell_text(value, assume)
    if has_long_line(_folded(b"", _SPACE_AND_WORD.findall(spelt))) and not ENCODED_WORD.search(value):
        text = value.strip(b" \t")
        spelt = b" " + encoded_words(text, assume(text))
    return spelt


def _spell_uris(value: bytes, assume: Assume) -> bytes:
    """The value with percent signs in what is in angle brackets, and with encoded words in comments."""
    raws = (
        _ascii_uri(token.raw) if token.kind == "angle" else spell_comments(token.raw, assume) for token in tokens(value)
    )
    return b"".join(raws)


def _ascii_uri(uri: bytes) -> bytes:
    """An IRI as the URI that it stands for (RFC 3987 section 3.1), its host in A-labels.

    Octets in another charset than UTF-8 are escaped as they are.
    """
    for host in (_AUTHORITY, _MAILTO):
        if found := host.fullmatch(uri[1:-1]):
            user, at, name = found[2].rpartition(b"@")
            uri = b"<" + found[1] + user + at + _a_labels(name) + found[3] + b">"
            break
    return EIGHT_BIT.sub(lambda octet: b"%%%02X" % octet[0][0], uri)


def _a_labels(host: bytes) -> bytes:
    """A host, perhaps with a port, in A-labels; unchanged if it is no host name."""
    name, colon, port = host.partition(b":")
    if not EIGHT_BIT.search(name):
        return host
    try:
        return canonical_domain(urllib.parse.unquote_to_bytes(name).decode()).encode() + colon + port
    except (UnicodeDecodeError, MalformedAddress):
        return host


def _spell_domain(address: bytes) -> bytes:
    local, at, rest = address.rpartition(b"@")
    domain = rest.rstrip(b"> \t")
    if not at or not EIGHT_BIT.search(domain):
        return address
    try:
        return local + at + canonical_domain(domain.decode()).encode() + rest[len(domain) :]
    except (UnicodeDecodeError, MalformedAddress):
        return address


def _as_it_is(value: bytes, _: Assume) -> bytes:
    return value


_SPELLERS: dict[Grammar, Callable[[bytes, Assume], bytes]] = {
    Grammar.TEXT: spell_text,
    Grammar.UNKNOWN: spell_text,
    Grammar.ADDRESSES: lambda value, assume: spell_addresses(value, assume, _spell_domain),
    Grammar.PHRASES: lambda value, assume: spell_addresses(value, assume, _spell_domain),
    Grammar.IDS: spell_ids,
    Grammar.URIS: _spell_uris,
    Grammar.PARAMETERS: spell_parameters,
    Grammar.COMMENTS: spell_comments,
    Grammar.RIGID: _as_it_is,
}
