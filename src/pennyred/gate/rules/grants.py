"""Why a letter is wanted by one of its recipients: what was written down beforehand, and what proof it asks for.

A grant is a rule that somebody has made for a recipient: by writing to the sender, by a permit, by expecting mail. Most
ask that the sender is who it says it is, because anybody can claim a name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from pennyred.gate.rules.claims import Claims
from pennyred.gate.rules.origin import Authentication
from pennyred.postage.address import Recipient
from pennyred.postage.networks import Address
from pennyred.postage.reasons import Reason

_BATV = re.compile(r"prvs=[0-9]{4}[0-9a-f]{6}=(.+)", re.DOTALL)
"""The one form of a signed return path that several programs write (draft-levine-smtp-batv)."""
_FOR_BOUNCES = re.compile(r"(?:\A|[-._])(?:bounces?|returns?|owner|errors?|srs[01])(?:\Z|[-._=+])")

CORRESPONDENT_DAYS = 365
"""How long somebody is a correspondent after our user last wrote to them."""
REPLY_DAYS = 30
REPLIES_MAX = 10
"""To one letter of ours: Message-IDs stand in public archives, and whoever reads one there can answer."""
EXPECTED_LETTERS_MAX = 20
"""In one window: a sign-up, an order and its receipts."""
BOUNCES_MAX = 50
"""On one letter of ours: it may have gone to many."""
BOUNCES_PER_LETTER = 3
"""To an address of ours that is made to be bounced to, for each letter that left with it: one that is delayed first, is
answered by a program, and fails in the end."""
BOUNCES_TO_ADDRESS_MAX = 10_000
EXPECTED_PER_SOURCE_MAX = 10
"""Of one window: else whoever knows of it could use it up."""
ANYBODY = "*"
"""Stands in the place of a recipient: the administrator's rule for all of them."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One reason to let a letter in free, and what has to be proven for it. With no field set, nothing has."""

    reason: Reason
    is_author_proven: bool = False
    """From must be aligned: what DMARC asks for."""
    is_sender_proven: bool = False
    """SPF must prove MAIL FROM: a signature, of its domain too, says nothing of who stands there."""
    domains: tuple[str, ...] = ()
    """One of these, or a subdomain, must vouch for the letter."""
    list_id: str = ""
    """A domain that this List-Id stands under must vouch: its own namespace (RFC 2919 section 2)."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Or it must come from one of these."""
    counter: bytes = b""
    """What its use is counted under; empty where any number of letters may use it."""
    is_limited_by_source: bool = True
    """Whether its uses are counted for each source as well. Not where only who has had a letter of ours can use it."""
    is_easily_guessed: bool = False
    """Whether anybody may guess what it goes by. Then a source has as many as of bounces that answer nothing."""

    @property
    def is_counted(self) -> bool:
        """Whether its uses are counted at all: by itself, or for each source."""
        return bool(self.counter) or self.reason is Reason.BOUNCE

    @property
    def is_about_origin(self) -> bool:
        """Whether it must be found out who the sender is."""
        return self.is_author_proven or self.is_sender_proven or bool(self.domains or self.list_id)

    @property
    def is_unconditional(self) -> bool:
        """Whether nothing has to be proven."""
        return not self.is_about_origin and not self.networks


def holds(grant: Grant, claims: Claims, authentication: Authentication, source: Address) -> bool:
    """Whether what a grant asks for is proven."""
    if grant.is_unconditional or is_from(source, grant.networks):
        return True
    if grant.is_author_proven:
        return claims.author is not None and claims.author.domain == authentication.author_domain
    if grant.is_sender_proven:
        return claims.sender is not None and claims.sender.domain == authentication.sender_domain
    if grant.list_id:
        return any("." in proven and is_under(grant.list_id, proven) for proven in authentication.domains)
    return any(is_under(proven, domain) for domain in grant.domains for proven in authentication.domains)


def is_proven_throughout(claims: Claims, authentication: Authentication) -> bool:
    """Whether all names that a letter claims are proven: whatever rule is about one of them is about its sender."""
    author, sender, domains = claims.author, claims.sender, authentication.domains
    return (
        author is not None
        and author.domain == authentication.author_domain
        and sender is not None
        and sender.domain == authentication.sender_domain
        and domains.issuperset(claims.signers)
        and (not claims.list_id or any("." in proven and is_under(claims.list_id, proven) for proven in domains))
    )


def holds_by_network(grant: Grant, source: Address) -> bool:
    """Whether a grant holds whoever the sender is."""
    return grant.is_unconditional or is_from(source, grant.networks)


def is_from(source: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether a client's address is in one of the networks."""
    return any(source.version == network.version and source in network for network in networks)


def is_under(name: str, domain: str) -> bool:
    """Whether a domain is another one or below it."""
    return name == domain or name.endswith(f".{domain}")


def sender_grants(
    reason: Reason, rules: Mapping[str, tuple[IPv4Network | IPv6Network, ...]], claims: Claims
) -> list[Grant]:
    """The grants of an administrator's table of senders.

    The table maps an address or a domain to the networks it is believed from. An address counts in From where that is
    aligned, and in MAIL FROM where SPF proves its domain.
    """
    if not rules:
        return []
    grants = []
    for mailbox, is_author in ((claims.author, True), (claims.sender, False)):
        if mailbox is None:
            continue
        if (networks := rules.get(mailbox.canonical)) is not None:
            grants.append(
                Grant(reason, is_author_proven=True, networks=networks)
                if is_author
                else Grant(reason, is_sender_proven=True, networks=networks)
            )
    claimed = {one for mailbox in claims.mailboxes for one in parents(mailbox.domain)}
    names = dict.fromkeys([*claimed, *(one for signer in claims.signers for one in parents(signer))])
    # A network only speaks for who claims to be that domain in the envelope or in From.
    return grants + [
        Grant(reason, domains=(name,), networks=rules[name] if name in claimed else ())
        for name in names
        if name in rules
    ]


def parents(domain: str) -> tuple[str, ...]:
    """A domain and those above it, down to two labels."""
    labels = domain.split(".")
    return tuple([".".join(labels[at:]) for at in range(max(1, len(labels) - 1))][:8])


def users_of(recipient: Recipient, delimiter: str) -> tuple[str, ...]:
    """Under which names rules of a recipient may stand: its mailbox, without a tag or a signature (BATV) too."""
    signed = _BATV.fullmatch(recipient.local)
    local = signed[1] if signed else recipient.local
    base, _, tag = local.partition(delimiter) if delimiter else (local, "", "")
    names = [recipient.canonical, *([Recipient(local, recipient.domain).canonical] if signed else [])]
    if tag and base:
        names.append(Recipient(base, recipient.domain).canonical)
    return tuple(names)


def is_made_for_one(address: str) -> bool:
    """Whether an address for bounces was made for one letter, or for one recipient of it (BATV, SRS, VERP).

    All others are names like `owner`, `returns` or `bob+shop`. Anybody may guess those, and people read what comes
    there.
    """
    return "=" in address.rpartition("@")[0]


def is_bounce_address(sender: Recipient, delimiter: str) -> bool:
    """Whether a MAIL FROM of ours is an address for bounces, and not somebody's mailbox.

    Such an address is tagged or signed (BATV, VERP, SRS), or belongs to a list or a mailing.
    """
    return len(users_of(sender, delimiter)) > 1 or "=" in sender.local or _FOR_BOUNCES.search(sender.local) is not None
