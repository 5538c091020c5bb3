"""Write names, comments and free text in ASCII, with encoded words.

These are the three places of a header where an encoded word may stand (RFC 2047 section 5); each has its own rules.
"""

import re
from collections.abc import Callable, Iterable

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.reading.structured import Token, joined, segments, tokens, unquoted
from pennyred.sender.travel.encodedwords import (
    EIGHT_BIT,
    WORD_OCTETS_MAX,
    Assume,
    Word,
    always,
    spell_words,
    with_whole_words,
)

_WORDS = re.compile(rb"([ \t]*)([^ \t]+)")
_WHOLE_QUOTE = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_IN_COMMENT = re.compile(rb"[()]|[ \t]+|(?:\\.|[^\\() \t])+|\\", re.DOTALL)


def spell_text(value: bytes, assume: Assume) -> bytes:
    """Unstructured text with its eight-bit words, and the white space between them, as encoded words."""
    value = with_whole_words(value)
    text = value.rstrip(b" \t")
    charset = assume(text)
    words = (Word(space, word, word) for space, word in _WORDS.findall(text))
    return spell_words(words, always(charset)) + value[len(text) :]


def spell_comments(value: bytes, assume: Assume) -> bytes:
    """A structured value with eight-bit text in its comments as encoded words; all else stays as it is."""
    raws = (spell_comment(token.raw, assume) if token.kind == "comment" else token.raw for token in tokens(value))
    return b"".join(raws)


def spell_comment(comment: bytes, assume: Assume) -> bytes:
    """One comment, with its parentheses, in ASCII; comments inside it stay in their places."""
    if not EIGHT_BIT.search(comment):
        return comment
    charset = assume(comment)
    spelt: list[bytes] = []
    words: list[Word] = []
    space = b""
    for piece in _IN_COMMENT.findall(with_whole_words(comment)):
        if piece in {b"(", b")"}:
            spelt += [spell_words(words, always(charset)), space, piece]
            words, space = [], b""
        elif piece.strip(b" \t"):
            words.append(Word(space, piece, unquoted(piece)))
            space = b""
        else:
            space = piece
    return b"".join(spelt)


def spell_addresses(value: bytes, assume: Assume, spell_address: Callable[[bytes], bytes]) -> bytes:
    """Addresses, groups or lists of names with encoded words in names and comments.

    `spell_address` rewrites the addresses themselves. Raises `MalformedLetter`.
    """
    spelt: list[bytes] = []
    for pieces, mark in segments(with_whole_words(value)):
        # Programs show everything before the last angle brackets as a name, even an address.
        last = next((token for token in reversed(pieces) if token.kind == "angle"), None)
        spelt += [_spell_segment(pieces, mark, assume, [last] if last else [], spell_address), mark]
    return b"".join(spelt)


def spell_ids(value: bytes, assume: Assume) -> bytes:
    """Message ids, unchanged, with encoded words in comments and in the phrases that old letters have between them."""
    spelt: list[bytes] = []
    for pieces, mark in segments(with_whole_words(value)):
        angles = [token for token in pieces if token.kind == "angle"]
        spelt += [_spell_segment(pieces, mark, assume, angles, lambda identifier: identifier), mark]
    return b"".join(spelt)


def _spell_segment(
    pieces: list[Token], mark: bytes, assume: Assume, angles: list[Token], spell_address: Callable[[bytes], bytes]
) -> bytes:
    """The text between two marks in ASCII; one charset is assumed for all of it."""
    raw = joined(pieces)
    if not EIGHT_BIT.search(raw) and len(raw) <= WORD_OCTETS_MAX:
        return raw
    if any(token.kind == "quoted" and not _WHOLE_QUOTE.fullmatch(token.raw) for token in pieces):
        # Everything after it, also the address, would be taken for a name.
        raise MalformedLetter("it has a quotation mark that never ends")
    spelt = _spell_mailbox(pieces, always(assume(raw)), angles, spell_address)
    return (b" " if spelt.startswith(b"=?") else b"") + spelt + (b" " if spelt.endswith(b"?=") and mark else b"")


def _spell_mailbox(
    pieces: list[Token], assume: Assume, angles: list[Token], spell_address: Callable[[bytes], bytes]
) -> bytes:
    """One address with its name and comments, or a group's name. `angles` holds the address, if it is in brackets."""
    spelt: list[bytes] = []
    words: list[Word] = []
    space = b""

    def add(raw: bytes) -> None:
        """Add something that is no word, after the words so far; an encoded word gets white space on both sides."""
        nonlocal words, space
        phrase = spell_words(words, assume)
        if phrase.startswith(b"=?") and spelt:
            phrase = b" " + phrase
        spelt.extend([phrase, space or (b" " if phrase.endswith(b"?=") and raw else b""), raw])
        words, space = [], b""

    addresses = {id(token) for token in angles}
    for cluster in _clusters(pieces):
        kind, raw = cluster[0].kind, joined(cluster)
        if kind == "space":
            space = raw
        elif kind == "comment":
            add(spell_comment(raw, assume))
        elif id(cluster[0]) in addresses:
            add(spell_address(raw))
        elif not angles and any(token.kind == "text" and b"@" in token.raw for token in cluster):
            if raw.startswith(b"@") or raw.endswith(b"@"):
                raise MalformedLetter("it has an address with white space in it")
            add(spell_address(raw))
        else:
            words.append(Word(space, raw, b"".join(unquoted(token.raw) for token in cluster)))
            space = b""
    add(b"")
    return b"".join(spelt)


def _clusters(pieces: Iterable[Token]) -> list[list[Token]]:
    """Group tokens that have no white space between them; a comment or angle brackets always stand alone."""
    clusters: list[list[Token]] = []
    was_alone = True
    for token in pieces:
        is_alone = token.kind in {"space", "comment", "angle"}
        if is_alone or was_alone:
            clusters.append([token])
        else:
            clusters[-1].append(token)
        was_alone = is_alone
    return clusters
