"""The office's signed statement about a sender; it travels inside each stamp (STAMP.md 6)."""

import re
from dataclasses import dataclass

from pennyred.postage.address import canonical_domain
from pennyred.postage.encoding import decode_base64, decode_integer
from pennyred.postage.errors import Malformed, MalformedLicence
from pennyred.postage.taglist import format_tag_list, parse_tag_list

ALGORITHM = b"ed25519-sha256"
ACCOUNT = re.compile(r"[a-z2-7]{16}")
SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAGS = ("v", "a", "i", "s", "c", "k", "cap", "f", "x", "b")


@dataclass(frozen=True, slots=True)
class Licence:
    """This account, this public key, this daily cap, from and until: said by this office with this key."""

    issuer: str
    selector: str
    account: str
    public_key: bytes
    daily_cap: int
    """Stamps a UTC day."""
    valid_from: int
    valid_until: int
    signature: bytes
    encoded: bytes
    """The canonical text, signature included."""

    @property
    def signed_bytes(self) -> bytes:
        """What the office signed: everything before the signature."""
        return self.encoded[: self.encoded.rindex(b"b=")]


def parse_licence(encoded: bytes) -> Licence:
    """Read the canonical text of a licence; raises `MalformedLicence`."""
    try:
        tags = parse_tag_list(encoded)
        if tuple(name for name, _ in tags) != _TAGS or format_tag_list(tags) != encoded:
            raise MalformedLicence("licence: not the tags of a licence, or not in their canonical form")
        values = dict(tags)
        if values["v"] != b"1" or values["a"] != ALGORITHM:
            raise MalformedLicence("licence: unknown version or algorithm")
        return Licence(
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
    except MalformedLicence:
        raise
    except Malformed as error:
        raise MalformedLicence(f"licence: {error}") from error


def read_domain(value: bytes) -> str:
    """An issuer's domain, which must stand in its canonical form; raises `Malformed`."""
    domain = value.decode("ascii")
    if canonical_domain(domain) != domain or domain.startswith("["):
        raise Malformed("issuer is not a canonical domain")
    return domain


def read_text(value: bytes, pattern: re.Pattern[str]) -> str:
    """A value of a given form; raises `Malformed`."""
    text = value.decode("ascii")
    if not pattern.fullmatch(text):
        raise Malformed("a value is not of its form")
    return text
