"""DMARC (RFC 9989) with the DNS: whether a proven domain belongs to the author's, and who owns both.

The policy (`p=`) is not read: what a domain's owner wants done with forgeries does not matter here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from pennyred.gate.authentication import dmarc
from pennyred.gate.authentication.lookups import Lookups, Temporary, TooMany
from pennyred.gate.rules.claims import author_of
from pennyred.gate.rules.origin import Finding, Result
from pennyred.postage.letter import HeaderSection


@dataclass(frozen=True, slots=True)
class Alignment:
    """The result of the DMARC check for the author's domain."""

    finding: Finding
    is_aligned: bool
    """Whether the author is proven. If the domains are equal, no record has to be published for that."""


class Registered:
    """The public suffix list: the registered name under which a domain is counted, and the level above which domains do
    not belong together. It comes with the library and takes some tenths of a second to load, once a process.

    DMARC's organisational domain is what the owner publishes. He can make each subdomain an organisation of its own.
    And below a public suffix that has a record without `psd=y`, all domains would be one organisation.
    """

    def __init__(self) -> None:
        # Only the registries' part: whoever gives names away below his own domain is responsible for them here.
        self._sold = _list(only_icann=True)
        self._given_away = _list(only_icann=False)

    def of(self, domain: str) -> str:
        """The registered domain that a domain belongs to; a public suffix is returned as it is."""
        return str(self._sold.privatesuffix(domain) or domain) if domain else ""

    def owners(self, domain: str) -> str:
        """The domain of one owner: as `of`, but names that a domain gives to others count as theirs."""
        return str(self._given_away.privatesuffix(domain) or domain) if domain else ""


@lru_cache
def _list(*, only_icann: bool) -> PublicSuffixList:
    return PublicSuffixList(only_icann=only_icann)


class Organisations:
    """The tree walks for one letter (RFC 9989 section 4.10); each is done once."""

    def __init__(self, lookups: Lookups, registered: Registered) -> None:
        self._lookups = lookups
        self._registered = registered
        self._walked: dict[str, dict[str, dmarc.Record]] = {}

    def records(self, domain: str) -> dict[str, dmarc.Record]:
        """The records that a walk from `domain` finds, in its order; raises `Temporary` and `TooMany`."""
        found = self._walked.get(domain)
        if found is None:
            found = self._walked[domain] = self._walk(domain)
        return found

    def of(self, domain: str) -> str:
        """The organisational domain, never a public suffix (others have names there); raises `Temporary`, `TooMany`.

        A public suffix may have a record without `psd=y`: registries published theirs years before that tag existed.
        """
        organisation, owner = dmarc.organisational_domain(domain, self.records(domain)), self._registered.owners(domain)
        return organisation if f".{organisation}".endswith(f".{owner}") else owner

    def _walk(self, domain: str) -> dict[str, dmarc.Record]:
        found: dict[str, dmarc.Record] = {}
        for name in dmarc.walk_names(domain):
            record = dmarc.only_record(self._lookups.texts(dmarc.query_name(name)))
            if record is not None:
                found[name] = record
            if dmarc.ends_walk(record):
                break
        return found


def author_domain(header: HeaderSection) -> str:
    """The domain, canonical, of the one address in the one From field. Empty if there is not exactly one author, or no
    DNS domain (RFC 9989 section 5.3.1).
    """
    author = author_of(header)
    return "" if author is None or author.domain.startswith("[") else author.domain


def check_alignment(author: str, sender: str, signers: Sequence[str], organisations: Organisations) -> Alignment:
    """Whether `author` is aligned with a domain that SPF (`sender`) or DKIM (`signers`) has proven (RFC 9989 4.4).

    An empty `author` means that there is none. DNS errors are in the result, not raised.
    """
    if not author:
        return Alignment(Finding("dmarc", Result.PERMERROR), is_aligned=False)
    is_same = author in (sender, *signers)
    has_record = False
    try:
        record = dmarc.policy_record(author, organisations.records(author))
        has_record = record is not None
        is_aligned = is_same or _is_related(author, sender, signers, record or dmarc.Record(), organisations)
        result = Result.PASS if is_aligned else Result.FAIL
    except Temporary:
        is_aligned, result = is_same, Result.TEMPERROR
    except TooMany:
        is_aligned, result = is_same, Result.PERMERROR
    if not has_record and result in (Result.PASS, Result.FAIL):
        result = Result.NONE
    return Alignment(Finding("dmarc", result, (("header.from", author),)), is_aligned)


def _is_related(
    author: str, sender: str, signers: Sequence[str], record: dmarc.Record, organisations: Organisations
) -> bool:
    """Whether both are aligned (RFC 9989 section 4.4): relaxed, unless the record asks for strict."""
    others = [sender] if sender and record.spf_mode is dmarc.Mode.RELAXED else []
    others += signers if record.dkim_mode is dmarc.Mode.RELAXED else []
    organisation = organisations.of(author)
    silent: Temporary | None = None
    for other in dict.fromkeys(others):
        try:
            if f".{other}".endswith(f".{organisation}") and organisations.of(other) == organisation:
                return True
        except Temporary as error:  # another domain may still prove it
            silent = error
    if silent is not None:
        raise silent
    return False
