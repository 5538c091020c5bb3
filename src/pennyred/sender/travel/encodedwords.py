"""Encoded words (RFC 2047): eight-bit text of a header written in ASCII, in the right charset."""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterable
from itertools import groupby, pairwise
from typing import NamedTuple

from pennyred.postage.errors import MalformedLetter

WORD_OCTETS_MAX = 900
"""The longest word that is left as it is: it must fit on a line, which may have 998 octets."""
_ENCODED_OCTETS_MAX = 75
"""The longest encoded word (RFC 2047 section 2)."""
FALLBACK = "windows-1252"

Assume = Callable[[bytes], str]
"""A function that says in which charset some raw eight-bit octets are."""

EIGHT_BIT = re.compile(rb"[\x80-\xff]")
ENCODED_WORD = re.compile(rb"=\?([!->@-~]+)\?([bBqQ])\?([!->@-~]*)\?=")
_RAW_Q_WORD = re.compile(rb"(=\?[!->@-~]+\?[qQ]\?)([^?]*)(\?=)")
_C1 = re.compile(rb"[\x80-\x9f]")
_KNOWN = re.compile(
    r"iso-8859-[0-9]{1,2}|windows-[0-9]{3,4}|koi8-[ru]|gb(?:2312|k|18030)|big5(?:-hkscs)?|euc-(?:jp|kr)|shift_jis"
    r"|ks_c_5601-1987|tis-620|macintosh|ibm[0-9]{3,5}|cp[0-9]{3,5}",
    re.IGNORECASE,
)
"""Charsets used in mail that have eight bits and include ASCII."""
_MARKS = (b"@", b"[", b"\\", b"]")
"""Octets with a meaning in a header's grammar. In Shift_JIS, Big5 and GBK the second octet of a character may look like
one of them."""
_WIDER = {"iso-8859-1": "windows-1252", "iso-8859-9": "windows-1254", "gb2312": "gbk", "shift_jis": "windows-31j"}
"""Charsets that programs name, and the larger one they mean if the text does not fit (WHATWG Encoding Standard 4.2)."""


def assumed_charset(octets: bytes, letters: str) -> str:
    """The charset in which mail programs read raw eight-bit octets of a header.

    It is UTF-8 if they are valid UTF-8, else the letter's own charset (`letters`, as in its Content-Type; may be empty)
    if they are valid in that, else `FALLBACK`.
    """
    if _holds(octets, "utf-8"):
        return "utf-8"
    if not _KNOWN.fullmatch(letters):
        return FALLBACK
    wider = _WIDER.get(letters.lower(), "")
    if wider.startswith("windows-125") and _C1.search(octets):
        return wider
    return next((name for name in (letters, wider) if name and _holds(octets, name)), FALLBACK)


def always(charset: str) -> Assume:
    """An `Assume` that always answers this charset: all words of a name, or of a text, have the same."""
    return lambda _: charset


def with_marks_apart(octets: bytes, charset: str) -> bytes:
    """The text in UTF-8, if a character of this charset contains an octet that looks like a mark; else unchanged."""
    try:
        plain = octets.decode(charset).encode()
    except (LookupError, ValueError):
        return octets
    return plain if any(octets.count(mark) != plain.count(mark) for mark in _MARKS) else octets


def with_words_in(charset: str, spelt: bytes) -> bytes:
    """The value with its UTF-8 base64 words rewritten in another charset, where that charset has the characters."""

    def anew(found: re.Match[bytes]) -> bytes:
        if found[1].lower() != b"utf-8" or found[2] not in b"bB":
            return found[0]
        try:
            return encoded_words(_decoded(found).decode().encode(charset), charset)
        except (LookupError, ValueError):
            return found[0]

    return ENCODED_WORD.sub(anew, spelt)


