"""What a trusted front has found out before us, where the settings name it (RFC 8601 section 5).

A front speaks for the client, so it has seen what we cannot see any more. It must strip what pretends to be its own, as
RFC 8601 demands; besides, only fields that a machine nearby can have added are looked at: those above the first
Received field, or, where there are none, those above the second.
"""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice

from pennyred.gate.authentication.claims import Claim, Claims, read_claims, says_author_passes
from pennyred.gate.letterbox import Envelope
from pennyred.gate.rules.authres import KEY
from pennyred.gate.rules.origin import Authentication, Finding, Result
from pennyred.postage.letter import Field, HeaderSection

FIELDS_MAX = 10
"""Looked at; a milter each may have added one."""
LINES_MAX = 100
"""Of the header, from the top."""
SIGNATURES_LOOKED_AT_MAX = 50
_SIGNATURES_MAX = 5
_WRITER_BYTES = 512
"""Within which a field says who wrote it."""
_SEPARATES = re.compile(rb'[\s;"()\\]')
_SIGNERS_WORDS = re.compile(rb"(?:\A|;)\s*([ids])\s*=([^;]*)")
_PLAIN_IDENTITY = re.compile(rb"[^\s;\"()\\=]*")
_PLAIN_NAME = re.compile(rb"[\w.-]*")


def can_be_retold(header: HeaderSection, envelope: Envelope) -> bool:
    """Whether a front can have written down what the sender calls himself without writing a result of his choice.

    Many write MAIL FROM, the client's name (its own Received field has that, too) and a signature's `i=` (without its
    encoding) as they are. Then EHLO `x; dkim=pass header.d=bank.example`, or
    `i=x=3B=20dkim=3Dpass=20header.d=3Dbank.example=20@evil.example`, is a result like any other.
    """
    if any(_SEPARATES.search(said) for said in (envelope.sender, envelope.helo.encode("utf-8", "replace"))):
        return False
    hops = header.named(b"received")
    return (not hops or hops[0].value.count(b";") <= 1) and is_plainly_signed(header)


def is_plainly_signed(header: HeaderSection) -> bool:
    """Whether the names in all signatures are plain ones."""
    signatures = header.named(b"dkim-signature")
    if len(signatures) > SIGNATURES_LOOKED_AT_MAX:
        return False
    said = (one for field in signatures for one in _SIGNERS_WORDS.findall(field.value))
    return all((_PLAIN_IDENTITY if tag == b"i" else _PLAIN_NAME).fullmatch(value.strip()) for tag, value in said)


def believe_fronts(header: HeaderSection, fronts: AbstractSet[str], author: str) -> Authentication | None:
    """What the named fronts say of the letter; None where none of them has said anything.

    `fronts` are authserv-ids in lower case; `author` is the domain of From, canonical, empty where there is none. The
    DNS is not asked, so alignment is what the front says, or identity, and each domain is its own organisation.
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
    return Authentication(tuple(findings), domains, sender, author_domain, organisation)


def _said_by(fronts: AbstractSet[str], header: HeaderSection) -> list[Claims]:
    """What the named ones have written: the newest of it, for below may stand what the front did not strip. What does
    not begin with such a name is not parsed.
    """
    names = tuple(front.encode() for front in fronts)
    results = ((field, hops) for field, hops in _above_second_received(header) if field.key == KEY)
    mentioning = (one for one in results if any(name in one[0].value[:_WRITER_BYTES].lower() for name in names))
    read = [(read_claims(field.value), hops) for field, hops in islice(mentioning, FIELDS_MAX)]
    theirs = [(claims, hops) for claims, hops in read if claims is not None and claims.writer in fronts]
    return [claims for claims, hops in theirs if hops == min(hops for _, hops in theirs)]


def _above_second_received(header: HeaderSection) -> Iterator[tuple[Field, int]]:
    """Each with how many Received fields stand above it."""
    hops = 0
    for field in header.fields[:LINES_MAX]:
        hops += field.key == b"received"
        if hops > 1:
            return
        yield field, hops


def _sender(passed: list[Claim]) -> tuple[str, str]:
    """The domain SPF has proven, and which identity that is."""
    for claim in passed:
        for name in ("smtp.mailfrom", "smtp.helo"):
            if claim.method == "spf" and claim.domain(name):
                return claim.domain(name), name
    return "", ""


def _signer(claim: Claim) -> str:
    return (claim.domain("header.d") or claim.domain("header.i")) if claim.method == "dkim" else ""
