"""Reads who has written to whom: from a mail log of Postfix or Exim, or from a list of pairs.

It is pure: lines in, pairs out. A line that is not understood is skipped, because logs are full of other things.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pennyred.days import day_of
from pennyred.gate.maillogs import exim, postfix
from pennyred.gate.maillogs.loglines import own_day, read_line
from pennyred.gate.maillogs.secondpass import SecondPasses
from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress

LINE_CHARACTERS_MAX = 20_000
LETTERS_REMEMBERED_MAX = 100_000
"""The most letters remembered whose sender is known, and whose recipients may still come."""

_EXIM = re.compile(r"exim[\w.-]{0,40}")
_BATV = re.compile(r"prvs=(?:[0-9a-z]{10}=(?P<behind>.+)|(?P<before>[^/]+)/[0-9a-z]{10})")
"""A sender's address with a signature in it, in both forms (draft-levine-smtp-batv)."""
_SRS = re.compile(r"srs[01][=+-]")
"""A rewritten address of somebody else, whose letter was forwarded here (Sender Rewriting Scheme)."""


class Skipped(StrEnum):
    """Why a line about sent mail gives no pair."""

    OTHERS = "its sender is none of yours, or stands in no line before"
    OURSELVES = "to yourselves, or to an alias of yours"
    AGAIN = "a content filter has handed the letter in again: whom it was addressed to stands in a line before"
    UNCLEAR = "the address has more than one reading, or none"


@dataclass(frozen=True, slots=True)
class Wrote:
    """A user of this house has written to somebody."""

    user: Recipient
    other: Recipient
    day: int
    """The day of the log line, in days since 1970-01-01."""


@dataclass(slots=True)
class MailLog:
    """Reads a log line by line."""

    domains: frozenset[str]
    """The domains whose users are of this house."""
    today: date
    lines: int = 0
    """How many lines were read, without empty ones."""
    understood: int = 0
    """How many lines were of Postfix or Exim, whatever they said."""
    skipped: Counter[Skipped] = field(default_factory=Counter)
    stranger: str = ""
    """The first line that was not understood; empty if there was none."""
    _senders: OrderedDict[str, Recipient] = field(default_factory=OrderedDict)
    _passes: SecondPasses = field(default_factory=SecondPasses)

    def read(self, line: str) -> Wrote | None:
        """Read the next line; returns a pair if this line, with those before, tells one."""
        line = line[:LINE_CHARACTERS_MAX].rstrip("\r\n")
        if not line.strip():
            return None
        self.lines += 1
        found = read_line(line, self.today)
        if found is not None:
            if "/" in found.program:
                self.understood += 1
                return self._postfix(postfix.read_event(found.program, found.text), found.day)
            if not found.program or _EXIM.fullmatch(found.program):
                text = exim.first_piece(found.text)
                own, text = own_day(text, self.today) if found.program and text is not None else (None, text)
                event = None if text is None else exim.read_event(text)
                if event is not None or found.program:
                    self.understood += 1
                    return self._exim(event, own or found.day)
        self.stranger = self.stranger or line
        return None

    def _postfix(self, event: postfix.Event | None, day: date) -> Wrote | None:
        match event:
            case postfix.Came(letter, is_local):
                self._passes.came(letter, is_local=is_local)
            case postfix.Named(letter, message_id):
                self._passes.named(letter, message_id)
            case postfix.From(letter, sender):
                self._remember(letter, sender)
            case postfix.Removed(letter):
                self._senders.pop(letter, None)
                self._passes.removed(letter)
            case postfix.To(letter, _) if self._passes.is_again(letter):
                self.skipped[Skipped.AGAIN] += 1
            case postfix.To(letter, recipient):
                return self._wrote(self._senders.get(letter), recipient, day)
        return None

    def _exim(self, event: exim.Event | None, day: date) -> Wrote | None:
        match event:
            case exim.Received(letter, sender):
                self._remember(letter, sender)
            case exim.Completed(letter):
                self._senders.pop(letter, None)
            case exim.Delivered(letter, recipient, sender):
                known = self._senders.get(letter) if sender is None else self._user(sender)
                return self._wrote(known, recipient, day)
        return None

    def _remember(self, letter: str, address: str) -> None:
        self._senders.pop(letter, None)  # an id may be used again, by a letter of somebody else
        user = self._user(address)
        if user is None:
            return
        self._senders[letter] = user
        if len(self._senders) > LETTERS_REMEMBERED_MAX:
            self._senders.popitem(last=False)

    def _user(self, address: str) -> Recipient | None:
        """The user of this house that a sender address belongs to; None for all others."""
        sender = _mailbox(address)
        if sender is None or sender.domain not in self.domains or _SRS.match(sender.local):
            return None
        signed = _BATV.fullmatch(sender.local)
        return Recipient(signed["behind"] or signed["before"], sender.domain) if signed else sender

    def _wrote(self, user: Recipient | None, address: str, day: date) -> Wrote | None:
        other = _mailbox(address) if "@" in address else None
        if user is None:
            self.skipped[Skipped.OTHERS] += 1
        elif other is not None and other.domain not in self.domains:
            return Wrote(user, other, day_of(day))
        else:
            is_clear = other is not None or (bool(address) and "@" not in address)
            self.skipped[Skipped.OURSELVES if is_clear else Skipped.UNCLEAR] += 1
        return None


def read_pair(line: str, user: Recipient | None, day: int) -> Wrote | None:
    """Read a line `user correspondent`, with a comma or white space between; only the second if `user` is given.

    Returns None for empty lines and comments (`#`). Raises MalformedAddress.
    """
    words = line.partition("#")[0].replace(",", " ").replace(";", " ").split()
    if not words:
        return None
    expected = 1 if user is not None else 2
    if len(words) != expected:
        raise MalformedAddress("an address a line" if user is not None else "two addresses a line: ours, and theirs")
    other = canonical_recipient(words[-1])
    return Wrote(user or canonical_recipient(words[0]), other, day)


def read_pairs(lines: Iterator[str], user: Recipient | None, day: int) -> Iterator[Wrote]:
    """Read all lines of a list; raises MalformedAddress with the number of the line."""
    for number, line in enumerate(lines, 1):
        try:
            wrote = read_pair(line[:LINE_CHARACTERS_MAX], user, day)
        except MalformedAddress as error:
            raise MalformedAddress(f"line {number}: {error}") from None
        if wrote is not None:
            yield wrote


def _mailbox(text: str) -> Recipient | None:
    try:
        found = canonical_recipient(text)
    except MalformedAddress:
        return None
    return found if found.domain else None
