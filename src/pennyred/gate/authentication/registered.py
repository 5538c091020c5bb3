"""The public suffix list: the registered name under which a domain is counted, and the level above which domains do not
belong together.

DMARC's organisational domain is what the owner publishes. He can make each subdomain an organisation of its own. And
below a public suffix that has a record without `psd=y`, all domains would be one organisation.
"""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


class Registered:
    """The public suffix list that comes with the library. It takes some tenths of a second to load, once a process."""

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
