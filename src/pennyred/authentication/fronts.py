"""What a trusted front has found out before us, where the settings name it (RFC 8601 section 5).

A front speaks for the client, so it has seen what we cannot see any more. It must strip what pretends to be its own, as
RFC 8601 demands; besides, only fields that a machine nearby can have added are looked at, those above the second
Received field.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice

from pennyred.authentication.claims import Claim, Claims, read_claims
from pennyred.postage.authentication import Authentication, Finding, Result
from pennyred.postage.authres import KEY
from pennyred.postage.letter import Field, HeaderSection

FIELDS_MAX = 5
"""Looked at; a milter each may have added one."""
LINES_MAX = 100
"""Of the header, from the top."""
_SIGNATURES_MAX = 5
_WRITER_BYTES = 512
"""Within which a field says who wrote it."""


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
    signers = list(dict.fromkeys(filter(None, map(_signer, passed))))[:_SIGNATURES_MAX]
    domains = frozenset(filter(None, [sender, *signers]))
    says_aligned = any(claim.method == "dmarc" and claim.domain("header.from") == author for claim in passed)
    is_aligned = bool(author) and (says_aligned or author in domains)
    findings = [Finding("spf", Result.PASS, ((name, sender),))] if sender else []
    findings += [Finding("dkim", Result.PASS, (("header.d", signer),)) for signer in signers]
    if author and says_aligned:
        findings.append(Finding("dmarc", Result.PASS, (("header.from", author),)))
    author_domain = author if is_aligned else ""
    organisation = author_domain or sender or next(iter(signers), "")
    return Authentication(tuple(findings), domains, sender, author_domain, organisation)


def _said_by(fronts: AbstractSet[str], header: HeaderSection) -> Iterator[Claims]:
    """What the named ones have written. What does not begin with such a name is not parsed: that takes long."""
    names = tuple(front.encode() for front in fronts)
    fields = (field for field in _above_second_received(header) if field.key == KEY)
    mentioning = (field for field in fields if any(name in field.value[:_WRITER_BYTES].lower() for name in names))
    for field in islice(mentioning, FIELDS_MAX):
        claims = read_claims(field.value)
        if claims is not None and claims.writer in fronts:
            yield claims


def _above_second_received(header: HeaderSection) -> Iterator[Field]:
    received = 0
    for field in header.fields[:LINES_MAX]:
        received += field.key == b"received"
        if received > 1:
            return
        yield field


def _sender(passed: list[Claim]) -> tuple[str, str]:
    """The domain SPF has proven, and which identity that is."""
    for claim in passed:
        for name in ("smtp.mailfrom", "smtp.helo"):
            if claim.method == "spf" and claim.domain(name):
                return claim.domain(name), name
    return "", ""


def _signer(claim: Claim) -> str:
    return (claim.domain("header.d") or claim.domain("header.i")) if claim.method == "dkim" else ""
