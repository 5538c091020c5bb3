"""Make licences (for offices) and stamps (for senders). Keys, serials, salts and the time are arguments."""

from dataclasses import dataclass

from pennyred.postage.address import Recipient
from pennyred.postage.digest import domain_hash, header_hash, qualifies, recipient_hash, signed_names
from pennyred.postage.encoding import encode_base64, encode_integer
from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import HeaderSection
from pennyred.postage.licence import ALGORITHM, Licence, parse_licence
from pennyred.postage.signing import CONTEXT_LICENCE, CONTEXT_STAMP, SigningKey
from pennyred.postage.stamp import Stamp, parse_stamp
from pennyred.postage.taglist import format_tag_list


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


@dataclass(frozen=True, slots=True)
class Binding:
    """What binds a stamp to its letter. It is the same for all stamps of a letter, so it is computed once."""

    names: bytes
    """The value of the tag `h`: the names of the signed header fields, with colons between them."""
    header_hash: bytes
    body_hash: bytes


def bind_letter(header: HeaderSection, body_digest: bytes) -> Binding:
    """Compute the binding of a letter; `body_digest` is its `body_hash`, 32 bytes.

    Raises `MalformedLetter` if the letter cannot be stamped (STAMP.md 5.3).
    """
    if not qualifies(header):
        raise MalformedLetter(
            "a letter to be stamped has exactly one From field, and not dozens of To, Cc, Subject, Date and Message-ID"
        )
    return Binding(b":".join(signed_names(header)), header_hash(header), body_digest)


def mint_stamp(
    key: SigningKey,
    licence: Licence,
    header: HeaderSection,
    body_digest: bytes,
    recipient: Recipient,
    *,
    serial: bytes,
    salt: bytes,
    now: int,
    lifetime_seconds: int,
    price: int = 1,
) -> Stamp:
    """A stamp for the only recipient of a letter: `bind_letter`, then `mint_bound_stamp`; raises what they raise."""
    return mint_bound_stamp(
        key,
        licence,
        bind_letter(header, body_digest),
        recipient,
        serial=serial,
        salt=salt,
        now=now,
        lifetime_seconds=lifetime_seconds,
        price=price,
    )


def mint_bound_stamp(
    key: SigningKey,
    licence: Licence,
    binding: Binding,
    recipient: Recipient,
    *,
    serial: bytes,
    salt: bytes,
    now: int,
    lifetime_seconds: int,
    price: int = 1,
) -> Stamp:
    """Make a stamp for one recipient of the letter that `binding` is of, signed by the licence's `key`.

    `serial` and `salt` are 16 fresh random bytes each. `now` is seconds since 1970 UTC, `lifetime_seconds` at most 14
    days, `price` in stamps. Raises `MalformedStamp` for values that no stamp can have.
    """
    tags = [
        ("v", b"1"),
        ("a", ALGORITHM),
        ("i", licence.issuer.encode()),
        ("c", licence.account.encode()),
        ("n", encode_base64(serial)),
        ("t", encode_integer(now)),
        ("x", encode_integer(now + lifetime_seconds)),
        ("p", encode_integer(price)),
        ("rh", encode_base64(recipient_hash(salt, recipient))),
        ("dh", encode_base64(domain_hash(serial, recipient.domain))),
        ("h", binding.names),
        ("hh", encode_base64(binding.header_hash)),
        ("bh", encode_base64(binding.body_hash)),
        ("l", encode_base64(licence.encoded)),
    ]
    signature = key.sign(CONTEXT_STAMP, format_tag_list(tags))
    tags += [("b", encode_base64(signature)), ("z", encode_base64(salt))]
    return parse_stamp(format_tag_list(tags))
