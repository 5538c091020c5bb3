"""One signature of DKIM's kind (RFC 6376; ARC's are alike): read it, find its key, verify it.

The library's parts do it (tags, canonical header fields, RSA and Ed25519), but it never sees the body: the hash of
that has been made while the letter came in. And it never sees more of a header than is signed and can be borne.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dkim
from dkim.canonicalization import InvalidCanonicalizationPolicyError
from dkim.crypto import DigestTooLargeError
from dkim.util import InvalidTagValueList, parse_tag_value

from pennyred.gate.authentication.lookups import Lookups, TooMany
from pennyred.gate.rules.origin import Result
from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection

FIELD_BYTES_MAX = 8 * 1024
"""Of the field that holds a signature: honest ones have less than one KiB."""
SIGNED_NAMES_MAX = 200
SIGNED_BYTES_MAX = 128 * 1024
"""Of the fields a signature covers: an expression over more would hold all other threads up."""
KEY_BYTES_MAX = 4096
KEYS_READ_MAX = 10
"""Of the records at one name: a name that answers for all names below it may have others' beside a key."""
KEYS_TRIED_MAX = 3
RSA_BITS = range(1024, 4096 + 1)
"""RFC 8301 section 3.2: shorter ones prove nothing; a verifier need not take longer ones."""
RSA_EXPONENT_MAX = 2**32 - 1
MANDATORY = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
"""Tags without which a `DKIM-Signature` is none (RFC 6376 section 6.1.1)."""

_GAP = re.compile(rb"\s{100}")
"""The library's expressions take time that grows with the square of such a gap."""
_SEPARATOR = re.compile(rb"\s*:\s*")
_SPACE = re.compile(rb"\s+")
_LIBRARY_ERRORS = (
    dkim.DKIMException,
    InvalidTagValueList,
    InvalidCanonicalizationPolicyError,
    DigestTooLargeError,
    ValueError,  # bad base64, numbers of thousands of digits, signatures of another length
    LookupError,
    TypeError,
    MalformedAddress,
)
"""What the library is known to raise over what strangers write."""

Tags = dict[bytes, bytes]
HeaderField = tuple[bytes, bytes]
"""Name and value, as the library wants them: the value with all its white space and a CRLF."""


class Unverified(Exception):  # noqa: N818 - it is an outcome
    """The signature does not hold; `result` says why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


@dataclass(frozen=True, slots=True)
class BodyHashes:
    """SHA-256 of the body in both canonical forms; `simple` is empty where no signature wants it."""

    relaxed: bytes
    simple: bytes = b""


def is_unbearable(value: bytes) -> bool:
    """Whether the library must not see it: its time grows with the square of such a field."""
    return len(value) > FIELD_BYTES_MAX or _GAP.search(value) is not None


def read_tags(value: bytes, mandatory: Sequence[bytes] = MANDATORY, *, is_arc: bool = False) -> Tags:
    """The tags of a `DKIM-Signature`, or of ARC's fields, that may be verified; raises `Unverified`."""
    if is_unbearable(value):
        raise Unverified(Result.POLICY)
    try:
        tags: Tags = parse_tag_value(value)
        if b"dns/txt" in _words(tags.get(b"q", b"")):  # a list (section 3.5), of which the library knows one word
            tags[b"q"] = b"dns/txt"
        dkim.validate_signature_fields(tags, mandatory, arc=is_arc)
    except _LIBRARY_ERRORS as error:
        raise Unverified(Result.PERMERROR) from error
    return tags


def domain_of(tags: Tags) -> str:
    """`d=`, canonical; raises `Unverified`."""
    try:
        return canonical_domain(tags[b"d"].decode())
    except _LIBRARY_ERRORS as error:
        raise Unverified(Result.PERMERROR) from error


def wants_simple_body(tags: Tags, default: bytes = b"simple/simple") -> bool:
    """Whether the body is hashed in simple form (RFC 6376 section 3.5, `c=`)."""
    return not tags.get(b"c", default).endswith(b"/relaxed")


def check_body(tags: Tags, bodies: BodyHashes) -> None:
    """Compare `bh=`; raises `Unverified`. Half a body (`l=`) proves nothing: anybody can add to it (section 8.2)."""
    if tags[b"a"].endswith(b"sha1") or b"l" in tags:
        raise Unverified(Result.POLICY)
    try:
        claimed = base64.b64decode(_SPACE.sub(b"", tags[b"bh"]))
    except ValueError as error:
        raise Unverified(Result.PERMERROR) from error
    if claimed != (bodies.simple if wants_simple_body(tags) else bodies.relaxed):
        raise Unverified(Result.FAIL)


def signed_names(tags: Tags) -> list[bytes]:
    """`h=`, in lower case, with From in it (RFC 6376 section 5.4); raises `Unverified`."""
    names = [name.lower() for name in _SEPARATOR.split(tags[b"h"].strip())]
    if len(names) > SIGNED_NAMES_MAX:
        raise Unverified(Result.POLICY)
    if b"from" not in names:
        raise Unverified(Result.PERMERROR)
    return names


