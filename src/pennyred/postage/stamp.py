"""The stamp, which pays one recipient of one letter, and the header field that it travels in (STAMP.md 3)."""

import re
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.postage.digest import DIGEST_BYTES, FIELDS
from pennyred.postage.encoding import SHORT_INTEGER, base64_pattern, decode_base64, decode_integer
from pennyred.postage.errors import Malformed, MalformedStamp
from pennyred.postage.letter import STAMP_FIELD
from pennyred.postage.licence import ACCOUNT, ALGORITHM, Licence, parse_short_form, read_domain, read_text
from pennyred.postage.reasons import Reason
from pennyred.postage.taglist import (
    LIST_BYTES_MAX,
    Tag,
    fold_field,
    parse_bare_list,
    without_white_space,
)

LIFETIME_SECONDS_MAX = 14 * DAY_SECONDS
PRICE_MAX = 1_000_000
_LICENCES_REMEMBERED = 5_000
VERSION = b"2"
FIELD_BYTES_MAX = 65_536
"""The longest field that is read: it may hold several stamps (STAMP.md 3.2)."""
_TAGS = ("v", "a", "i", "c", "n", "t", "x", "p", "rh", "dh", "d", "bh", "l")
_SIGNED_AND_KNOWN = _TAGS[2:]
_SIGNATURE_TAG_BYTES = len(b"b=;") + 88
_SALT_TAG_BYTES = len(b"z=;") + 24
_SALT_BYTES = 16
_BYTES = {"n": 16, "rh": 32, "dh": 32, "d": DIGEST_BYTES * len(FIELDS), "bh": 32, "b": 64}
"""The length of what is written in base64, by its tag."""
_FORMS = dict.fromkeys("txp", SHORT_INTEGER) | {name: base64_pattern(length) for name, length in _BYTES.items()}
_USUAL = re.compile(
    b"v=%s;a=%s;" % (VERSION, ALGORITHM)
    + b"".join([b"%s=(%s);" % (name.encode(), _FORMS.get(name, b"[!-:<-~]*")) for name in (*_SIGNED_AND_KNOWN, "b")])
    + b"(?:z=(%s);?)?" % base64_pattern(_SALT_BYTES)
)
"""How a stamp without unknown tags looks: it is read by this expression alone, in a fourth of the time."""
_NEXT = re.compile(rb"(?<=;)(?=v=)")
"""Where the next stamp begins in a field without white space."""


StampKey = tuple[str, int, bytes]
"""Account, expiry day, serial: the same serial with another expiry day is another stamp."""


class Stamp(Struct, frozen=True, gc=False):
    """A stamp that parses, made by `parse_stamp` only. Whether it counts is decided in `verdict`."""

    issuer: str
    account: str
    serial: bytes
    """16 random bytes. A ledger knows a stamp by account, expiry day and serial."""
    issued_at: int
    """Seconds since 1970 UTC, by the sender's clock."""
    expires_at: int
    """The first second (since 1970 UTC) at which it no longer counts."""
    price: int
    """What it is worth, in stamps (cents)."""
    recipient_hash: bytes
    domain_hash: bytes
    field_digests: bytes
    """Salted digests of the letter's fields, 16 bytes for each of `digest.FIELDS`, one behind the other."""
    body_digest: bytes
    licence: Licence
    signature: bytes
    salt: bytes | None
    """16 random bytes that stay with the letter; None in a stamp that came from a gate to an office."""
    text: bytes
    """The canonical text: all tags in their order, also unknown ones, as they are signed, too."""

    @property
    def key(self) -> StampKey:
        """What its office knows it by."""
        return self.account, self.expiry_day, self.serial

    @property
    def expiry_day(self) -> int:
        """The UTC day on which it expires, days since 1970-01-01."""
        return utc_day(self.expires_at)

    @property
    def signed_bytes(self) -> bytes:
        """What the sender signed, under `CONTEXT_STAMP`: all tags except signature and salt, in canonical form."""
        return self.text[: -_SIGNATURE_TAG_BYTES - (0 if self.salt is None else _SALT_TAG_BYTES)]

    @property
    def tags(self) -> list[Tag]:
        """All tags in their order."""
        return parse_bare_list(self.text)

    def field(self) -> bytes:
        """The whole header field, folded, with its last CRLF."""
        return shared_field((self,))

    def for_office(self) -> bytes:
        """The canonical text without the salt: with the salt, an office could find the recipient by trying names."""
        return self.text if self.salt is None else self.text[:-_SALT_TAG_BYTES]


def shared_field(stamps: Iterable[Stamp]) -> bytes:
    """One header field that holds all these stamps, folded, with its last CRLF."""
    return fold_field(STAMP_FIELD, [tag for stamp in stamps for tag in stamp.tags])


