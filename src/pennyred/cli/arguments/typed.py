"""What is typed where an address or a domain is expected: read before the command runs, and named when it is wrong.

Types for click; a command gets the text as it was typed. Each raises `NotWhatWasExpected`.
"""

from collections.abc import Callable

import click

from pennyred.postage.address import canonical_domain, canonical_recipient, canonical_sender
from pennyred.postage.errors import MalformedAddress

SHOWN_CHARACTERS_MAX = 100
LINE_CHARACTERS_MAX = 200
"""Of a text that is kept as it was typed."""
TEXT_CHARACTERS_MAX = 2000
"""Of any other."""


class NotWhatWasExpected(click.BadParameter):
    """What was typed cannot be read as what it should be."""

    reason = "malformed"


def address(text: str) -> str:
    """One mailbox."""
    return _read(text, canonical_recipient, "an address like bob@example.org")


def own_address(text: str) -> str:
    """One mailbox that an account may have, as an office reads it."""
    return _read(text, canonical_sender, "an address like ann@sender.example")


def domain(text: str) -> str:
    """One domain; an empty text where it may be left out."""
    return text and _read(text, canonical_domain, "a domain like example.org")


def name(text: str) -> str:
    """An address, a domain, or `everybody`, which could be a domain."""
    reader: Callable[[str], object] = canonical_recipient if "@" in text else canonical_domain
    return _read(text, reader, "an address like bob@example.org, or a domain")


def sender(text: str) -> str:
    """Of an envelope: an address, or nothing for a bounce."""
    return text and _read(text, canonical_recipient, "an address like ann@sender.example, or '' for a bounce")


def line(text: str) -> str:
    """A text that is kept, or a name that is looked for: no databases take the same of what nobody can read."""
    return _printable(text, LINE_CHARACTERS_MAX)


def plain(text: str) -> str:
    """A text of any other kind, which the command itself makes sense of: octets of another charset are none."""
    return _printable(text, TEXT_CHARACTERS_MAX)


def _printable(text: str, characters_max: int) -> str:
    if len(text) > characters_max or not text.isprintable():
        expected = f"at most {characters_max} characters in one line, none that cannot be printed"
        raise NotWhatWasExpected(f"{text[:SHOWN_CHARACTERS_MAX]!r}: expected {expected}")
    return text


def _read(text: str, read: Callable[[str], object], expected: str) -> str:
    try:
        read(text)
    except MalformedAddress as error:
        raise NotWhatWasExpected(f"{text[:SHOWN_CHARACTERS_MAX]!r}: {error}, expected {expected}") from error
    return text
