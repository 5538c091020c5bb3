"""The stamps that a letter has already: sending it again must not pay again, and no copy may show others' stamps.

A stamp pays for its letter once, however often the letter is sent: the gate recognises it and does not charge again. A
second stamp on the same letter would be a second payment and a second delivery.
"""

from collections.abc import Iterable, Sequence

from pennyred.postage.address import Recipient
from pennyred.postage.alteration import alteration
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import recipient_hash, signed_parts
from pennyred.postage.errors import Malformed, MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, Field
from pennyred.postage.licence import Licence
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp, parse_bare, shared_field, split_field
from pennyred.postage.taglist import Tag, fold_field, parse_bare_list
from pennyred.sender.parsedletter import ParsedLetter

LIFE_LEFT_SECONDS = 3600
"""How long a stamp must still be valid to be used again."""

STAMPS_IN_A_FIELD_MAX = 50
"""How many stamps are put into one field: their length stays well below the limit (STAMP.md 3.2)."""


def paid_already(
    letter: ParsedLetter,
    recipients: Sequence[Recipient],
    licence: Licence,
    *,
    now: int,
    price: int,
) -> set[Recipient]:
    """The recipients for whom the letter has a stamp of this account that matches the letter as it is and still counts.

    `now` is seconds since 1970 UTC, `price` in stamps.
    """
    header = letter.header
    if not header.named(STAMP_FIELD.lower()):
        return set()
    parts = signed_parts(header, letter.below.body_hash)

    def is_good(stamp: Stamp) -> bool:
        return (
            (stamp.issuer, stamp.account) == (licence.issuer, licence.account)
            and stamp.licence.public_key == licence.public_key
            and not alteration(stamp, parts).altered
            and stamp.price >= price
            and min(stamp.expires_at, stamp.licence.valid_until) >= now + LIFE_LEFT_SECONDS
            and verify(licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)
        )

    borne = zip(recipients, find_candidates(header, recipients), strict=True)
    return {recipient for recipient, candidates in borne if any(map(is_good, candidates.stamps))}


def gathered(fields: Iterable[Field], stamps: Sequence[Stamp]) -> bytes:
    """The fields joined, with these stamps and those that they hold on top, all in one field.

    For providers that count the fields of a letter. More than `STAMPS_IN_A_FIELD_MAX` need several; a field that cannot
    be read stays where it is.
    """
    every, rest = list(stamps), list[bytes]()
    for field in fields:
        borne = _stamps_in(field) if field.key == STAMP_FIELD.lower() else None
        if borne is None:
            rest.append(field.raw)
        else:
            every += borne
    starts = range(0, len(every), STAMPS_IN_A_FIELD_MAX)
    return b"".join([*(shared_field(every[at : at + STAMPS_IN_A_FIELD_MAX]) for at in starts), *rest])


def without_others(fields: Iterable[Field], recipients: Sequence[Recipient]) -> bytes:
    """The fields joined, without the stamps made out to others than these recipients."""
    return b"".join(_own_part(one, recipients) if one.key == STAMP_FIELD.lower() else one.raw for one in fields)


def _own_part(field: Field, recipients: Sequence[Recipient]) -> bytes:
    """A stamp field with those stamps only that are made out to one of these, and with what cannot be read here; empty
    if nothing is left. One that is too long to be read pays nobody, and may hold the stamps of others: it is left out.
    """
    try:
        texts = list(split_field(field.value))
    except MalformedStamp:
        return b""
    kept = [text for text in texts if _may_be_for(text, recipients)]
    if len(kept) == len(texts):
        return field.raw
    tags = [tag for text in kept for tag in _tags_of(text)]
    return fold_field(STAMP_FIELD, tags) if tags else b""


def _may_be_for(text: bytes, recipients: Sequence[Recipient]) -> bool:
    try:
        return _is_for(parse_bare(text), recipients)
    except MalformedStamp:
        return True


def _tags_of(text: bytes) -> Sequence[Tag]:
    """The tags of a stamp, also of another version; none of what is no stamp in any version."""
    try:
        return parse_bare_list(text)
    except Malformed:
        return ()


def _stamps_in(field: Field) -> list[Stamp] | None:
    """The stamps in a field; None if one of them cannot be read."""
    try:
        return [parse_bare(one) for one in split_field(field.value)]
    except MalformedStamp:
        return None


def _is_for(stamp: Stamp, recipients: Sequence[Recipient]) -> bool:
    salt = stamp.salt
    return salt is not None and any(recipient_hash(salt, one) == stamp.recipient_hash for one in recipients)
