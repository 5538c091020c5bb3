"""Frank a letter: find its recipients, make one copy for each domain, put a stamp for each recipient on top.

Whoever holds a letter can confirm a guess of its stamps' recipients, so a copy holds the stamps of its own domain only,
and a Bcc recipient gets a copy alone (DESIGN 4 and 6).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, getaddresses

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.canonical import body_hash
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_stamp
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import LIFETIME_SECONDS_MAX

RECIPIENTS_MAX = 1000
"""Of one letter; each costs a stamp."""
_ENCODED_WORD_OR_FOLD = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom a letter names: each once, by its canonical form."""

    visible: tuple[str, ...]
    bcc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a letter, with those who get it."""

    recipients: tuple[str, ...]
    letter: bytes


def recipients_of(letter: bytes) -> Recipients:
    """Read To, Cc and Bcc; raises `MalformedAddress` for an address that is none, or for too many."""
    header = parse_header(split_letter(letter)[0])
    visible = distinct(_addresses(header, b"to", b"cc"))
    bcc = [address for address in distinct(_addresses(header, b"bcc")) if address not in visible]
    if len(visible) + len(bcc) > RECIPIENTS_MAX:
        raise MalformedAddress(f"more than {RECIPIENTS_MAX} recipients")
    return Recipients(tuple(visible), tuple(bcc))


def distinct(addresses: Sequence[str]) -> list[str]:
    """The addresses, each once: the same mailbox in another spelling is the same."""
    return list({canonical_recipient(address): address for address in reversed(addresses)}.values())[::-1]


def completed(letter: bytes, *, now: int, message_id: str) -> bytes:
    """The letter with Date and Message-ID, added on top where they are missing (RFC 6409 section 8)."""
    header = parse_header(split_letter(letter)[0])
    added = b""
    if not header.named(b"date"):
        added += b"Date: " + format_datetime(datetime.fromtimestamp(now, UTC)).encode() + b"\r\n"
    if not header.named(b"message-id"):
        added += b"Message-ID: " + message_id.encode() + b"\r\n"
    return added + letter


def make_copies(letter: bytes, visible: Sequence[str], bcc: Sequence[str] = ()) -> list[Copy]:
    """One copy for each recipient domain and one for each Bcc recipient; none has a Bcc field."""
    header, _ = split_letter(letter)
    kept = b"".join(field.raw for field in parse_header(header).fields if field.key != b"bcc")
    bare = kept + letter[len(header) :]
    by_domain: dict[str, list[str]] = {}
    for address in distinct(visible):
        by_domain.setdefault(canonical_recipient(address).domain, []).append(address)
    groups = [*by_domain.values(), *([address] for address in distinct(bcc))]
    return [Copy(tuple(group), bare) for group in groups]


def stamp_letter(
    letter: bytes,
    recipients: Sequence[str],
    key: SigningKey,
    licence: Licence,
    *,
    now: int,
    random_bytes: Callable[[int], bytes],
    price: int = 1,
    lifetime_seconds: int = LIFETIME_SECONDS_MAX,
) -> bytes:
    """The letter with one stamp for each distinct recipient on top, above any signature; the rest byte for byte.

    Raises `MalformedLetter` where it has not exactly one From, and `MalformedAddress`.
    """
    head, body = split_letter(letter)
    header, digest = parse_header(head), body_hash(body)
    stamps = [
        mint_stamp(
            key,
            licence,
            header,
            digest,
            recipient,
            serial=random_bytes(16),
            salt=random_bytes(16),
            now=now,
            lifetime_seconds=lifetime_seconds,
            price=price,
        ).field()
        for recipient in _canonical(recipients)
    ]
    return b"".join(stamps) + letter


def _canonical(recipients: Sequence[str]) -> list[Recipient]:
    return list(dict.fromkeys(canonical_recipient(address) for address in recipients))


def _addresses(header: HeaderSection, *keys: bytes) -> list[str]:
    """The addresses of some fields, in order; comments, display names and groups left out."""
    values = [
        _ENCODED_WORD_OR_FOLD.sub("", field.value.decode("utf-8", "surrogateescape"))
        for key in keys
        for field in header.named(key)
    ]
    found = [address for _, address in getaddresses(values)]
    if any(value.strip() for value in values) and not any(found):
        raise MalformedAddress("no address can be read in the letter's To, Cc or Bcc; name it with --to")
    return [address for address in found if address]