def check_signature(
    tags: Tags, names: list[bytes], signature: HeaderField, header: HeaderSection, lookups: Lookups
) -> None:
    """Find the key and verify `b=` over the named fields; raises `Unverified`, and `Temporary` where the DNS does not
    answer.
    """
    fields = _covered(names, header)
    without_body = {name: value for name, value in tags.items() if name != b"bh"}  # `check_body` has seen to that
    flaw = Unverified(Result.FAIL)
    for key in _find_keys(tags, lookups):
        try:
            _check_use(key, tags)
            if _Verifier(fields, key).verify_sig_process(without_body, list(names), signature, None):
                return
            flaw = Unverified(Result.FAIL)
        except Unverified as unverified:
            flaw = unverified
        except _LIBRARY_ERRORS:
            flaw = Unverified(Result.PERMERROR)
    raise flaw


@dataclass(frozen=True, slots=True)
class _Key:
    """A key record (RFC 6376 section 3.6.1), as the library gives it."""

    key: Any
    bits: int
    kind: bytes
    tags: Tags


class _Verifier(dkim.DomainSigner):  # type: ignore[misc]
    """The library's verifier, with what it would have taken from the letter and the DNS."""

    def __init__(self, fields: list[HeaderField], key: _Key) -> None:
        super().__init__()
        self.headers = fields
        self.pk, self.keysize, self.ktag, self.seqtlsrpt = key.key, key.bits, key.kind, False


def _covered(names: list[bytes], header: HeaderSection) -> list[HeaderField]:
    """The fields the names mean, from the bottom (RFC 6376 section 5.4.2); From once more, for the library does so."""
    fields = [
        field
        for name in dict.fromkeys(names)
        for field in header.named(name)[-(names.count(name) + (name == b"from")) :]
    ]
    if sum(len(field.raw) for field in fields) > SIGNED_BYTES_MAX:
        raise Unverified(Result.POLICY)
    return [as_library_field(field.raw) for field in fields]


def as_library_field(raw: bytes) -> HeaderField:
    """A field apart, its end a CRLF though the letter ends in it."""
    name, _, value = raw.partition(b":")
    return _Name(name), value if value.endswith(b"\r\n") else value + b"\r\n"


class _Name(bytes):
    """The name of a field. What the library compares and relaxes is its lower case, without a blank before the colon
    (RFC 5322 section 4.5.8); what it hashes in simple form is all of it.
    """

    def lower(self) -> bytes:
        """As `h=` has it."""
        return super().lower().rstrip(b" \t")


def _find_keys(tags: Tags, lookups: Lookups) -> list[_Key]:
    """The keys that are published for a signature; raises `Unverified` where there is none that can be read.

    There should be one record. Of more the first is no better than the others (RFC 6376 section 6.1.2).
    """
    try:
        name = f"{canonical_domain(tags[b's'].decode())}._domainkey.{domain_of(tags)}"
        texts = lookups.texts(name)
    except (*_LIBRARY_ERRORS, TooMany) as error:
        raise Unverified(Result.PERMERROR) from error
    keys = [key for text in texts[:KEYS_READ_MAX] if (key := _read_key(text)) is not None]
    if not keys:
        raise Unverified(Result.PERMERROR)
    return keys[:KEYS_TRIED_MAX]


@lru_cache(maxsize=1000)
def _read_key(record: bytes) -> _Key | None:
    """A key record; None where it is none, or its key cannot be read or was withdrawn."""
    if len(record) > KEY_BYTES_MAX:
        return None
    try:
        tags: Tags = parse_tag_value(record)
        if tags.get(b"v", b"DKIM1") != b"DKIM1":
            return None
        # What the key is for stands in lists, and the library knows no lists: `_check_use` does.
        key, bits, kind, _ = dkim.evaluate_pk("", b"k=%b; p=%b" % (tags.get(b"k", b"rsa"), tags[b"p"]))
    except _LIBRARY_ERRORS:
        return None
    return _Key(key, bits, kind, tags)


def _check_use(key: _Key, tags: Tags) -> None:
    """What the record says the key is for (RFC 6376 section 3.6.1), and whether it proves anything (RFC 8301)."""
    if key.kind == b"rsa" and (key.bits not in RSA_BITS or key.key["publicExponent"] > RSA_EXPONENT_MAX):
        raise Unverified(Result.POLICY)
    if b"y" in _words(key.tags.get(b"t", b"")):  # its owner is only testing: as if there were no signature
        raise Unverified(Result.POLICY)
    services = _words(key.tags.get(b"s", b"*"))
    hashes = _words(key.tags.get(b"h", b"sha256"))
    is_strict = b"s" in _words(key.tags.get(b"t", b""))
    identity = tags.get(b"i", b"@" + tags[b"d"]).rpartition(b"@")[2]
    fits = (
        tags[b"a"].startswith(key.kind + b"-")
        and not services.isdisjoint((b"*", b"email"))
        and b"sha256" in hashes
        and (not is_strict or identity.lower() == tags[b"d"].lower())
    )
    if not fits:
        raise Unverified(Result.PERMERROR)


def _words(value: bytes) -> set[bytes]:
    return {word.strip().lower() for word in value.split(b":")}
