"""ARC (RFC 8617): what a trusted forwarder has sealed about the letter as it came to the forwarder."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import dkim

from pennyred.gate.authentication import signatures
from pennyred.gate.authentication.claims import read_claims, says_author_passes
from pennyred.gate.authentication.fronts import is_plainly_signed
from pennyred.gate.authentication.lookups import Lookups, Temporary
from pennyred.gate.authentication.signatures import BodyHashes, HeaderField, Tags, Unverified
from pennyred.gate.rules.origin import Finding, Result
from pennyred.postage.address import canonical_domain
from pennyred.postage.letter import Field, HeaderSection

INSTANCES_MAX = 10
"""RFC 8617 section 4.2.1 allows 50. Each costs a DNS question and a signature check; real chains have three."""
RELAXED = b"relaxed/relaxed"

_RESULTS, _MESSAGE_SIGNATURE, _SEAL = _KEYS = (
    b"arc-authentication-results",
    b"arc-message-signature",
    b"arc-seal",
)
_MANDATORY = {
    _MESSAGE_SIGNATURE: (b"i", b"a", b"b", b"bh", b"d", b"h", b"s"),
    _SEAL: (b"i", b"a", b"b", b"cv", b"d", b"s"),
}
_INSTANCE = re.compile(rb"\s*i\s*=\s*([0-9]{1,2})\s*;")


@dataclass(frozen=True, slots=True)
class ArcChain:
    """A chain whose newest set was sealed by a trusted domain; it is not verified yet."""

    instance: bytes
    sealer: str
    """The domain of the newest seal, canonical."""
    wants_simple_body: bool


@dataclass(frozen=True, slots=True)
class ArcAnswer:
    """The result of the check of a chain."""

    finding: Finding
    authors: frozenset[str] = frozenset()
    """Author domains for which DMARC has passed at the newest sealer."""
    leaves_no_room: bool = False
    """Whether the newest message signature covers all that a reader obeys, see `signatures.leaves_no_room`."""
    covers_id: bool = False
    """Whether it covers the Message-ID, too."""


def read_chain(header: HeaderSection, trusted: AbstractSet[str]) -> ArcChain | None:
    """The chain, if its last sealer is trusted and it is within the limits, else None; the DNS is not asked."""
    fields = [field for key in _KEYS for field in header.named(key)]
    if not trusted or not fields or len(fields) > len(_KEYS) * INSTANCES_MAX:
        return None
    newest = _newest_instance(header)
    if not newest:
        return None
    try:
        seal = _tags(header, _SEAL, newest)
        message = _tags(header, _MESSAGE_SIGNATURE, newest)
        sealer = signatures.domain_of(seal)
    except Unverified:
        return None
    if sealer not in trusted:
        return None
    return ArcChain(seal[b"i"], sealer, signatures.wants_simple_body(message, RELAXED))


def check_arc(chain: ArcChain, header: HeaderSection, bodies: BodyHashes, lookups: Lookups) -> ArcAnswer:
    """Verify the whole chain (RFC 8617 section 5.2). Expected errors are in the result, not raised."""
    properties = (("header.as-d", chain.sealer),)
    verifier = _Chain(chain, header, bodies, lookups)
    try:
        word, sets, _ = verifier.verify()
    except Temporary:
        return ArcAnswer(Finding("arc", Result.TEMPERROR, properties))
    except Exception:  # noqa: BLE001 - the library meets what a stranger has written
        return ArcAnswer(Finding("arc", Result.FAIL, properties))
    # The verified sealer must be the trusted one: a field must never be read in two ways.
    is_sealers = word == dkim.CV_Pass and _sealed_by(sets[0]) == (chain.sealer, int(chain.instance))
    if not is_sealers:
        return ArcAnswer(Finding("arc", Result.FAIL, properties))
    instance = int(chain.instance)
    tags = _tags(header, _MESSAGE_SIGNATURE, instance)
    covers_id = signatures.covers(tags, header, b"message-id")
    is_whole = signatures.leaves_no_room(tags, header, hides_lines=bodies.hides_lines, default=RELAXED)
    return ArcAnswer(Finding("arc", Result.PASS, properties), _authors(header, instance), is_whole, covers_id)


class _Chain(dkim.ARC):  # type: ignore[misc]
    """The library's verifier of chains. It gets the ARC fields only; signatures are verified by `signatures`."""

    def __init__(self, chain: ArcChain, header: HeaderSection, bodies: BodyHashes, lookups: Lookups) -> None:
        super().__init__()
        fields = [signatures.as_library_field(field.raw) for field in header.fields if field.key in _KEYS]
        self.headers = [(name, _Value(value)) for name, value in fields]
        self._newest = chain.instance
        self._header = header
        self._bodies = bodies
        self._lookups = lookups

    def verify_sig(self, sig: Tags, include_headers: list[bytes], sig_header: HeaderField, _dnsfunc: Any) -> bool:
        """Whether this seal or message signature holds; of the latter only the newest need hold (section 5.2)."""
        is_of_letter = b"bh" in sig
        if is_of_letter and sig[b"i"] != self._newest:
            return False
        try:
            if is_of_letter:
                signatures.signed_names(sig)
                signatures.check_body(sig, self._bodies)
            signatures.check_signature(sig, include_headers, sig_header, self._header, self._lookups)
        except Unverified:
            return False
        return True


