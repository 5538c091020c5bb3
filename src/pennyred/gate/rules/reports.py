"""What comes from `<>`: reports on letters (RFC 3464, and what was written before it) and automatic answers (RFC 3834).

Anybody can send from `<>`, so what such a letter looks like says little. What it names says more: whoever knows the
Message-ID of a letter of ours has had that letter, or the report on it.
"""

import quopri
import re
from dataclasses import dataclass

from pennyred.gate.rules.claims import author_of
from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field, HeaderSection

BEGINNING_BYTES = 64 * 1024
"""Of the body that is read: the text of a report, its fields and the header of the letter it is about stand there."""
RETURNED_MAX = 20
REPORTED_MAX = 5
_FIELDS_READ_MAX = 5
_VALUE_OCTETS_MAX = 1_000

_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_RETURNED = re.compile(
    rb"^[ \t>|]{0,20}(?:original-|x-)?message-id[ \t]{0,20}:(?:[ \t]|\r?\n[ \t]){0,20}<([^<>\s]{1,998})>",
    re.IGNORECASE | re.MULTILINE,
)
_REPORTED = re.compile(
    rb"^(?:original|final)-recipient[ \t]{0,20}:[ \t]{0,20}rfc822[ \t]{0,20};[ \t]{0,20}<?([^\s<>;]{1,320})",
    re.IGNORECASE | re.MULTILINE,
)
_REPORT = re.compile(rb"\s*(?:multipart/report|message/(?:delivery-status|disposition-notification))\b", re.IGNORECASE)
REPORTERS = frozenset(
    ("mailer-daemon", "mail-daemon", "maildaemon", "postmaster", "mdaemon", "mailerdaemon", "mail-delivery-subsystem")
)
"""Who writes reports without a form: qmail, Exim and sendmail of old, and many since. No user has such a name."""
_ANSWERS = frozenset(
    (
        *(b"x-failed-recipients", b"x-auto-response-suppress", b"x-autoreply", b"x-autorespond", b"x-autoresponder"),
        *(b"x-vacation", b"x-auto-reply-from", b"x-mailer-daemon"),
    )
)
"""Fields that programs write into reports and answers: Exim's, Microsoft's, and those of vacation programs."""
_PRECEDENCES = (b"auto_reply", b"bulk", b"junk")
"""vacation(1) and its like say one of these."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a report names."""

    letters: tuple[bytes, ...] = ()
    """Message-IDs, without angle brackets, each once."""
    recipients: tuple[Recipient, ...] = ()
    """Whom the letter it is about was for, as its sender or the last server wrote them (RFC 3464 section 2.3)."""


def looks_automatic(header: HeaderSection) -> bool:
    """Whether a letter from `<>` looks like what comes from there: a report, a receipt, an answer that a program gives.

    It does not say that it is one. An ordinary letter, with somebody's name in From, looks like none.
    """
    if header.has_any(_ANSWERS):
        return True
    if any(_REPORT.match(value) for value in _values(header, b"content-type")):
        return True
    if any(_first_word(value) not in (b"no", b"") for value in _values(header, b"auto-submitted")):
        return True
    if any(value.strip().lower() in _PRECEDENCES for value in _values(header, b"precedence")):
        return True
    author = author_of(header)
    return author is not None and author.local in REPORTERS


def read_report(beginning: bytes) -> Named:
    """What the beginning of a body names, in time that grows with its length alone; what cannot be read is not named.

    Read as it stands, and as quoted-printable: some servers write their report so, fields of the letter included.
    """
    octets = beginning[:BEGINNING_BYTES]
    texts = [octets, quopri.decodestring(octets)] if b"=" in octets else [octets]
    letters = dict.fromkeys(found for text in texts for found in _RETURNED.findall(text)[:RETURNED_MAX])
    reported = dict.fromkeys(found for text in texts for found in _REPORTED.findall(text)[:REPORTED_MAX])
    recipients = [one for found in reported if (one := _recipient(found)) is not None]
    return Named(tuple(letters)[:RETURNED_MAX], tuple(dict.fromkeys(recipients))[:REPORTED_MAX])


def _values(header: HeaderSection, name: bytes) -> list[bytes]:
    return [_unfolded(field) for field in header.named(name)[:_FIELDS_READ_MAX]]


def _first_word(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def _recipient(octets: bytes) -> Recipient | None:
    try:
        return canonical_recipient(octets.decode("utf-8"))
    except (MalformedAddress, UnicodeDecodeError):
        return None


def _unfolded(field: Field) -> bytes:
    return _FOLDING.sub(b"", field.value[:_VALUE_OCTETS_MAX])
