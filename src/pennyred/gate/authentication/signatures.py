"""One signature of DKIM (RFC 6376) or ARC: reads it, finds its key, verifies it.

Parts of the dkimpy library are used (tags, canonical header fields, RSA and Ed25519). It never gets the body: the hash
was made while the letter came in. Of the header it gets only signed fields within the limits.
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
from pennyred.postage.reading.texts import BODY_NAMES, REPLY_NAMES, has_words, may_have_parts

FIELD_BYTES_MAX = 8 * 1024
"""The longest field with a signature: honest ones have less than one KiB."""
SIGNED_NAMES_MAX = 200
SIGNED_BYTES_MAX = 128 * 1024
"""The most octets of the fields that a signature covers: an expression over more would stop all other threads."""
KEY_BYTES_MAX = 4096
KEYS_READ_MAX = 10
"""The most records that are read at one name: a wildcard may bring other records beside a key."""
KEYS_TRIED_MAX = 3
RSA_BITS = range(1024, 4096 + 1)
"""RFC 8301 section 3.2: shorter keys prove nothing, and a verifier need not accept longer ones."""
RSA_EXPONENT_MAX = 2**32 - 1
MANDATORY = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
"""Tags without which a `DKIM-Signature` is none (RFC 6376 section 6.1.1)."""

_GAP = re.compile(rb"\s{100}")
"""White space for which the library's expressions take time that grows with the square of its length."""
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
"""The exceptions that the library raises for what strangers write."""

_OBEYED = (b"subject", *REPLY_NAMES)
"""The fields besides From by which whoever adds one speaks for the author, or gets his answers."""

_DESCRIBING = (b"content-type", *BODY_NAMES)
"""The fields by which he has his own words shown beside the text, if they have any."""

Tags = dict[bytes, bytes]
HeaderField = tuple[bytes, bytes]
"""A name and a value, as the library needs them: the value with all its white space and a CRLF."""


class Unverified(Exception):  # noqa: N818 - it is an outcome
    """The signature does not hold; `result` says why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result


@dataclass(frozen=True, slots=True)
class BodyHashes:
    """SHA-256 of the body in both canonical forms; `simple` is empty if no signature needs it."""

    relaxed: bytes
    simple: bytes = b""
    hides_lines: bool = False
    """Whether lines have nothing but white space in them, which the relaxed form takes for empty ones."""


def is_unbearable(value: bytes) -> bool:
    """Whether the library must not get this value, because its time would grow with the square of the length."""
    return len(value) > FIELD_BYTES_MAX or _GAP.search(value) is not None


def read_tags(value: bytes, mandatory: Sequence[bytes] = MANDATORY, *, is_arc: bool = False) -> Tags:
    """The tags of a `DKIM-Signature` or of an ARC field; raises `Unverified` if it cannot be verified."""
    if is_unbearable(value):
        raise Unverified(Result.POLICY)
    try:
        tags: Tags = parse_tag_value(value)
        if b"dns/txt" in _words(tags.get(b"q", b"")):  # it is a list (section 3.5), but the library expects one word
            tags[b"q"] = b"dns/txt"
        dkim.validate_signature_fields(tags, mandatory, arc=is_arc)
    except _LIBRARY_ERRORS as error:
        raise Unverified(Result.PERMERROR) from error
    return tags


def domain_of(tags: Tags) -> str:
    """The signing domain (`d=`), canonical; raises `Unverified`."""
    try:
        return canonical_domain(tags[b"d"].decode())
    except _LIBRARY_ERRORS as error:
        raise Unverified(Result.PERMERROR) from error


def wants_simple_body(tags: Tags, default: bytes = b"simple/simple") -> bool:
    """Whether the body is hashed in simple form (RFC 6376 section 3.5, `c=`)."""
    return not tags.get(b"c", default).endswith(b"/relaxed")


def check_body(tags: Tags, bodies: BodyHashes) -> None:
    """Compare `bh=` with the body's hash; raises `Unverified`. `l=` proves nothing: text can be added (8.2)."""
    if tags[b"a"].endswith(b"sha1") or b"l" in tags:
        raise Unverified(Result.POLICY)
    try:
        claimed = base64.b64decode(_SPACE.sub(b"", tags[b"bh"]))
    except ValueError as error:
        raise Unverified(Result.PERMERROR) from error
    if claimed != (bodies.simple if wants_simple_body(tags) else bodies.relaxed):
        raise Unverified(Result.FAIL)


def signed_names(tags: Tags) -> list[bytes]:
    """The names in `h=`, in lower case; raises `Unverified` if From is not among them (RFC 6376 section 5.4)."""
    names = [name.lower() for name in _SEPARATOR.split(tags[b"h"].strip())]
    if len(names) > SIGNED_NAMES_MAX:
        raise Unverified(Result.POLICY)
    if b"from" not in names:
        raise Unverified(Result.PERMERROR)
    return names


