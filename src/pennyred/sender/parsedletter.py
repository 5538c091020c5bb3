"""A letter parsed once, for all the steps that prepare, copy and stamp it: its header is not read again in each."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from pennyred.postage.canonical import body_hash
from pennyred.postage.digest import SignedParts
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.minting import letter_parts


class BelowHeader:
    """What follows a letter's header section, byte for byte. All copies of a letter share it, and its one hash."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The empty line and the body; empty where the letter has no empty line."""

    @cached_property
    def body_hash(self) -> bytes:
        """The body hash, 32 bytes (STAMP.md 5.7); reckoned when it is first asked for."""
        return body_hash(self.raw[2:])


@dataclass(frozen=True, slots=True)
class ParsedLetter:
    """A letter's parsed header, and what is below it."""

    header: HeaderSection
    below: BelowHeader

    @property
    def raw(self) -> bytes:
        """The letter byte for byte; each use copies it."""
        return self.header.raw + self.below.raw

    def with_header(self, section: bytes) -> "ParsedLetter":
        """The letter with another header section, which is parsed if it differs; raises `MalformedLetter` past a limit.

        What comes out is read as its bytes would be: where bare line ends in the section move the empty line, the whole
        letter is parsed again.
        """
        if section == self.header.raw:
            return self
        is_closed = section.endswith(b"\r\n") or not section or not self.below.raw
        if is_closed and split_letter(section)[0] == section:
            return ParsedLetter(parse_header(section), self.below)
        return parse_letter(section + self.below.raw)

    def parts(self) -> SignedParts:
        """What the stamps of this letter sign; raises `MalformedLetter` where the letter cannot be stamped."""
        return letter_parts(self.header, self.below.body_hash)


def parse_letter(letter: bytes | ParsedLetter) -> ParsedLetter:
    """Parse a letter with CRLF line ends; one that is parsed stays as it is. Raises `MalformedLetter` past a limit."""
    if isinstance(letter, ParsedLetter):
        return letter
    section, _ = split_letter(letter)
    return ParsedLetter(parse_header(section), BelowHeader(letter[len(section) :]))


AnyLetter = TypeVar("AnyLetter", bytes, ParsedLetter)
"""A letter as its caller has it: whoever takes several steps hands on a `ParsedLetter`, others may give bytes."""


def as_given(given: AnyLetter, result: ParsedLetter) -> AnyLetter:
    """The result of a step in the form in which the letter was given: bytes for bytes."""
    return result.raw if isinstance(given, bytes) else result
