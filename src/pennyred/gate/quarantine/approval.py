"""Approving whoever sent a letter: from now on the recipient takes their mail without a stamp.

A name is approved together with a proof. Where the letter's domain was proven, the permit asks for that proof again.
Else anybody could use the name, so the permit is only good for the network that the letter came from.
"""

from pennyred.gate.ports import PermitBook
from pennyred.gate.rules.claims import read_claims
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import HeaderSection
from pennyred.postage.networks import parse_source, source_networks

DOMAINS_MAX = 20
"""Of those that vouch for a letter, as they are written down."""


def proven(authentication: Authentication) -> str:
    """What is known of a letter's origin, in words that `approve_sender` reads: `author=D domain=D domain=D`."""
    words = [f"author={authentication.author_domain}"] if authentication.author_domain else []
    return " ".join(words + [f"domain={one}" for one in sorted(authentication.domains)[:DOMAINS_MAX]])


async def approve_sender(
    book: PermitBook,
    *,
    user: str,
    header: HeaderSection,
    source: str,
    authenticated: str,
    expires_day: int | None = None,
) -> str:
    """Write a permit for whoever sent this letter into the book. Answers a sentence: what was approved, or why not.

    `user` is the recipient's mailbox, `source` the IP address the letter came from, and `authenticated` what `proven`
    wrote then. A letter of a mailing list (List-Id, RFC 2919) approves the list; any other approves the one address in
    From. Raises `Unavailable` where the book does not answer, and `MalformedAddress` where `user` is no mailbox.
    """
    recipient = canonical_recipient(user).canonical
    kind, name, is_proven = _sender(header, authenticated.split())
    if not name:
        return "nobody is approved: the letter does not name one sender in From"
    network = "" if is_proven else _network(source)
    if not is_proven and not network:
        return f"{name} is not approved: nothing proves that a letter is theirs"
    await book.add(recipient, kind, name, network, expires_day=expires_day)
    which = f"the list {name}" if kind == "list" else name
    return f"{which} may write to {recipient} without a stamp" + (f", from {network}" if network else "")


def _sender(header: HeaderSection, words: list[str]) -> tuple[str, str, bool]:
    """The kind and the name of what to approve, and whether it was proven. The name is empty where there is nobody."""
    claims = read_claims(header, None)
    if claims.list_id:
        vouching = [word.partition("=")[2] for word in words if word.startswith("domain=")]
        return "list", claims.list_id, any(_is_within(claims.list_id, domain) for domain in vouching)
    author = claims.author
    if author is None or not author.domain:
        return "address", "", False
    return "address", author.canonical, f"author={author.domain}" in words


def _is_within(name: str, domain: str) -> bool:
    """Whether a list's name belongs to a domain; a top-level domain vouches for nobody."""
    try:
        return "." in domain and f".{name}".endswith(f".{canonical_domain(domain)}")
    except MalformedAddress:
        return False


def _network(source: str) -> str:
    """The client's IPv4 /24 or IPv6 /64; empty where the address is not known."""
    try:
        return source_networks(parse_source(source))[0]
    except MalformedAddress:
        return ""
