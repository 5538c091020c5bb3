"""Frank a letter: find its recipients, make one copy for each domain, put a stamp for each recipient on top.

Whoever holds a letter can confirm a guess of its stamps' recipients, so a copy holds the stamps of its own domain only,
and a Bcc recipient gets a copy alone.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.addressfields import read_addresses
from pennyred.postage.canonical import body_hash
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection, parse_header, split_letter
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_stamp
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import LIFETIME_SECONDS_MAX
from pennyred.services.borne import paid_already, without_others

RECIPIENTS_MAX = 1000
"""Of one letter; each costs a stamp."""
FIELD_BYTES_MAX = 200_000
"""Of all address fields of one name."""
_BLIND = (b"bcc", b"resent-bcc")


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
    visible = distinct([*_addresses(header, b"to"), *_addresses(header, b"cc")])
    return apart(visible, [*visible, *_addresses(header, b"bcc")])


def apart(visible: Sequence[str], addresses: Sequence[str]) -> Recipients:
    """The addresses, each once, told apart: those that the letter names for all to see, and the others, as if Bcc."""
    known = {canonical_recipient(address) for address in visible}
    once = distinct(addresses)
    if len(once) > RECIPIENTS_MAX:
        raise MalformedAddress(f"more than {RECIPIENTS_MAX} recipients")
    seen = tuple(address for address in once if canonical_recipient(address) in known)
    return Recipients(seen, tuple(address for address in once if canonical_recipient(address) not in known))


def distinct(addresses: Sequence[str]) -> list[str]:
    """The addresses, each once: the same mailbox in another spelling is the same."""
    once: dict[Recipient, str] = {}
    for address in addresses:
        once.setdefault(canonical_recipient(address), address)
    return list(once.values())


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
    """One copy for each recipient domain and one for each Bcc recipient; none has a Bcc field or another's stamps.

    Whoever is in both gets the visible copy only: two would be paid twice.
    """
    header, _ = split_letter(letter)
    found = apart(visible, [*visible, *bcc])
    kept = [field for field in parse_header(header).fields if field.key not in _BLIND]
    rest = letter[len(header) :]
    by_domain: dict[str, list[str]] = {}
    for address in found.visible:
        by_domain.setdefault(canonical_recipient(address).domain, []).append(address)
    groups = [*by_domain.values(), *([address] for address in found.bcc)]
    return [Copy(tuple(group), without_others(kept, _canonical(group)) + rest) for group in groups]


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

    A recipient for whom this account has stamped this very letter gets no second stamp: that would pay twice. Raises
    `MalformedLetter` where it has not exactly one From, and `MalformedAddress`.
    """
    head, body = split_letter(letter)
    header, digest = parse_header(head), body_hash(body)
    canonical = _canonical(recipients)
    paid = paid_already(header, digest, canonical, licence, now=now, price=price)
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
        for recipient in canonical
        if recipient not in paid
    ]
    return b"".join(stamps) + letter


def _canonical(recipients: Sequence[str]) -> list[Recipient]:
    return list(dict.fromkeys(canonical_recipient(address) for address in recipients))


def _addresses(header: HeaderSection, key: bytes) -> list[str]:
    """The addresses of the fields of one name, in order, out of groups too; raises `MalformedAddress`."""
    fields = header.named(key)
    if sum(len(field.raw) for field in fields) > FIELD_BYTES_MAX:
        raise MalformedAddress(f"the {key.decode().capitalize()} field has more than {FIELD_BYTES_MAX:,} bytes")
    every = itertools.chain.from_iterable(map(read_addresses, fields))
    addresses = list(itertools.islice(every, RECIPIENTS_MAX + 1))
    if len(addresses) > RECIPIENTS_MAX:
        raise MalformedAddress(f"more than {RECIPIENTS_MAX} recipients")
    return addresses
