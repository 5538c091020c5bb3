"""The stamps that a letter has already: sending it again must not pay again, and no copy may show others' stamps.

A stamp pays for its letter once, however often the letter is sent: the gate recognises it and does not charge again. A
second stamp on the same letter would be a second payment and a second delivery.
"""

from collections.abc import Iterable, Sequence

from pennyred.postage.address import Recipient
from pennyred.postage.candidates import find_candidates
from pennyred.postage.digest import header_hash, recipient_hash
from pennyred.postage.errors import MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, Field
from pennyred.postage.licence import Licence
from pennyred.postage.signing import CONTEXT_STAMP, verify
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.sender.parsedletter import ParsedLetter

LIFE_LEFT_SECONDS = 3600
"""How long a stamp must still be valid to be used again."""


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
    hashes = header_hash(header), letter.below.body_hash

    def is_good(stamp: Stamp) -> bool:
        return (
            (stamp.issuer, stamp.account) == (licence.issuer, licence.account)
            and stamp.licence.public_key == licence.public_key
            and (stamp.header_hash, stamp.body_hash) == hashes
            and stamp.price >= price
            and min(stamp.expires_at, stamp.licence.valid_until) >= now + LIFE_LEFT_SECONDS
            and verify(licence.public_key, CONTEXT_STAMP, stamp.signed_bytes, stamp.signature)
        )

    borne = zip(recipients, find_candidates(header, recipients), strict=True)
    return {recipient for recipient, candidates in borne if any(map(is_good, candidates.stamps))}


def without_others(fields: Iterable[Field], recipients: Sequence[Recipient]) -> bytes:
    """The fields joined, without the stamps made out to others than these recipients."""
    return b"".join(field.raw for field in fields if not _is_for_others(field, recipients))


def _is_for_others(field: Field, recipients: Sequence[Recipient]) -> bool:
    if field.key != STAMP_FIELD.lower():
        return False
    try:
        stamp = parse_stamp(field.value)
    except MalformedStamp:
        return False
    salt = stamp.salt
    return salt is None or all(recipient_hash(salt, one) != stamp.recipient_hash for one in recipients)
