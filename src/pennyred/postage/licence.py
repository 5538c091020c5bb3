"""The office's signed statement about a sender; it travels inside each stamp (STAMP.md 6)."""

import hashlib
import re
from dataclasses import dataclass

from msgspec import Struct

from pennyred.postage.address import canonical_domain
from pennyred.postage.encoding import decode_base64, decode_integer
from pennyred.postage.errors import Malformed, MalformedLicence
from pennyred.postage.taglist import format_tag_list, parse_tag_list

ALGORITHM = b"ed25519-sha256"
"""The value of the tag `a`: signatures by Ed25519, hashes by SHA-256."""
ACCOUNT = re.compile(r"[a-z2-7]{16}")
"""The name of a sender's account: 80 random bits in lower-case base32 (RFC 4648 section 6)."""
SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""The name of an office's key: one LDH label in lower case (RFC 5890 section 2.3.1)."""
LICENCE_BYTES_MAX = 1024

_TAGS = ("v", "a", "i", "s", "c", "k", "cap", "f", "x")
_SIGNATURE_TAG_BYTES = len(b"b=;") + 88
"""The length of the signature's tag, which is always the last."""


class Licence(Struct, frozen=True, gc=False):
    """An office's signed statement: this account has this public key and daily cap, for this time."""

    issuer: str
    """The office's domain, canonical."""
    selector: str
    """Which of the office's keys signed it."""
    account: str
    public_key: bytes
    """The sender's public key, 32 bytes."""
    daily_cap: int
    """How many stamps the account may use on one UTC day."""
    valid_from: int
    """The first second (since 1970 UTC) at which a stamp may be issued under it."""
    valid_until: int
    """The first second (since 1970 UTC) at which no stamp may be issued under it any more."""
    signature: bytes
    encoded: bytes
    """The canonical text, with the signature."""

    @property
    def signed_bytes(self) -> bytes:
        """What the office signed: everything before the signature, under `CONTEXT_LICENCE`."""
        return self.encoded[:-_SIGNATURE_TAG_BYTES]

    @property
    def short_form(self) -> bytes:
        """The text without version, algorithms, issuer and account: these are its stamp's (STAMP.md 6.5)."""
        selector = b"s=%s;" % self.selector.encode()
        before = _before(self.issuer) + selector + _account(self.account)
        return selector + self.encoded[len(before) :]


def parse_licence(encoded: bytes) -> Licence:
    """Read the canonical text of a licence; raises `MalformedLicence`."""
    try:
        return _parse(encoded)
    except MalformedLicence:
        raise
    except Malformed as error:
        raise MalformedLicence(f"licence: {error}") from error


def parse_short_form(issuer: str, account: str, short: bytes) -> Licence:
    """Read the licence that travels in a stamp of this issuer and account; raises `MalformedLicence`."""
    selector, semicolon, rest = short.partition(b";")
    return parse_licence(_before(issuer) + selector + semicolon + _account(account) + rest)


def _before(issuer: str) -> bytes:
    return b"v=1;a=%s;i=%s;" % (ALGORITHM, issuer.encode())


def _account(account: str) -> bytes:
    return b"c=%s;" % account.encode()


def _parse(encoded: bytes) -> Licence:
    tags = parse_tag_list(encoded, bytes_max=LICENCE_BYTES_MAX)
    if format_tag_list(tags) != encoded:
        raise MalformedLicence("licence: not in canonical form")
    names = [name for name, _ in tags]
    if names[: len(_TAGS)] != list(_TAGS) or names[-1] != "b":
        raise MalformedLicence("licence: a tag is missing or out of order")
    values = dict(tags)
    if values["v"] != b"1" or values["a"] != ALGORITHM:
        raise MalformedLicence("licence: a version or algorithm not known here")
    licence = Licence(
        issuer=read_domain(values["i"]),
        selector=read_text(values["s"], SELECTOR),
        account=read_text(values["c"], ACCOUNT),
        public_key=decode_base64(values["k"], length=32),
        daily_cap=decode_integer(values["cap"]),
        valid_from=decode_integer(values["f"]),
        valid_until=decode_integer(values["x"]),
        signature=decode_base64(values["b"], length=64),
        encoded=encoded,
    )
    if licence.valid_from >= licence.valid_until:
        raise MalformedLicence("licence: ends before it begins")
    return licence


def read_domain(value: bytes) -> str:
    """An issuer's domain, which must stand in its canonical form; raises `Malformed`."""
    domain = value.decode("ascii")  # a tag's value is ASCII
    if canonical_domain(domain) != domain or domain.startswith("["):
        raise Malformed("issuer is not a canonical domain name")
    return domain


def read_text(value: bytes, pattern: re.Pattern[str]) -> str:
    """The text of a tag's value that must match `pattern` as a whole; raises `Malformed`."""
    text = value.decode("ascii")
    if not pattern.fullmatch(text):
        raise Malformed("a value is not of its form")
    return text


def fingerprint(account: str, public_key: bytes) -> bytes:
    """The name under which all licences of this account and key are revoked, 32 bytes: it tells a stranger nothing."""
    return hashlib.sha256(b"pennyred/1 revocation\0" + account.encode() + b"\0" + public_key).digest()


@dataclass(frozen=True, slots=True)
class Revocations:
    """One page of the list of revoked licences."""

    fingerprints: tuple[bytes, ...]
    """The `fingerprint` of each revoked licence."""
    last: int
    """The number of the last one: pass it as `after` to get those that follow."""
