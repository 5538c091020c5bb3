"""The author that a letter names: the one address in its one From field."""

from pennyred.gate.rules.claims import author_of
from pennyred.postage.letter import HeaderSection


def author_domain(header: HeaderSection) -> str:
    """The author's domain, canonical. Empty if there is not exactly one author, or no DNS domain (RFC 9989 5.3.1)."""
    author = author_of(header)
    return "" if author is None or author.domain.startswith("[") else author.domain
