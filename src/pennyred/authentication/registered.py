"""Under which name a domain is counted: the one somebody has paid for.

DMARC's organisational domain is whatever its owner says it is: with a record of its own, or with none, each subdomain
is an organisation. Allowances must not be had for the making of names, so they go by the public suffix list.
"""

from publicsuffixlist import PublicSuffixList


class Registered:
    """The public suffix list, as it came with the library; making it takes a tenth of a second."""

    def __init__(self) -> None:
        # The registries' part only: who gives names away below his own domain answers for them here.
        self._list = PublicSuffixList(only_icann=True)

    def of(self, domain: str) -> str:
        """The registered domain of a domain; itself where it is a public suffix."""
        return str(self._list.privatesuffix(domain) or domain) if domain else ""
