"""Frank a letter: find its recipients, make one copy for each domain, put a stamp for each recipient on top.

Whoever holds a letter can guess a recipient and check the guess against its stamps. So a copy holds only the stamps for
its own domain, and each Bcc recipient gets a separate copy.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import STAMP_FIELD, HeaderSection
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_stamp_of
from pennyred.postage.reading.addressfields import read_addresses
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import LIFETIME_SECONDS_MAX
from pennyred.sender.parsedletter import AnyLetter, ParsedLetter, as_given, parse_letter
from pennyred.sender.stamps_borne import paid_already, without_others
from pennyred.sender.travel.addressforms import settled_field

RECIPIENTS_MAX = 1000
"""How many recipients one letter may have; each costs a stamp."""
FIELD_BYTES_MAX = 200_000
"""How long all address fields with the same name may be together."""
BLIND = (b"bcc", b"resent-bcc")
"""Fields that are removed from every copy of a letter."""
_SEALS = (STAMP_FIELD.lower(), b"dkim-signature")
"""Signatures over a header: with one of these fields, the header's spelling is not changed any more."""
_NEVER_EMPTY = (b"date", b"message-id")
"""Fields that servers add where they are missing; empty ones they remove."""
_OF_ADDRESSES = (b"from", b"to", b"cc")
"""Fields that a stamp is bound to and that servers may write in another spelling."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients that a letter names, each once; two spellings with the same canonical form are one."""

    visible: tuple[str, ...]
    bcc: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a letter, and the recipients who get it."""

    recipients: tuple[str, ...]
    parsed: ParsedLetter

    @property
    def letter(self) -> bytes:
        """The copy byte for byte; made at each use, so that a thousand copies do not fill memory."""
        return self.parsed.raw


def recipients_of(letter: bytes | ParsedLetter) -> Recipients:
    """Read To, Cc, Bcc and Resent-Bcc. Raises `MalformedAddress` for something that is no address, or for too many."""
    header = parse_letter(letter).header
    visible = distinct([*_addresses(header, b"to"), *_addresses(header, b"cc")])
    return apart(visible, itertools.chain(visible, *(_addresses(header, key) for key in BLIND)))


def apart(visible: Sequence[str], addresses: Iterable[str]) -> Recipients:
    """Sort addresses, each once: those that are among the `visible` ones of the letter, and the others, as Bcc.

    Raises `MalformedAddress` for an address that is none, or for more than `RECIPIENTS_MAX`.
    """
    known = {canonical_recipient(address) for address in visible}
    once = distinct(addresses)
    if len(once) > RECIPIENTS_MAX:
        raise MalformedAddress(f"more than {RECIPIENTS_MAX} recipients")
    seen = tuple(address for address in once if canonical_recipient(address) in known)
    return Recipients(seen, tuple(address for address in once if canonical_recipient(address) not in known))


def distinct(addresses: Iterable[str]) -> list[str]:
    """The addresses without repetitions; two spellings with the same canonical form are one."""
    once: dict[Recipient, str] = {}
    for address in addresses:
        once.setdefault(canonical_recipient(address), address)
    return list(once.values())


def completed(
    letter: AnyLetter, *, now: int, message_id: str, domain: str = "", say: Callable[[str], None] = lambda _: None
) -> AnyLetter:
    """Add now what servers would add later to the header fields that a stamp is bound to (RFC 6409 section 8).

    Date and Message-ID are added on top if they are missing or empty. Unless the letter is signed or stamped already,
    it also gets a To that names nobody, if it has neither To nor Cc; `domain` (or else the domain of `message_id`) for
    addresses without one; and addresses in the spelling that servers use, see `addressforms`. `now` is seconds since
    1970 UTC. `say` is called with a sentence for each guess. Raises `MalformedAddress`.
    """
    parsed = parse_letter(letter)
    header = parsed.header
    is_sealed = any(header.named(key) for key in _SEALS)
    missing = {key for key in _NEVER_EMPTY if not any(field.value.strip() for field in header.named(key))}
    added = b""
    if b"date" in missing:
        added += b"Date: " + format_datetime(datetime.fromtimestamp(now, UTC)).encode() + b"\r\n"
    if b"message-id" in missing:
        added += b"Message-ID: " + message_id.encode() + b"\r\n"
    fields = [field for field in header.fields if field.key not in missing]
    raws = [field.raw for field in fields]
    if not is_sealed:
        fields = [field for field in fields if field.key not in _NEVER_EMPTY or field.value.strip()]
        if not header.named(b"to") and not header.named(b"cc"):
            added += b"To: undisclosed-recipients:;\r\n"
        domain = domain or message_id.rpartition("@")[2].rstrip(">")
        raws = [settled_field(one, domain, say) if one.key in _OF_ADDRESSES else one.raw for one in fields]
    return as_given(letter, parsed.with_header(added + b"".join(raws)))


def without_blind(letter: AnyLetter) -> AnyLetter:
    """The letter without its Bcc fields, so that no recipient learns who else gets it."""
    parsed = parse_letter(letter)
    kept = b"".join(field.raw for field in parsed.header.fields if field.key not in BLIND)
    return as_given(letter, parsed.with_header(kept))


def make_copies(letter: bytes | ParsedLetter, visible: Sequence[str], bcc: Sequence[str] = ()) -> list[Copy]:
    """One copy for each recipient domain and one for each Bcc recipient, without Bcc fields and stamps for others.

    An address in both lists gets the visible copy only: two copies would be paid twice.
    """
    parsed = parse_letter(letter)
    found = apart(visible, [*visible, *bcc])
    kept = [field for field in parsed.header.fields if field.key not in BLIND]
    by_domain: dict[str, list[str]] = {}
    for address in found.visible:
        by_domain.setdefault(canonical_recipient(address).domain, []).append(address)
    groups = [*by_domain.values(), *([address] for address in found.bcc)]
    return [Copy(tuple(group), parsed.with_header(without_others(kept, _canonical(group)))) for group in groups]


def stamp_letter(
    letter: AnyLetter,
    recipients: Sequence[str],
    key: SigningKey,
    licence: Licence,
    *,
    now: int,
    random_bytes: Callable[[int], bytes],
    price: int = 1,
    lifetime_seconds: int = LIFETIME_SECONDS_MAX,
) -> AnyLetter:
    """Put one stamp for each distinct recipient on top of the letter, above any signature; the rest is not changed.

    A recipient for whom this account has already stamped this letter gets no second stamp: that would pay twice. `now`
    is seconds since 1970 UTC, `price` in stamps. Raises `MalformedLetter` if the letter cannot be stamped, for example
    without exactly one From, and `MalformedAddress`.
    """
    parsed, canonical = parse_letter(letter), _canonical(recipients)
    paid = paid_already(parsed, canonical, licence, now=now, price=price)
    unpaid = [recipient for recipient in canonical if recipient not in paid]
    if not unpaid:
        return letter
    parts = parsed.parts()
    stamps = [
        mint_stamp_of(
            key,
            licence,
            parts,
            recipient,
            serial=random_bytes(16),
            salt=random_bytes(16),
            now=now,
            lifetime_seconds=lifetime_seconds,
            price=price,
        ).field()
        for recipient in unpaid
    ]
    return as_given(letter, parsed.with_header(b"".join(stamps) + parsed.header.raw))


def _canonical(recipients: Sequence[str]) -> list[Recipient]:
    return list(dict.fromkeys(canonical_recipient(address) for address in recipients))


def _addresses(header: HeaderSection, key: bytes) -> list[str]:
    """All addresses in the fields of one name, in order, also those inside groups; raises `MalformedAddress`."""
    fields = header.named(key)
    if sum(len(field.raw) for field in fields) > FIELD_BYTES_MAX:
        raise MalformedAddress(f"the {key.decode().capitalize()} field has more than {FIELD_BYTES_MAX:,} bytes")
    every = itertools.chain.from_iterable(map(read_addresses, fields))
    addresses = list(itertools.islice(every, RECIPIENTS_MAX + 1))
    if len(addresses) > RECIPIENTS_MAX:
        raise MalformedAddress(f"more than {RECIPIENTS_MAX} recipients")
    return addresses