def leaves_no_room(tags: Tags, header: HeaderSection, *, hides_lines: bool, default: bytes = b"simple/simple") -> bool:
    """Whether nobody can have put words of his own into a letter, or hidden some of its author's, without breaking this
    signature; raises `Unverified`. `default` is what it means without `c=`.

    A signature that holds says nothing of fields it does not cover: it covers the lowest ones of a name, as many as
    `h=` names (RFC 6376 section 5.4.2), and never a line that is no field, which some readers show as text. Of a body
    in relaxed form it does not say which lines are empty, so nor where the header of a part ends (`hides_lines`).
    """
    if hides_lines and may_have_parts(header) and not wants_simple_body(tags, default):
        return False
    speaking = [key for key in _DESCRIBING if any(map(has_words, header.named(key)))]
    return covers(tags, header, *_OBEYED, *speaking) and not header.strays and b"l" not in tags


def covers(tags: Tags, header: HeaderSection, *keys: bytes) -> bool:
    """Whether a signature covers each field of these names, if there is any; raises `Unverified`."""
    names = signed_names(tags)
    return all(names.count(key) >= len(header.named(key)) for key in keys)


def check_signature(
    tags: Tags, names: list[bytes], signature: HeaderField, header: HeaderSection, lookups: Lookups
) -> None:
    """Find the key and verify `b=` over the named fields. Raises `Unverified`, and `Temporary` if the DNS does not
    answer.
    """
    fields = _covered(names, header)
    without_body = {name: value for name, value in tags.items() if name != b"bh"}  # `check_body` has compared it
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
    """A key record (RFC 6376 section 3.6.1), as the library reads it."""

    key: Any
    bits: int
    kind: bytes
    tags: Tags


class _Verifier(dkim.DomainSigner):  # type: ignore[misc]
    """The library's verifier; it is given what it would else take from the letter and the DNS."""

    def __init__(self, fields: list[HeaderField], key: _Key) -> None:
        super().__init__()
        self.headers = fields
        self.pk, self.keysize, self.ktag, self.seqtlsrpt = key.key, key.bits, key.kind, False


def _covered(names: list[bytes], header: HeaderSection) -> list[HeaderField]:
    """The fields that the names mean, from the bottom (RFC 6376 section 5.4.2); From once more, as in the library."""
    fields = [
        field
        for name in dict.fromkeys(names)
        for field in header.named(name)[-(names.count(name) + (name == b"from")) :]
    ]
    if sum(len(field.raw) for field in fields) > SIGNED_BYTES_MAX:
        raise Unverified(Result.POLICY)
    return [as_library_field(field.raw) for field in fields]


def as_library_field(raw: bytes) -> HeaderField:
    """A field as name and value, with CRLF at its end even if the letter ends without one."""
    name, _, value = raw.partition(b":")
    return _Name(name), value if value.endswith(b"\r\n") else value + b"\r\n"


class _Name(bytes):
    """The name of a field. The library compares and relaxes its lower case, which is without a blank before the colon
    (RFC 5322 section 4.5.8). In simple form it hashes all of the name.
    """

    def lower(self) -> bytes:
        """The name in lower case, as in `h=`."""
        return super().lower().rstrip(b" \t")


def _find_keys(tags: Tags, lookups: Lookups) -> list[_Key]:
    """The keys that are published for a signature; raises `Unverified` if none can be read.

    There should be one record. If there are more, each may be the right one (RFC 6376 section 6.1.2).
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
    """Read a key record; None if it is none, or if its key cannot be read or was withdrawn."""
    if len(record) > KEY_BYTES_MAX:
        return None
    try:
        tags: Tags = parse_tag_value(record)
        if tags.get(b"v", b"DKIM1") != b"DKIM1":
            return None
        # The uses of a key are lists, which the library cannot read: `_check_use` does.
        key, bits, kind, _ = dkim.evaluate_pk("", b"k=%b; p=%b" % (tags.get(b"k", b"rsa"), tags[b"p"]))
    except _LIBRARY_ERRORS:
        return None
    return _Key(key, bits, kind, tags)


def _check_use(key: _Key, tags: Tags) -> None:
    """Check the key's allowed uses (RFC 6376 section 3.6.1) and its strength (RFC 8301); raises `Unverified`."""
    if key.kind == b"rsa" and (key.bits not in RSA_BITS or key.key["publicExponent"] > RSA_EXPONENT_MAX):
        raise Unverified(Result.POLICY)
    if b"y" in _words(key.tags.get(b"t", b"")):  # the owner is only testing: it counts as no signature
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
