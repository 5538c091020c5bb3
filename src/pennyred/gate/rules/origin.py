"""What is proven of a letter's origin, as values: results of SPF, DKIM, DMARC and ARC, and what follows from them.

Nothing is looked up here; who asks the DNS is decided by `programs`. Domains are canonical
(`address.canonical_domain`).
"""

from dataclasses import dataclass
from enum import StrEnum

from pennyred.postage.reasons import Reason


class Result(StrEnum):
    """What a method has found: the words of RFC 8601 section 2.7."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Finding:
    """One method's result, as `Authentication-Results` tells it."""

    method: str
    """`spf`, `dkim`, `dmarc` or `arc`."""
    result: Result
    properties: tuple[tuple[str, str], ...] = ()
    """Like ("header.d", "example.org"): what the result is about. Values come from strangers."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """All that is proven of one letter."""

    findings: tuple[Finding, ...] = ()
    """In the order SPF, DKIM (one a signature), DMARC, ARC; none for what was not asked."""
    domains: frozenset[str] = frozenset()
    """The domains that vouch for the letter: that of MAIL FROM (of HELO where it is `<>`) by SPF, and the `d=` of each
    DKIM signature that holds."""
    sender_domain: str = ""
    """The one of them that SPF has proven."""
    author_domain: str = ""
    """The domain of the one address in From, where it is aligned (RFC 9989 section 4.4) with one of `domains`, or where
    a trusted forwarder's ARC seal says that it was; else empty. A published DMARC record is not needed for that."""
    organisation: str = ""
    """The registered domain (by the public suffix list) that allowances count under: the author's where that is proven,
    else SPF's, else the first signature's; empty where nothing is proven."""
    sending_organisation: str = ""
    """That of whose servers send the letter: of `sender_domain`."""
    is_author_signed: bool = False
    """Whether `author_domain` is proven for the text as it was received: by an aligned DKIM signature, by the newest
    seal of a trusted forwarder, or by a trusted front's word. SPF alone says nothing of the text, and any customer of
    a shared sender passes it."""
    is_id_signed: bool = False
    """Whether that signature covers the Message-ID, too; many honest ones do not."""
    might_be_signed: bool = False
    """Whether that is not so, and the DNS did not answer what could have proven it."""
    is_unsure: bool = False
    """Whether the DNS did not answer: what is not proven now may be tomorrow."""
    is_final: bool = False
    """Of an unsure answer: whether what got no answer could have proven no author and no domain besides."""

    @property
    def doubt(self) -> Reason | None:
        """Why more may be proven at another time (the DNS does not answer); None where nothing more can be."""
        return Reason.DNS_UNAVAILABLE if self.is_unsure and not self.is_final else None


UNPROVEN = Authentication()
"""Nothing is known of where the letter comes from."""
