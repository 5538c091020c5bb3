"""Make licences (for offices) and stamps (for senders). Keys, serials, salts and the time are arguments."""

from pennyred.postage.address import Recipient
from pennyred.postage.digest import (
    SignedParts,
    body_digest,
    domain_hash,
    field_digests,
    recipient_hash,
    signed_parts,
)
from pennyred.postage.encoding import encode_base64, encode_integer
from pennyred.postage.errors import MalformedLetter, MalformedStamp
from pennyred.postage.letter import STAMP_FIELD, HeaderSection
from pennyred.postage.licence import ALGORITHM, Licence, parse_licence
from pennyred.postage.signing import CONTEXT_LICENCE, CONTEXT_STAMP, SigningKey
from pennyred.postage.stamp import VERSION, Stamp, parse_stamp
from pennyred.postage.taglist import format_tag_list

LINE_OCTETS_MAX = 990
"""The longest field in one line, blanks between its tags included (RFC 5322 section 2.1.1 allows 998)."""


def mint_licence(
    key: SigningKey,
    *,
    issuer: str,
    selector: str,
    account: str,
    public_key: bytes,
    daily_cap: int,
    valid_from: int,
    valid_until: int,
) -> Licence:
    """Make a licence, signed by the office's `key`. Raises `MalformedLicence` for values that no licence can have."""
    tags = [
        ("v", b"1"),
        ("a", ALGORITHM),
        ("i", issuer.encode()),
        ("s", selector.encode()),
        ("c", account.encode()),
        ("k", encode_base64(public_key)),
        ("cap", encode_integer(daily_cap)),
        ("f", encode_integer(valid_from)),
        ("x", encode_integer(valid_until)),
    ]
    signature = key.sign(CONTEXT_LICENCE, format_tag_list(tags))
    return parse_licence(format_tag_list([*tags, ("b", encode_base64(signature))]))


def letter_parts(header: HeaderSection, body_hash: bytes) -> SignedParts:
    """What the stamps of a letter sign; `body_hash` is that of its body, 32 bytes. Computed once for all its stamps.

    Raises `MalformedLetter` if the letter cannot be stamped (STAMP.md 5.3).
    """
    parts = signed_parts(header, body_hash)
    if not parts.has_one_author:
        raise MalformedLetter("a letter to be stamped has exactly one From field")
    return parts


def mint_stamp(
    key: SigningKey,
    licence: Licence,
    parts: SignedParts,
    recipient: Recipient,
    *,
    serial: bytes,
    salt: bytes,
    now: int,
    lifetime_seconds: int,
    price: int = 1,
) -> Stamp:
    """Make a stamp for one recipient of the letter that `parts` are of, signed by the licence's `key`.

    `serial` and `salt` are 16 fresh random bytes each. `now` is seconds since 1970 UTC, `lifetime_seconds` at most 14
    days, `price` in stamps. Raises `MalformedStamp` for values that no stamp can have.
    """
    tags = [
        ("v", VERSION),
        ("a", ALGORITHM),
        ("i", licence.issuer.encode()),
        ("c", licence.account.encode()),
        ("n", encode_base64(serial)),
        ("t", encode_integer(now)),
        ("x", encode_integer(now + lifetime_seconds)),
        ("p", encode_integer(price)),
        ("rh", encode_base64(recipient_hash(salt, recipient))),
        ("dh", encode_base64(domain_hash(serial, recipient.domain))),
        ("d", encode_base64(field_digests(salt, parts))),
        ("bh", encode_base64(body_digest(salt, parts))),
        ("l", encode_base64(licence.short_form)),
    ]
    signature = key.sign(CONTEXT_STAMP, format_tag_list(tags))
    tags += [("b", encode_base64(signature)), ("z", encode_base64(salt))]
    stamp = parse_stamp(format_tag_list(tags))
    if len(stamp.text) + len(tags) + len(STAMP_FIELD) > LINE_OCTETS_MAX:
        raise MalformedStamp("the office's name is too long: some servers damage lines of a thousand octets")
    return stamp
