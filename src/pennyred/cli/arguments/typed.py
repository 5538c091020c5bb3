"""Types of arguments for click: they check addresses, domains and texts before the command runs.

The command gets the text as it was typed. Each function raises `NotWhatWasExpected`.
"""

from collections.abc import Callable

import click

from pennyred.postage.address import canonical_domain, canonical_recipient, canonical_sender
from pennyred.postage.errors import MalformedAddress

SHOWN_CHARACTERS_MAX = 100
LINE_CHARACTERS_MAX = 200
"""The longest text that is stored as it was typed, or searched for."""
TEXT_CHARACTERS_MAX = 2000
"""The longest text of any other kind."""


class NotWhatWasExpected(click.BadParameter):
    """What was typed is not what the argument expects."""

    reason = "malformed"


def address(text: str) -> str:
    """An e-mail address."""
    return _read(text, canonical_recipient, "an address like bob@example.org")


def own_address(text: str) -> str:
    """An e-mail address that an account may have: one with a domain."""
    return _read(text, canonical_sender, "an address like ann@sender.example")


def domain(text: str) -> str:
    """A domain, or an empty text, which means none."""
    return text and _read(text, canonical_domain, "a domain like example.org")


def name(text: str) -> str:
    """An address, a domain, or `everybody`, which has the form of a domain."""
    reader: Callable[[str], object] = canonical_recipient if "@" in text else canonical_domain
    return _read(text, reader, "an address like bob@example.org, or a domain")


def sender(text: str) -> str:
    """An envelope sender: an address, or an empty text for a bounce."""
    return text and _read(text, canonical_recipient, "an address like ann@sender.example, or '' for a bounce")


def line(text: str) -> str:
    """A text that is stored or searched for: printable, as databases differ in which other characters they take."""
    return _printable(text, LINE_CHARACTERS_MAX)


def plain(text: str) -> str:
    """A text of any other kind, which the command itself interprets: printable characters only."""
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