def encoded_words(octets: bytes, charset: str) -> bytes:
    """Octets as encoded words with single spaces between them; a reader joins them to the same octets."""
    name = charset.encode("ascii")
    pieces = _characters_together(octets, charset, (_ENCODED_OCTETS_MAX - 7 - len(name)) // 4 * 3)
    return b" ".join(b"=?%s?b?%s?=" % (name, base64.b64encode(piece)) for piece in pieces)


class Word(NamedTuple):
    """A word of a text or of a name."""

    space: bytes
    """The white space before it."""
    raw: bytes
    """The word as it is written."""
    text: bytes
    """Its meaning: the word without quotes and backslashes."""

    @property
    def is_encoded(self) -> bool:
        """Whether it is already an encoded word."""
        return ENCODED_WORD.fullmatch(self.raw) is not None

    @property
    def must_be_encoded(self) -> bool:
        """Whether it cannot travel as it is: it has eight-bit octets, or is too long."""
        return EIGHT_BIT.search(self.raw) is not None or len(self.raw) > WORD_OCTETS_MAX


def spell_words(words: Iterable[Word], assume: Assume) -> bytes:
    """Join the words again; those that cannot travel become encoded words, the others stay as they are.

    A reader drops the white space between two encoded words, so that space goes into the new word. Some readers do not
    drop it in a name. So if both are UTF-8, old encoded words beside a new one become part of it.
    """
    chains = [list(chain) for _, chain in groupby(words, lambda word: word.must_be_encoded or word.is_encoded)]
    runs: list[list[Word]] = []
    for word in (word for chain in chains for word in _in_one(chain, assume)):
        if runs and word.must_be_encoded and runs[-1][-1].must_be_encoded:
            runs[-1].append(word)
        else:
            runs.append([word])
    spelt: list[bytes] = []
    for before, run, after in zip([None, *runs], runs, [*runs[1:], None], strict=False):
        spelt.append(run[0].space)
        if not run[0].must_be_encoded:
            spelt.append(run[0].raw)
            continue
        octets = run[0].text + b"".join(word.space + word.text for word in run[1:])
        if before and before[-1].is_encoded:
            octets = run[0].space + octets
        if after and after[0].is_encoded:
            octets += after[0].space
        spelt.append(_encoded_once(octets, assume))
    return b"".join(spelt)


def _in_one(chain: list[Word], assume: Assume) -> list[Word]:
    """Make one word of encoded words and words to be encoded that follow each other, if all of them are UTF-8."""
    encoded = [word for word in chain if word.is_encoded and not word.must_be_encoded]
    raw = b"".join(word.raw for word in chain if word not in encoded)
    if not encoded or not raw or assume(raw) != "utf-8":
        return chain
    text = b""
    for before, word in zip([None, *chain], chain, strict=False):
        said = decoded_words(word.raw) if word in encoded else None
        if word in encoded and said is None:
            return chain
        is_between = before in encoded and word in encoded
        text += (b"" if is_between or before is None else word.space) + (word.text if said is None else said.encode())
    return [Word(chain[0].space, raw, text)]


def with_whole_words(value: bytes) -> bytes:
    """Escape raw eight-bit octets inside encoded words; some programs write such words."""

    def mend(found: re.Match[bytes]) -> bytes:
        start, text, end = found.groups()
        if not EIGHT_BIT.search(text):
            return found[0]
        return start + EIGHT_BIT.sub(lambda octet: b"=%02X" % octet[0][0], text.replace(b" ", b"_")) + end

    return _RAW_Q_WORD.sub(mend, value)


def decoded_words(value: bytes) -> str | None:
    """The text of a value that has encoded words in it, raw octets read as UTF-8; None if it cannot be decoded."""
    said: list[str] = []
    try:
        for text, found in _pieces(value):
            said.append(text.decode())
            if found:
                said.append(_decoded(found).decode(_charset(found)))
    except (LookupError, ValueError):
        return None
    return "".join(said)


def _pieces(value: bytes) -> list[tuple[bytes, re.Match[bytes] | None]]:
    """Each encoded word with the text before it, then the text after the last; white space between two is dropped."""
    found = list(ENCODED_WORD.finditer(value))
    starts = [0, *(one.end() for one in found)]
    pieces = [(value[start : one.start()], one) for start, one in zip(starts, found, strict=False)]
    pieces = [(b"" if at and not text.strip(b" \t") else text, one) for at, (text, one) in enumerate(pieces)]
    return [*pieces, (value[starts[-1] :], None)]


def _encoded_once(octets: bytes, assume: Assume) -> bytes:
    """Octets as encoded words, without encoding a second time what is an encoded word already."""
    if len(pieces := _pieces(octets)) > 1 and assume(octets) == "utf-8" and (text := decoded_words(octets)):
        return encoded_words(text.encode(), "utf-8")
    spelt: list[bytes] = []
    for raw, found in pieces:
        if raw:
            spelt.append(encoded_words(raw, assume(raw)))
        if found:
            spelt.append(found[0] if len(found[0]) <= WORD_OCTETS_MAX else _cut(found))
    return b" ".join(spelt)


def _cut(word: re.Match[bytes]) -> bytes:
    """Cut an encoded word that is too long into several; raises `MalformedLetter` if it cannot be read."""
    try:
        return encoded_words(_decoded(word), _charset(word))
    except (LookupError, ValueError) as error:
        raise MalformedLetter("an encoded word is too long, and cannot be read to be cut") from error


def _charset(word: re.Match[bytes]) -> str:
    """The charset a word names, without a language (RFC 2231 section 5). Raises LookupError if it is not known here."""
    name = word[1].partition(b"*")[0].decode("ascii")
    if name.lower() not in {"utf-8", "us-ascii"} and not _KNOWN.fullmatch(name):
        raise LookupError(name)
    return name


def _decoded(word: re.Match[bytes]) -> bytes:
    if word[2] in b"bB":
        return base64.b64decode(word[3] + b"=" * (-len(word[3]) % 4), validate=True)
    return binascii.a2b_qp(word[3], header=True)


def _characters_together(octets: bytes, charset: str, size: int) -> list[bytes]:
    """Cut octets into pieces of at most `size` that end between characters (RFC 2047 section 5)."""
    decoder = codecs.getincrementaldecoder(charset)("replace")
    ends = [0]
    for at, octet in enumerate(octets, 1):
        decoder.decode(bytes((octet,)))
        if not decoder.getstate()[0]:
            ends.append(at)
    if ends[-1] != len(octets):
        ends.append(len(octets))
    cuts = [0]
    for end, following in pairwise([*ends, len(octets) + size + 1]):
        if following - cuts[-1] > size and end > cuts[-1]:
            cuts.append(end)
    return [octets[start:end] for start, end in pairwise(cuts)]


def _holds(octets: bytes, charset: str) -> bool:
    try:
        return b"az09".decode(charset) == "az09" and bool(octets.decode(charset) or not octets)
    except (LookupError, ValueError):
        return False
