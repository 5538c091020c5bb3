"""What a trusted front has found out before the gate, if the settings name it (RFC 8601 section 5).

A front has seen the client, which the gate cannot see. It must strip fields that pretend to be its own, as RFC 8601
demands. Besides, only fields that a machine nearby can have added are read: those above the first Received field. If
there are none, those above the second are read.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice

from pennyred.gate.authentication.claims import Claim, Claims, read_claims, says_author_passes
from pennyred.gate.authentication.dkim import DkimSignature, leaves_no_room, read_signature
from pennyred.gate.authentication.signatures import covers
from pennyred.gate.letterbox import Envelope
from pennyred.gate.rules.authres import KEY
from pennyred.gate.rules.origin import Authentication, Finding, Result
from pennyred.postage.letter import Field, HeaderSection

FIELDS_MAX = 10
"""The most fields that are read; several milters may each have added one."""
LINES_MAX = 100
"""The most header fields that are searched, from the top."""
SIGNATURES_LOOKED_AT_MAX = 50
_SIGNATURES_MAX = 5
_WRITER_BYTES = 512
"""How much of a field is searched for the name of its writer."""
_SEPARATES = re.compile(rb'[\s;"()\\]')
_SIGNERS_WORDS = re.compile(rb"(?:\A|;)\s*([ids])\s*=([^;]*)")
_PLAIN_IDENTITY = re.compile(rb"[^\s;\"()\\=]*")
_PLAIN_NAME = re.compile(rb"[\w.-]*")


def can_be_retold(header: HeaderSection, envelope: Envelope) -> bool:
    """Whether the sender's own names cannot have made the front write a result of the sender's choice.

    Many fronts copy MAIL FROM, the client's name (as in their Received field) and a signature's `i=` (decoded) as they
    are. Then EHLO `x; dkim=pass header.d=bank.example`, or
    `i=x=3B=20dkim=3Dpass=20header.d=3Dbank.example=20@evil.example`, looks like a result.
    """
    if any(_SEPARATES.search(said) for said in (envelope.sender, envelope.helo.encode("utf-8", "replace"))):
        return False
    hops = header.named(b"received")
    return (not hops or hops[0].value.count(b";") <= 1) and is_plainly_signed(header)


def is_plainly_signed(header: HeaderSection) -> bool:
    """Whether the names in all signatures have plain characters only."""
    signatures = header.named(b"dkim-signature")
    if len(signatures) > SIGNATURES_LOOKED_AT_MAX:
        return False
    said = (one for field in signatures for one in _SIGNERS_WORDS.findall(field.value))
    return all((_PLAIN_IDENTITY if tag == b"i" else _PLAIN_NAME).fullmatch(value.strip()) for tag, value in said)


def believe_fronts(
    header: HeaderSection, fronts: AbstractSet[str], author: str, *, hides_lines: bool
) -> Authentication | None:
    """What the named fronts say of the letter; None if none of them has written anything.

    `fronts` are authserv-ids in lower case. `author` is the canonical domain of From, empty if there is none. The DNS
    is not asked: domains are aligned if the front says so or if they are equal, and each is its own organisation.
    """
    fields = list(_said_by(fronts, header))
    if not fields:
        return None
    passed = [claim for field in fields for claim in field.results if claim.is_pass]
    sender, name = _sender(passed)
    signers = list(dict.fromkeys(filter(None, map(_signer, passed))))
    signers = sorted(signers, key=lambda signer: signer != author)[:_SIGNATURES_MAX]
    domains = frozenset(filter(None, [sender, *signers]))
    says_aligned = says_author_passes([claim for field in fields for claim in field.results], author)
    is_aligned = bool(author) and (says_aligned or author in domains)
    findings = [Finding("spf", Result.PASS, ((name, sender),))] if sender else []
    findings += [Finding("dkim", Result.PASS, (("header.d", signer),)) for signer in signers]
    if author and says_aligned:
        findings.append(Finding("dmarc", Result.PASS, (("header.from", author),)))
    author_domain = author if is_aligned else ""
    organisation = author_domain or sender or next(iter(signers), "")
    own = _own_signatures(header, author)
    is_signed = bool(author_domain and own) and any(_are_kin(author, one) for one in signers)
    # The front does not say which one holds.
    is_signed = is_signed and all(leaves_no_room(one, header, hides_lines=hides_lines) for one in own)
    return Authentication(
        tuple(findings), domains, sender, author_domain, organisation, is_author_signed=is_signed,
        is_id_signed=is_signed and all(covers(one.tags, header, b"message-id") for one in own),
    )  # fmt: skip


def _own_signatures(header: HeaderSection, author: str) -> list[DkimSignature]:
    """The signatures of the author's domain and its kin; one that cannot be read may be such a one."""
    read = (read_signature(field) for field in header.named(b"dkim-signature"))
    return [one for one in read if not one.domain or _are_kin(author, one.domain)]


def _are_kin(one: str, other: str) -> bool:
    """Whether one of these domains is the other, or below it."""
    return f".{one}".endswith(f".{other}") or f".{other}".endswith(f".{one}")


def _said_by(fronts: AbstractSet[str], header: HeaderSection) -> list[Claims]:
    """The fields that the named fronts have written: the newest ones, as the front may not have stripped others below.
    A field that does not begin with such a name is not parsed.
    """
    names = tuple(front.encode() for front in fronts)
    results = ((field, hops) for field, hops in _above_second_received(header) if field.key == KEY)
    mentioning = (one for one in results if any(name in one[0].value[:_WRITER_BYTES].lower() for name in names))
    read = [(read_claims(field.value), hops) for field, hops in islice(mentioning, FIELDS_MAX)]
    theirs = [(claims, hops) for claims, hops in read if claims is not None and claims.writer in fronts]
    return [claims for claims, hops in theirs if hops == min(hops for _, hops in theirs)]


def _above_second_received(header: HeaderSection) -> Iterator[tuple[Field, int]]:
    """The fields above the second Received field, each with the number of Received fields above it."""
    hops = 0
    for field in header.fields[:LINES_MAX]:
        hops += field.key == b"received"
        if hops > 1:
            return
        yield field, hops


def _sender(passed: list[Claim]) -> tuple[str, str]:
    """The domain that SPF has proven, and which identity it is (MAIL FROM or HELO)."""
    for claim in passed:
        for name in ("smtp.mailfrom", "smtp.helo"):
            if claim.method == "spf" and claim.domain(name):
                return claim.domain(name), name
    return "", ""


def _signer(claim: Claim) -> str:
    return (claim.domain("header.d") or claim.domain("header.i")) if claim.method == "dkim" else ""
