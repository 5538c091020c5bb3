"""DKIM (RFC 6376, RFC 8301, RFC 8463): which domains have signed this letter."""

from dataclasses import dataclass

from pennyred.gate.authentication import signatures
from pennyred.gate.authentication.lookups import Lookups, Temporary
from pennyred.gate.authentication.signatures import BodyHashes, Tags, Unverified
from pennyred.gate.rules.claims import signatures_to_try
from pennyred.gate.rules.origin import Finding, Result
from pennyred.postage.letter import Field, HeaderSection

SIGNATURES_MAX = 5
"""The most signatures of a letter that are tried: each costs a question to the DNS."""

_IDENTIFYING_CHARACTERS = 8
"""How much of `b=` is shown, to tell signatures apart (RFC 6008 section 4)."""


@dataclass(frozen=True, slots=True)
class DkimSignature:
    """A signature field that was read, and its flaw if it has one."""

    field: Field
    tags: Tags
    domain: str
    flaw: Result | None = None
    """Why the signature can hold for no letter; None if it may hold."""


@dataclass(frozen=True, slots=True)
class DkimAnswer:
    """The result of DKIM for one signature."""

    finding: Finding
    domain: str
    """The signing domain (`d=`), canonical; empty if it cannot be read."""
    leaves_no_room: bool = False
    """Whether all that a reader obeys is covered, see `signatures.leaves_no_room`; whatever the result."""
    covers_id: bool = False
    """Whether it covers the Message-ID, too."""


def read_signatures(header: HeaderSection) -> tuple[DkimSignature, ...]:
    """The signatures of a letter that are worth checking, the author's own first. The DNS is not asked."""
    return tuple(map(read_signature, signatures_to_try(header, SIGNATURES_MAX)))


def wants_simple_body(signatures_read: tuple[DkimSignature, ...]) -> bool:
    """Whether one of them needs the hash of the body in simple form."""
    return any(one.flaw is None and signatures.wants_simple_body(one.tags) for one in signatures_read)


def check_dkim(
    signatures_read: tuple[DkimSignature, ...], header: HeaderSection, bodies: BodyHashes, lookups: Lookups
) -> list[DkimAnswer]:
    """Verify one signature after the other. Expected errors are in the results, not raised."""
    return [_check(one, header, bodies, lookups) for one in signatures_read]


def read_signature(field: Field) -> DkimSignature:
    """One signature's tags, or its flaw."""
    try:
        tags = signatures.read_tags(field.value)
        return DkimSignature(field, tags, signatures.domain_of(tags))
    except Unverified as flaw:
        return DkimSignature(field, {}, "", flaw.result)


def leaves_no_room(one: DkimSignature, header: HeaderSection, *, hides_lines: bool) -> bool:
    """Whether the signature, if it holds, covers all that a reader obeys."""
    try:
        return one.flaw is None and signatures.leaves_no_room(one.tags, header, hides_lines=hides_lines)
    except Unverified:
        return False


def _check(one: DkimSignature, header: HeaderSection, bodies: BodyHashes, lookups: Lookups) -> DkimAnswer:
    result = one.flaw or _result(one, header, bodies, lookups)
    properties = (
        ("header.d", one.domain),
        ("header.s", one.tags.get(b"s", b"").decode("ascii", "replace")),
        ("header.b", one.tags.get(b"b", b"")[:_IDENTIFYING_CHARACTERS].decode("ascii", "replace")),
    )
    finding = Finding("dkim", result, properties if one.domain else ())
    is_whole = leaves_no_room(one, header, hides_lines=bodies.hides_lines)
    return DkimAnswer(finding, one.domain, is_whole, is_whole and signatures.covers(one.tags, header, b"message-id"))


def _result(one: DkimSignature, header: HeaderSection, bodies: BodyHashes, lookups: Lookups) -> Result:
    try:
        names = signatures.signed_names(one.tags)
        signatures.check_body(one.tags, bodies)
        as_signed = signatures.as_library_field(one.field.raw)
        signatures.check_signature(one.tags, names, as_signed, header, lookups)
    except Unverified as unverified:
        return unverified.result
    except Temporary:
        return Result.TEMPERROR
    return Result.PASS