class _Value(bytes):
    """A field's value. The library searches its lower case for ` i=1;`, so `lower` gives the instance in that form."""

    def lower(self) -> bytes:
        """The instance, in the form that the library searches for."""
        match = _INSTANCE.match(self)
        return b" i=%b;" % match[1] if match else b""


def _newest_instance(header: HeaderSection) -> int:
    """How many sets the chain has; each has each of the three fields once, from 1 on (RFC 8617 section 4.2.1).

    0 if that is not so, or if a field does not begin with its instance: a reader that looks elsewhere for it could see
    another instance.
    """
    instances = [sorted(_instance(field) for field in header.named(key)) for key in _KEYS]
    count = len(instances[0])
    return count if all(found == list(range(1, count + 1)) for found in instances) else 0


def _sealed_by(newest: Any) -> tuple[str, int]:
    """The domain and the instance of the newest set, as the library has verified it."""
    try:
        domain = newest["as-domain"]
        text = domain.decode("ascii") if isinstance(domain, bytes) else str(domain)
        return canonical_domain(text), int(newest["instance"])
    except (KeyError, TypeError, ValueError):
        return "", 0


def _instance(field: Field) -> int:
    match = _INSTANCE.match(field.value)
    return int(match[1]) if match else 0


def _tags(header: HeaderSection, key: bytes, instance: int) -> Tags:
    """The tags of one field of a set; raises `Unverified` if it, or any ARC field, is beyond the limits."""
    fields = header.named(key)
    if any(signatures.is_unbearable(field.value) for key in _KEYS for field in header.named(key)):
        raise Unverified(Result.POLICY)
    field = next((field for field in fields if _instance(field) == instance), None)
    if field is None:
        raise Unverified(Result.PERMERROR)
    return signatures.read_tags(field.value, _MANDATORY[key], is_arc=True)


def _authors(header: HeaderSection, newest: int) -> frozenset[str]:
    """The domains that passed DMARC, as the set's `ARC-Authentication-Results` says (RFC 8617 section 4.1.1)."""
    results = next((field for field in header.named(_RESULTS) if _instance(field) == newest), None)
    claims = results and read_claims(_INSTANCE.sub(b"", results.value, count=1))
    if not claims or not is_plainly_signed(header):
        return frozenset()
    authors = {claim.domain("header.from") for claim in claims.results if claim.method == "dmarc"}
    return frozenset(author for author in authors if author and says_author_passes(claims.results, author))
