"""Who says to have written a letter: the one address in its one From field."""

from pennyred.gate.rules.claims import author_of
from pennyred.postage.letter import HeaderSection


def author_domain(header: HeaderSection) -> str:
    """The domain, canonical; empty where there is not exactly one author, or no domain of the DNS (RFC 9989 5.3.1)."""
    author = author_of(header)
    return "" if author is None or author.domain.startswith("[") else author.domain
