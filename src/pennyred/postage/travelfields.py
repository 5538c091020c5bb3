"""Header fields made fit to travel: raw eight-bit text as encoded words, lines of more than 998 octets folded.

What a field means stays: unstructured text, names before addresses and comments become encoded words (RFC 2047),
parameters become RFC 2231's. Where no such spelling exists (an address, a message id) there is nothing to be done.
"""

import re
import urllib.parse
from collections.abc import Callable

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress, MalformedLetter
from pennyred.postage.letter import Field
from pennyred.postage.transfer import encoded_words

LINE_OCTETS_MAX = 998
"""RFC 5321 section 4.5.3.1.6, RFC 5322 section 2.1.1; CRLF not counted."""
_FOLD_OCTETS = 76

_WITH_ADDRESSES = frozenset(
    b"from to cc bcc reply-to sender resent-from resent-to resent-cc resent-bcc resent-sender resent-reply-to list-id"
    b" disposition-notification-to return-receipt-to errors-to mail-followup-to mail-reply-to received".split()
)
_WITH_PARAMETERS = frozenset((b"content-type", b"content-disposition"))
_RIGID = frozenset(
    b"message-id in-reply-to references date return-path mime-version content-transfer-encoding content-id"
    b" dkim-signature domainkey-signature arc-seal arc-message-signature x-postage-stamp x-postage-pass".split()
)

_EIGHT_BIT = re.compile(rb"[\x80-\xff]")
_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_WORDS = re.compile(rb"[^ \t]+|[ \t]+")
_ENCODED_WORD = re.compile(rb"=\?[!->@-~]+\?[bBqQ]\?[!->@-~]*\?=")
_PARAMETER = re.compile(rb';([ \t]*)([^=;\s"*]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^;\s"]*)')
# A quoted text that never ends takes all the rest, a last backslash too: else each quote would be tried to the end.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|<[^<>]*(?:>|\Z)|[ \t]+|[(),:;]|[^\s"<(),:;]+|.', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)


def is_fit(raw: bytes, *, eight_bit: bool) -> bool:
    """Whether a field, CRLF included, can travel as it is; `eight_bit`: raw eight-bit text may."""
    return b"\0" not in raw and (eight_bit or raw.isascii()) and not has_long_line(raw)


def has_long_line(octets: bytes) -> bool:
    """Whether a line between CRLFs has more than 998 octets."""
    return len(octets) > LINE_OCTETS_MAX and any(len(line) > LINE_OCTETS_MAX for line in octets.split(b"\r\n"))


def fit_field(field: Field) -> bytes:
    """The whole field in a spelling that can travel; raises `MalformedLetter` where there is none."""
    if not field.key:
        raise MalformedLetter("a line of the header that is no field is too long or not ASCII")
    name, _, value = field.raw.removesuffix(b"\r\n").partition(b":")
    value = _FOLDING.sub(b"", value)
    if b"\0" in value:
        raise MalformedLetter(f"field {_shown(field.key)} has a NUL")
    if _EIGHT_BIT.search(value):
        value = _speller(field.key)(value)
    if _EIGHT_BIT.search(value):
        raise MalformedLetter(f"field {_shown(field.key)} has eight-bit text where no encoding exists for it")
    folded = _fold(name + b":", value)
    if has_long_line(folded) and field.key not in _RIGID | _WITH_ADDRESSES | _WITH_PARAMETERS:
        folded = _fold(name + b":", b" " + encoded_words(value.strip(b" \t")))
    elif has_long_line(folded) and field.key in _WITH_ADDRESSES:
        folded = _fold(name + b":", _spaced(value))
    if has_long_line(folded):
        raise MalformedLetter(f"field {_shown(field.key)} has a line of more than 998 octets that cannot be folded")
    return folded + b"\r\n"


def _speller(key: bytes) -> Callable[[bytes], bytes]:
    if key in _WITH_ADDRESSES:
        return _spell_addresses
    if key in _WITH_PARAMETERS:
        return _spell_parameters
    return (lambda value: value) if key in _RIGID else _spell_text


def _shown(key: bytes) -> str:
    return repr(key[:40].decode("ascii"))


