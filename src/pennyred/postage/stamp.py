"""The stamp: one `X-Postage-Stamp` header field, which pays one recipient of one letter (STAMP.md 3)."""

from dataclasses import dataclass
from functools import lru_cache

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.postage.digest import SIGNED_NAMES, SIGNED_NAMES_MAX
from pennyred.postage.encoding import decode_base64, decode_integer
from pennyred.postage.errors import Malformed, MalformedStamp
from pennyred.postage.letter import STAMP_FIELD
from pennyred.postage.licence import ACCOUNT, ALGORITHM, Licence, parse_licence, read_domain, read_text
from pennyred.postage.reasons import Reason
from pennyred.postage.taglist import Tag, fold_field, format_tag_list, parse_tag_list

LIFETIME_SECONDS_MAX = 14 * DAY_SECONDS
PRICE_MAX = 1_000_000
_LICENCES_REMEMBERED = 5_000
_TAGS = ("v", "a", "i", "c", "n", "t", "x", "p", "rh", "dh", "h", "hh", "bh", "l")


StampKey = tuple[str, int, bytes]
"""Account, expiry day, serial: the same serial with another expiry day is another stamp."""


@dataclass(frozen=True, slots=True)
class Stamp:
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
    signed_names: tuple[bytes, ...]
    header_hash: bytes
    body_hash: bytes
    licence: Licence
    signature: bytes
    salt: bytes | None
    """16 random bytes that stay with the letter; None in a stamp that came from a gate to an office."""
    tags: tuple[Tag, ...]
    """All tags in their order, also unknown ones: they are signed too."""

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
        return format_tag_list(self.tags[: -1 if self.salt is None else -2])

    def field(self) -> bytes:
        """The whole header field, folded, with its last CRLF."""
        return fold_field(STAMP_FIELD, self.tags)

    def value(self) -> bytes:
        """The canonical text on one line."""
        return format_tag_list(self.tags)

    def for_office(self) -> bytes:
        """The canonical text without the salt: with the salt, an office could find the recipient by trying names."""
        return format_tag_list(self.tags if self.salt is None else self.tags[:-1])


def parse_stamp(value: bytes) -> Stamp:
    """Read the value of a stamp field, with or without its salt, folded or not.

    Raises `MalformedStamp`, whose `reason` is `malformed` or `unknown-version`.
    """
    try:
        return _parse(value)
    except MalformedStamp:
        raise
    except Malformed as error:
        raise MalformedStamp(str(error)) from error


def _parse(value: bytes) -> Stamp:
    tags = parse_tag_list(value)
    _check_order([name for name, _ in tags], dict(tags))
    values = dict(tags)
    stamp = Stamp(
        issuer=read_domain(values["i"]),
        account=read_text(values["c"], ACCOUNT),
        serial=decode_base64(values["n"], length=16),
        issued_at=decode_integer(values["t"]),
        expires_at=decode_integer(values["x"]),
        price=decode_integer(values["p"]),
        recipient_hash=decode_base64(values["rh"], length=32),
        domain_hash=decode_base64(values["dh"], length=32),
        signed_names=tuple(values["h"].split(b":")),
        header_hash=decode_base64(values["hh"], length=32),
        body_hash=decode_base64(values["bh"], length=32),
        licence=_read_licence(values["l"]),
        signature=decode_base64(values["b"], length=64),
        salt=decode_base64(values["z"], length=16) if "z" in values else None,
        tags=tuple(tags),
    )
    _check_bounds(stamp)
    return stamp


@lru_cache(maxsize=_LICENCES_REMEMBERED)
def _read_licence(encoded: bytes) -> Licence:
    """Read a licence. The results are cached: a sender's licence comes with each of his stamps."""
    return parse_licence(decode_base64(encoded))


def _check_order(names: list[str], values: dict[str, bytes]) -> None:
    """Check that the version is first, the known tags are in order, and signature and salt are last (STAMP.md 3.3)."""
    if names[:1] != ["v"]:
        raise MalformedStamp("a stamp begins with its version")
    if values["v"] != b"1":
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
    if len(stamp.signed_names) > SIGNED_NAMES_MAX or not set(stamp.signed_names) <= set(SIGNED_NAMES):
        raise MalformedStamp("names of header fields that no stamp signs")
