"""Frank a letter: find its recipients, make one copy for each domain, put a stamp for each recipient on top.

Whoever holds a letter can guess a recipient and check the guess against its stamps. So a copy holds only the stamps for
its own domain, and each Bcc recipient gets a separate copy.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection
from pennyred.postage.licence import Licence
from pennyred.postage.minting import mint_stamp
from pennyred.postage.reading.addressfields import read_addresses
from pennyred.postage.reading.texts import REPLY_NAMES
from pennyred.postage.signing import SigningKey
from pennyred.postage.stamp import LIFETIME_SECONDS_MAX
from pennyred.sender.parsedletter import AnyLetter, ParsedLetter, as_given, parse_letter
from pennyred.sender.stamps_borne import gathered, paid_already, without_others
from pennyred.sender.travel.addressforms import one_field, settled_field
from pennyred.sender.travel.signedfields import SignedFields, signed_fields

RECIPIENTS_MAX = 1000
"""How many recipients one letter may have; each costs a stamp."""
FIELD_BYTES_MAX = 200_000
"""How long all address fields with the same name may be together."""
BLIND = (b"bcc", b"resent-bcc")
"""Fields that are removed from every copy of a letter."""
_LOOSE = re.compile(rb"([!-9;-~]+)[ \t]+:")
"""A field with white space before its colon."""
_NEVER_EMPTY = (b"date", b"message-id")
"""Fields that servers add where they are missing; empty ones they remove."""
_ONE_EACH = (b"to", b"cc", *REPLY_NAMES)
"""Fields with addresses of which a letter has one at most (RFC 5322 section 3.6). Some programs lose a second one."""


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
    """Give the header fields that stamps sign the form in which servers leave them (RFC 6409 section 8, STAMP.md 3.10).

    Date and Message-ID are added on top if they are missing or empty, and a To that names nobody if there is neither To
    nor Cc. Addresses get the spelling that servers use, see `addressforms`: those without a domain get `domain`, or
    else that of `message_id`; and of To, Cc and each field for answers one is left. Fields that a signature covers are
    not changed, see `signed_fields`. `now` is seconds since 1970 UTC. `say` is called with a sentence for each guess.
    Raises `MalformedAddress`.
    """
    parsed = parse_letter(letter)
    header, signed = parsed.header, signed_fields(parsed.header)
    empty = [key for key in _NEVER_EMPTY if not signed.covers(key)]
    missing = [key for key in empty if not any(field.value.strip() for field in header.named(key))]
    added = b""
    if b"date" in missing:
        added += b"Date: " + format_datetime(datetime.fromtimestamp(now, UTC)).encode() + b"\r\n"
    if b"message-id" in missing:
        added += b"Message-ID: " + message_id.encode() + b"\r\n"
    if not header.named(b"to") and not header.named(b"cc") and not signed.covers(b"to"):
        added += b"To: undisclosed-recipients:;\r\n"
    domain = domain or message_id.rpartition("@")[2].rstrip(">")
    settled = {
        key: one_field(header.named(key), domain, say)
        for key in _ONE_EACH
        if header.named(key) and not signed.covers(key)
    }
    raws: list[bytes] = []
    for field in header.fields:
        if field.key in settled:
            raws.append(settled[field.key])
            settled[field.key] = b""  # the further fields of this name are in the first one
        elif field.key == b"from" and not signed.covers(b"from"):
            raws.append(settled_field(field, domain, say))
        elif field.key not in empty or field.value.strip():
            raws.append(field.raw)
    return as_given(letter, parsed.with_header(added + b"".join([_tight(raw, signed) for raw in raws])))


def _tight(raw: bytes, signed: SignedFields) -> bytes:
    """The field without white space before its colon: servers take it out, and some readers end the header there."""
    found = _LOOSE.match(raw)
    return found[1] + raw[found.end() - 1 :] if found and not signed.covers(found[1].lower()) else raw


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
    in_one_field: bool = False,
) -> AnyLetter:
    """Put one stamp for each distinct recipient on top of the letter, above any signature; the rest is not changed.

    A recipient for whom this account has already stamped this letter gets no second stamp: that would pay twice. `now`
    is seconds since 1970 UTC, `price` in stamps. `in_one_field` puts all stamps into one field, see `gathered`. Raises
    `MalformedLetter` if the letter cannot be stamped, for example without exactly one From, and `MalformedAddress`.
    """
    parsed, canonical = parse_letter(letter), _canonical(recipients)
    paid = paid_already(parsed, canonical, licence, now=now, price=price)
    unpaid = [recipient for recipient in canonical if recipient not in paid]
    if not unpaid and not in_one_field:
        return letter
    parts = parsed.parts()
    stamps = [
        mint_stamp(
            key,
            licence,
            parts,
            recipient,
            serial=random_bytes(16),
            salt=random_bytes(16),
            now=now,
            lifetime_seconds=lifetime_seconds,
            price=price,
        )
        for recipient in unpaid
    ]
    if in_one_field:
        section = gathered(parsed.header.fields, stamps)
    else:
        section = b"".join([stamp.field() for stamp in stamps]) + parsed.header.raw
    return as_given(letter, parsed.with_header(section))


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
