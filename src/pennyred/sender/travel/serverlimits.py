"""Limits of mail servers on the way that no RFC sets: beyond them, a server cuts or refuses a letter.

They were found by sending letters through servers (tests/wire/test_submitted.py). Such a letter cannot be made shorter,
and through other servers it arrives. So the sender is told, and decides.
"""

import re
from collections.abc import Iterator

from pennyred.postage.letter import HeaderSection
from pennyred.postage.reading.texts import REPLY_NAMES
from pennyred.sender.parsedletter import ParsedLetter, parse_letter

FIELD_OCTETS_MAX = 102_400
"""Postfix's `header_size_limit`: it drops the lines of a field after so many octets."""
ADDRESS_TOKENS_MAX = 10_240
"""Postfix's `header_address_token_limit`: when it rewrites an address field, it drops everything after so many tokens.
"""
MIME_FIELD_OCTETS_MAX = 2048
"""sendmail's `MaxMimeHeaderLength`: it cuts a Content- field, also of a part, to so many octets."""
HEADER_OCTETS_MAX = 32_768
"""sendmail's `MaxHeadersLength`: it refuses a letter with a longer header."""
MESSAGE_ID_OCTETS_MAX = 39
"""iCloud's, before the `@`: it takes a letter with more, and does not deliver it (seen by Follow Up Boss in 2016)."""

_OF_ADDRESSES = (b"from", b"to", b"cc", *REPLY_NAMES)
_MESSAGE_ID = re.compile(rb"\s*<([^\s<>@]+|\"[^\"\\]*\")@[^\s<>@]+>\s*")
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*"?|\((?:[^()\\]|\\.)*\)?|\[[^\]]*\]?|[()<>\[\]:;@,.]|[^\s()<>\[\]:;@,."]+', re.DOTALL
)
_LONG_MIME_FIELD = re.compile(
    rb"^(content-[a-z-]+)[ \t]*:(?:[^\n]|\n[ \t]){%d}" % MIME_FIELD_OCTETS_MAX, re.IGNORECASE | re.MULTILINE
)


def told_limits(letter: bytes | ParsedLetter) -> Iterator[str]:
    """A sentence for the sender for each limit that the letter exceeds."""
    parsed = parse_letter(letter)
    section = parsed.header.raw
    for field in parsed.header.fields:
        name = field.key[:40].decode("ascii").capitalize()
        if len(field.raw) > FIELD_OCTETS_MAX:
            yield f"the {name} field has {len(field.raw):,} octets: Postfix drops what is beyond {FIELD_OCTETS_MAX:,}"
        elif field.key in _OF_ADDRESSES and (count := len(_TOKEN.findall(field.value))) > ADDRESS_TOKENS_MAX:
            yield (
                f"the {name} field has {count:,} words and signs: a sender's own Postfix may drop those beyond"
                f" {ADDRESS_TOKENS_MAX:,}, and the stamps are void then; write to fewer people at once, or by Bcc"
            )
    yield from _told_of_ids(parsed.header)
    if found := _LONG_MIME_FIELD.search(parsed.raw):
        yield (
            f"a {found[1].decode('ascii')} field, such as with a file's long name, has more than"
            f" {MIME_FIELD_OCTETS_MAX:,} octets, and sendmail cuts off the rest"
        )
    if len(section) > HEADER_OCTETS_MAX:
        yield f"the header has {len(section):,} octets, and sendmail takes no letter of more than {HEADER_OCTETS_MAX:,}"


def _told_of_ids(header: HeaderSection) -> Iterator[str]:
    """An id that is there is the author's: answers name it. So it is not replaced, and whoever chose it is told."""
    for field in header.named(b"message-id"):
        found = _MESSAGE_ID.fullmatch(field.value)
        if not found:
            yield "the Message-ID is not of the form <left@right>: servers of large providers put another in its place"
        elif len(found[1]) > MESSAGE_ID_OCTETS_MAX:
            yield (
                f"the Message-ID has {len(found[1])} characters before the @: iCloud was seen to lose letters with more"
                f" than {MESSAGE_ID_OCTETS_MAX}"
            )