def split_field(value: bytes) -> Iterator[bytes]:
    """The stamps in the value of a stamp field, not yet parsed, without white space: each begins with its version.

    Raises `MalformedStamp` for a field that is too long.
    """
    if len(value) > FIELD_BYTES_MAX:
        raise MalformedStamp(f"a stamp field of more than {FIELD_BYTES_MAX} bytes")
    text = without_white_space(value)
    if b";v=" not in text:
        yield text
        return
    start = 0
    for found in _NEXT.finditer(text):
        yield text[start : found.start()]
        start = found.start()
    yield text[start:]


def parse_stamp(value: bytes) -> Stamp:
    """Read one stamp, with or without its salt, folded or not; `split_field` gives several.

    Raises `MalformedStamp`, whose `reason` is `malformed` or `unknown-version`.
    """
    if len(value) > FIELD_BYTES_MAX:
        raise MalformedStamp(f"a stamp in more than {FIELD_BYTES_MAX} bytes")
    return parse_bare(without_white_space(value))


def parse_bare(text: bytes) -> Stamp:
    """Read one stamp without white space, as `split_field` gives it; raises as `parse_stamp` does."""
    try:
        return _parse(text)
    except MalformedStamp:
        raise
    except Malformed as error:
        raise MalformedStamp(str(error)) from error


def _parse(text: bytes) -> Stamp:
    usual = _USUAL.fullmatch(text) if len(text) < LIST_BYTES_MAX else None
    if usual is None:
        stamp = _parse_unusual(text)
    else:
        issuer, account, serial, issued, expires, price, recipient, domain, fields, body, encoded, sign, salt = (
            usual.groups()
        )
        licence = _read_licence(issuer, account, encoded)
        stamp = Stamp(
            licence.issuer, licence.account, a2b_base64(serial), int(issued), int(expires), int(price),
            a2b_base64(recipient), a2b_base64(domain), a2b_base64(fields), a2b_base64(body), licence, a2b_base64(sign),
            None if salt is None else a2b_base64(salt), text if text.endswith(b";") else text + b";",
        )  # fmt: skip
    _check_bounds(stamp)
    return stamp


def _parse_unusual(text: bytes) -> Stamp:
    """Read a stamp of whatever tags, and say what is wrong with it."""
    tags = parse_bare_list(text)
    values = dict(tags)
    _check_order([name for name, _ in tags], values)
    salt = values.get("z")
    return Stamp(
        issuer=read_domain(values["i"]),
        account=read_text(values["c"], ACCOUNT),
        serial=decode_base64(values["n"], length=_BYTES["n"]),
        issued_at=decode_integer(values["t"]),
        expires_at=decode_integer(values["x"]),
        price=decode_integer(values["p"]),
        recipient_hash=decode_base64(values["rh"], length=_BYTES["rh"]),
        domain_hash=decode_base64(values["dh"], length=_BYTES["dh"]),
        field_digests=decode_base64(values["d"], length=_BYTES["d"]),
        body_digest=decode_base64(values["bh"], length=_BYTES["bh"]),
        licence=_read_licence(values["i"], values["c"], values["l"]),
        signature=decode_base64(values["b"], length=_BYTES["b"]),
        salt=None if salt is None else decode_base64(salt, length=_SALT_BYTES),
        text=text if text.endswith(b";") else text + b";",
    )


@lru_cache(maxsize=_LICENCES_REMEMBERED)
def _read_licence(issuer: bytes, account: bytes, encoded: bytes) -> Licence:
    """Read a licence. The results are cached: a sender's licence comes with each of his stamps."""
    return parse_short_form(read_domain(issuer), read_text(account, ACCOUNT), decode_base64(encoded))


def _check_order(names: list[str], values: dict[str, bytes]) -> None:
    """Check that the version is first, the known tags are in order, and signature and salt are last (STAMP.md 3.3)."""
    if names[:1] != ["v"]:
        raise MalformedStamp("a stamp begins with its version")
    if values["v"] != VERSION:
        decode_integer(values["v"])
        raise MalformedStamp("a version of stamp not known here", Reason.UNKNOWN_VERSION)
    if [name for name in names if name in _TAGS] != list(_TAGS):
        raise MalformedStamp("a tag is missing or out of order")
    if names[-1:] != ["b"] and names[-2:] != ["b", "z"]:
        raise MalformedStamp("a stamp ends with its signature and its salt")
    if "z" in values and names[-1] != "z":
        raise MalformedStamp("the salt stands before the signature")
    if values["a"] != ALGORITHM:
        raise MalformedStamp("an algorithm not known here", Reason.UNKNOWN_VERSION)


def _check_bounds(stamp: Stamp) -> None:
    if not 0 < stamp.expires_at - stamp.issued_at <= LIFETIME_SECONDS_MAX:
        raise MalformedStamp("a stamp lives more than 0 seconds and at most 14 days")
    if not 1 <= stamp.price <= PRICE_MAX:
        raise MalformedStamp("a price out of bounds")
