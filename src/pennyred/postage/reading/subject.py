"""The text of a Subject, and what is left of it without the tag that a gateway has put in front (STAMP.md 5.5).

Servers spell a Subject anew: folded, in other encoded words, in UTF-8. So its text is compared, not its octets.
"""

import base64
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

TAG_CHARACTERS_MAX = 16
"""Longer tags, or two, would be room for an advertisement."""

SUBJECT_BYTES_MAX = 8_192
"""How long the Subject fields may be together that are read: the normal form of a run of marks takes a time that grows
with the square of its length. (Half a megabyte of them once took forty seconds.)"""

CHARSETS = frozenset(
    (
        "us-ascii", "utf-8", "koi8-r", "koi8-u",
        *(f"iso-8859-{part}" for part in range(1, 17) if part != 12),
        *(f"windows-{page}" for page in range(1250, 1259)),
    )
)  # fmt: skip
"""The charsets that are decoded: those with one table that all implementations share (RFC 1345, IANA)."""

_PATTERN = r"=\?[A-Za-z0-9-]{1,40}\?[BbQq]\?[!->@-~]*\?="
"""An encoded word (RFC 2047 section 2). With a language (RFC 2231 section 5) it is none here: many readers show it
as it is written, and the language would be room for a thief's words."""
_WORDS = re.compile(rf"{_PATTERN}(?:\s+{_PATTERN})*")
_WORD = re.compile(r"=\?([^?]+)\?(.)\?([^?]*)\?=")
_Q_TEXT = re.compile(rb"(?:[^=]|=[0-9A-Fa-f]{2})*")
_Q_OCTET = re.compile(rb"=(..)")
_TAG = re.compile(rf"\[([^\[\]]{{1,{TAG_CHARACTERS_MAX}}})\] ?")


def subject_text(values: Sequence[bytes]) -> str | None:
    """What a reader sees of the Subject fields, given their values: decoded, in Unicode form NFC, with single blanks.

    What cannot be decoded stays as it is written. Each field is a line of the result; without a field it is empty. None
    where they are too long.
    """
    if sum(map(len, values)) > SUBJECT_BYTES_MAX:
        return None
    return "\n".join(map(_text, values))


def without_tag(text: str, tags: Collection[str] = ()) -> Iterator[str]:
    """The texts that `text` may have been before a gateway put a tag in front of it; at most one for each way.

    A tag is `[`, at most 16 letters and digits of any script, blanks and dots at a word's end, `]`; or one of `tags`,
    which the gate's administrator has named, spelled as `subject_text` would.
    """
    found = _TAG.match(text)
    if found and _is_plain(found[1]):
        yield text[found.end() :]
    for tag in tags:
        if tag and text.startswith(tag):
            yield text[len(tag) :].removeprefix(" ")


def _is_plain(tag: str) -> bool:
    """Whether these are words; a dot inside a word could make a web address of it."""
    is_words = all(one in " ." or unicodedata.category(one)[0] in "LM" or one.isdecimal() for one in tag)
    return is_words and all("." not in word.rstrip(".") for word in tag.split(" "))


def _text(value: bytes) -> str:
    if value.isascii():
        text = value.decode("ascii")
        if "=?" not in text:
            return " ".join(text.split())
    else:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
    return " ".join(unicodedata.normalize("NFC", _WORDS.sub(_decoded, text)).split())


def _decoded(words: re.Match[str]) -> str:
    """The text of encoded words that follow each other; the white space between them does not count (RFC 2047 6.2).

    Neighbours in one charset are decoded together: programs cut characters in two.
    """
    out, was_decoded = "", True
    for number, (charset, some) in enumerate(groupby(_WORD.finditer(words[0]), lambda word: word[1].lower())):
        run = list(some)
        text = _decode(charset, run)
        is_apart = number > 0 and (text is None or not was_decoded)
        out += " " * is_apart + (" ".join(word[0] for word in run) if text is None else text)
        was_decoded = text is not None
    return out


def _decode(charset: str, words: Sequence[re.Match[str]]) -> str | None:
    """The text of words in one charset; None where it is not known here, or one of them is not spelled right."""
    if charset not in CHARSETS:
        return None
    try:
        return b"".join(_octets(word[2], word[3].encode("ascii")) for word in words).decode(charset)
    except ValueError:  # also what the codecs and base64 raise
        return None


def _octets(encoding: str, text: bytes) -> bytes:
    """The octets of one encoded word; raises ValueError where it is not spelled as its encoding asks."""
    if encoding in "Bb":
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if not _Q_TEXT.fullmatch(text):
        raise ValueError("not the Q encoding")
    return _Q_OCTET.sub(lambda found: bytes.fromhex(found[1].decode()), text.replace(b"_", b" "))