def _fold(start: bytes, value: bytes) -> bytes:
    """Lines of at most 76 octets where there is white space to fold at; none is of white space only."""
    lines = [start]
    space = b""
    for word in _WORDS.findall(value):
        if word[:1] in b" \t":
            space = word
            continue
        if len(lines[-1]) + len(space) + len(word) > _FOLD_OCTETS and space and lines[-1] != start:
            lines.append(space + word)
        else:
            lines[-1] += space + word
        space = b""
    lines[-1] += space
    return b"\r\n".join(lines)


def _spell_text(value: bytes) -> bytes:
    """Eight-bit words, and the white space between them, as encoded words; everything else stays.

    A reader drops white space between two encoded words, so next to one the space goes into the word.
    """
    tokens = _WORDS.findall(value)
    spelt: list[bytes] = []
    at = 0
    while at < len(tokens):
        if not _EIGHT_BIT.search(tokens[at]):
            spelt.append(tokens[at])
            at += 1
            continue
        end = at + 1
        while end + 1 < len(tokens) and _EIGHT_BIT.search(tokens[end + 1]):
            end += 2
        before = at > 1 and bool(_ENCODED_WORD.fullmatch(tokens[at - 2]))
        after = end + 1 < len(tokens) and bool(_ENCODED_WORD.fullmatch(tokens[end + 1]))
        octets = (tokens[at - 1] if before else b"") + b"".join(tokens[at:end]) + (tokens[end] if after else b"")
        spelt.append(encoded_words(octets))
        at = end
    return b"".join(spelt)


def _spell_parameters(value: bytes) -> bytes:
    """Eight-bit parameters in the form of RFC 2231 section 4."""

    def spell(match: re.Match[bytes]) -> bytes:
        space, name, content = match.groups()
        if not _EIGHT_BIT.search(content):
            return match[0]
        octets = _unquoted(content)
        try:
            octets.decode()
            charset = b"utf-8"
        except UnicodeDecodeError:
            charset = b"unknown-8bit"
        return b";%s%s*=%s''%s" % (space or b" ", name, charset, urllib.parse.quote(octets, safe="").encode())

    return _PARAMETER.sub(spell, value)


def _unquoted(text: bytes) -> bytes:
    return _QUOTED_PAIR.sub(rb"\1", text[1:].removesuffix(b'"')) if text.startswith(b'"') else text


def _spell_addresses(value: bytes) -> bytes:
    """Eight-bit names and comments as encoded words, eight-bit domains as A-labels; local parts stay."""
    spelt: list[bytes] = []
    phrase: list[bytes] = []
    comment: list[bytes] = []
    depth = 0
    for token in _TOKEN.findall(value):
        if depth or token == b"(":
            depth += {b"(": 1, b")": -1}.get(token, 0)
            comment.append(token)
            if depth == 0:
                spelt.append(_spell_phrase(phrase) + _spell_comment(b"".join(comment)))
                phrase, comment = [], []
        elif token in (b",", b":", b";") or token.startswith(b"<"):
            spelt += [_spell_phrase(phrase), _spell_domain(token)]
            phrase = []
        else:
            phrase.append(token)
    return b"".join([*spelt, _spell_phrase(phrase), *comment])


def _spell_phrase(tokens: list[bytes]) -> bytes:
    text = b"".join(tokens)
    if not _EIGHT_BIT.search(text):
        return text
    if b"@" in text and not any(token.startswith(b'"') for token in tokens):
        return _spell_domain(text)
    words = b"".join(_unquoted(token) for token in tokens)
    stripped = words.strip(b" \t")
    start = len(words) - len(words.lstrip(b" \t"))
    return (words[:start] or b" ") + encoded_words(stripped) + b" "


def _spell_comment(comment: bytes) -> bytes:
    if not _EIGHT_BIT.search(comment):
        return comment
    return b"(" + encoded_words(_QUOTED_PAIR.sub(rb"\1", comment[1:-1])) + b")"


def _spell_domain(address: bytes) -> bytes:
    local, at, rest = address.rpartition(b"@")
    domain = rest.rstrip(b"> \t")
    if not at or not _EIGHT_BIT.search(domain):
        return address
    try:
        return local + at + canonical_domain(domain.decode()).encode() + rest[len(domain) :]
    except (UnicodeDecodeError, MalformedAddress):
        return address


def _spaced(value: bytes) -> bytes:
    """With white space after each comma between addresses, so that there is somewhere to fold."""
    return b"".join(token + b" " if token == b"," else token for token in _TOKEN.findall(value))
