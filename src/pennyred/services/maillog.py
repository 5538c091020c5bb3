"""Who has written to whom, out of a mail log: of Postfix or of Exim; or out of a list of pairs.

Pure: lines in, pairs out. What a line is not understood to say is passed over, since logs are full of other things.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress

LINE_CHARACTERS_MAX = 20_000
LETTERS_REMEMBERED_MAX = 100_000
"""Whose sender is known and whose recipients may still come."""

_PREFIX = r"^(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S{8,30}) \S{1,255} postfix[^\s\[]{0,60}/"
"""Time, host and program: what strangers write into a log (Message-IDs, replies) stands further on in its lines."""
_POSTFIX_FROM = re.compile(_PREFIX + r"qmgr\[\d+\]: ([0-9A-Za-z]{5,40}): from=<([^>]{1,320})>,")
_POSTFIX_TO = re.compile(
    _PREFIX
    + r"(?:smtp|relay|lmtp)\[\d+\]: ([0-9A-Za-z]{5,40}): to=<([^>]{1,320})>, (?:[a-z_]+=[^,()]*, ){0,12}status=sent "
)
_EXIM = re.compile(
    r"^\S+ \S+ (?:\[\d+\] )?([0-9A-Za-z]{6,11}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}) (<=|=>|->) ([^\s]{1,320})(.*)"
)
_IN_ANGLES = re.compile(r"<([^<>]{1,320})>")
_ISO_DAY = re.compile(r"^(\d{4})-(\d\d)-(\d\d)[T ]")
_SYSLOG_DAY = re.compile(r"^([A-Z][a-z]{2}) +(\d{1,2}) ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Wrote:
    """One of ours has written to somebody."""

    user: Recipient
    other: Recipient
    day: int
    """Since 1970-01-01, as the log has it."""


@dataclass(slots=True)
class MailLog:
    """Reads a log line by line."""

    domains: frozenset[str]
    """Whose users are ours."""
    today: date
    _senders: OrderedDict[str, Recipient] = field(default_factory=OrderedDict)

    def read(self, line: str) -> Wrote | None:
        """What a line tells, with what was read before it."""
        line = line[:LINE_CHARACTERS_MAX]
        if found := _POSTFIX_FROM.match(line):
            self._remember(found[1], found[2])
        elif found := _POSTFIX_TO.match(line):
            return self._wrote(found[1], found[2], line)
        elif found := _EXIM.match(line):
            letter, arrow, address, rest = found.groups()
            if arrow == "<=":
                self._remember(letter, address)
            elif " T=" in rest:
                angles = _IN_ANGLES.search(rest)
                return self._wrote(letter, angles[1] if angles else address, line)
        return None

    def _remember(self, letter: str, address: str) -> None:
        sender = _mailbox(address)
        if sender is None or sender.domain not in self.domains:
            return
        self._senders[letter] = sender
        self._senders.move_to_end(letter)
        if len(self._senders) > LETTERS_REMEMBERED_MAX:
            self._senders.popitem(last=False)

    def _wrote(self, letter: str, address: str, line: str) -> Wrote | None:
        user, other = self._senders.get(letter), _mailbox(address)
        if user is None or other is None or other.domain in self.domains:
            return None
        return Wrote(user, other, (_day(line, self.today) - _EPOCH).days)


def read_pair(line: str, user: Recipient | None, day: int) -> Wrote | None:
    """A line of a list: `user correspondent`, a comma or white space between; the second alone where `user` is given.

    Empty lines and comments (`#`) are None; raises MalformedAddress.
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
    """All lines of a list; raises MalformedAddress with the line's number."""
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


def _day(line: str, today: date) -> date:
    """When a line was written: its own day where it tells one, which is never after today."""
    try:
        if found := _ISO_DAY.match(line):
            return min(today, date(int(found[1]), int(found[2]), int(found[3])))
        if (found := _SYSLOG_DAY.match(line)) and found[1] in _MONTHS:
            # No year: the last such day.
            day = date(today.year, _MONTHS.index(found[1]) + 1, int(found[2]))
            return day if day <= today else day.replace(year=today.year - 1)
    except ValueError:  # 31 February, say
        return today
    return today
