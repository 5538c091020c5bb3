"""Where names are sold, and where they are given away, by the public suffix list: under which name a domain is counted,
and above which nothing is one organisation.

DMARC's organisational domain is whatever its owner says it is: with a record of its own, or with none, each subdomain
is an organisation; and below a suffix that publishes a record without saying that it is one, all domains are the same.
"""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


class Registered:
    """The public suffix list, as it came with the library; making it takes a few tenths of a second, once a process."""

    def __init__(self) -> None:
        # The registries' part only: who gives names away below his own domain answers for them here.
        self._sold = _list(only_icann=True)
        self._given_away = _list(only_icann=False)

    def of(self, domain: str) -> str:
        """The domain that somebody has paid for; itself where it is a public suffix."""
        return str(self._sold.privatesuffix(domain) or domain) if domain else ""

    def owners(self, domain: str) -> str:
        """The domain of one owner: as `of`, but of those below a name that lets others have names each is another's."""
        return str(self._given_away.privatesuffix(domain) or domain) if domain else ""


@lru_cache
def _list(*, only_icann: bool) -> PublicSuffixList:
    return PublicSuffixList(only_icann=only_icann)
