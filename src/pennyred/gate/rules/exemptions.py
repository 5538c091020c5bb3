"""Who needs no stamp, and by which rule.

Pure rules: addresses in, names out. What came free so far is counted elsewhere (`AllowanceBook`); here is only which
counters a letter raises and how far each may go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Network

from pennyred.postage.address import Recipient, canonical_recipient
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import Address, Network
from pennyred.postage.reasons import Reason

ALWAYS_FREE = frozenset({"postmaster", "abuse"})
"""Local parts that must be reachable by anybody: RFC 5321 section 4.5.1 and RFC 2142 section 4."""

WIDE_PREFIX = 32
"""The IPv6 network of one provider; anybody can become one. It holds 65,536 networks of 48 bits."""
WIDE_FACTOR = 8
"""How many times as much may come from such a network as from one of a customer: most have many customers."""
OTHERS_FACTOR = 4
"""The same for letters that a domain has signed and others send: all of those others together."""
UNKNOWN_FACTOR = 10
"""The same for all clients together whose front does not say who they are."""
ANSWERS_FACTOR = 10
"""How many times as many reports as bounces may come from one source, where they name letters of ours."""

_BY = " by "

PASS_USES_PER_DAY = 5
"""How often a pass brings the same letter to the same recipient. Once is usual, more only where an answer was lost; but
whoever else has got a copy of the letter can read the pass in it, and could send the letter again without end."""


class Mode(StrEnum):
    """How strict a gate is."""

    REQUIRE = "require"
    """Every recipient that is not exempt needs a stamp."""
    BULK = "bulk"
    """Unstamped mail passes until its source has used up the daily allowance."""
    MONITOR = "monitor"
    """Nothing is refused or deferred; the verdict is only written down."""


@dataclass(frozen=True, slots=True)
class Exemptions:
    """The administrator's own rules. Here a sender counts only from one of its networks; where it is authenticated, the
    search for grants finds it (`rules.grants.sender_grants`).
    """

    networks: tuple[Network, ...] = ()
    senders: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    """Canonical address or domain to the networks it is believed from unproven: anybody can claim a sender's name."""
    recipients: frozenset[str] = frozenset()
    """Canonical addresses or domains that take unstamped mail."""


@dataclass(frozen=True, slots=True)
class Allowances:
    """How much comes free a UTC day, counted in recipients."""

    per_day: int = 20
    """In mode "bulk": for each source and envelope sender."""
    per_source_per_day: int = 1000
    """In mode "bulk": for each source, whatever the sender."""
    bounces_per_day: int = 20
    """In every mode: what looks like a report or an automatic answer from `<>`, for each source and recipient."""
    bounces_per_source_per_day: int = 100
    """And for each source, whoever it is for."""
    replies_per_source_per_day: int = 200
    """In every mode: what names a letter of ours, of each source whose senders are not known otherwise. And as
    many that come while their recipients expect anybody's mail."""


@dataclass(frozen=True, slots=True)
class AllowanceClaim:
    """One counter to raise: `count` more under `key`, as long as it stays within `limit`."""

    key: str
    count: int
    limit: int


def counted_sources(domain: str, sending_domain: str, networks: Sequence[str]) -> tuple[str, ...]:
    """The names a sender's own allowance is counted under: its domain where one is proven, else its networks.

    `domain` is what is proven of who wrote, `sending_domain` of who sends (by SPF). Both are registered domains, or
    empty. A signature only says who wrote: whoever has one letter of a domain can send it to thousands. So where
    somebody else sends, the domain's letters by him are counted apart. Else he would use up what the domain's own
    servers have.
    """
    if not domain:
        return tuple(networks)
    ways = [sending_domain] if sending_domain else networks
    if domain == sending_domain or not ways:
        return (f"domain {domain}",)
    return tuple(f"domain {domain}{_BY}{way}" for way in ways)


def exempt_rule(rules: Exemptions, recipient: Recipient, sender: Recipient | None, source: Address) -> Reason | None:
    """The rule by which a recipient takes this letter without a stamp, or None. The order is the precedence."""
    if recipient.local in ALWAYS_FREE:
        return Reason.POSTMASTER
    if (rule := source_rule(rules, sender, source)) is not None:
        return rule
    if rules.recipients and any(name in rules.recipients for name in _names(recipient)):
        return Reason.RECIPIENT
    return None


def source_rule(rules: Exemptions, sender: Recipient | None, source: Address) -> Reason | None:
    """The rule by which everybody takes this sender's mail from this source without a stamp, or None."""
    if _is_within(source, rules.networks):
        return Reason.NETWORK
    if (
        rules.senders
        and sender is not None
        and any(_is_within(source, rules.senders.get(name, ())) for name in _names(sender))
    ):
        return Reason.SENDER
    return None


def is_surely_due(rules: Exemptions, mailbox: bytes) -> bool:
    """Whether no rule for recipients makes this mailbox free, as far as can be seen without parsing it.

    This costs a tenth of parsing. A quoted or internationalised spelling can hide a name, so such a one has to be
    parsed.
    """
    if rules.recipients or b'"' in mailbox or not mailbox.isascii():
        return False
    spelled = mailbox.lower()
    return b"postmaster" not in spelled and b"abuse" not in spelled


def bounce_claims(allowances: Allowances, recipient: Recipient, networks: Sequence[str]) -> list[AllowanceClaim]:
    """What a report or an answer from `<>` to one recipient counts as: for the recipient, and in all.

    Those of an unknown source are counted together.
    """
    each, total = allowances.bounces_per_day, allowances.bounces_per_source_per_day
    wide = _wide(networks)
    claims = [
        AllowanceClaim(f"bounce {network} {recipient.canonical}", 1, each) for network in networks or ("unknown",)
    ]
    claims += [AllowanceClaim(f"bounce {network} {recipient.canonical}", 1, each * WIDE_FACTOR) for network in wide]
    claims += [AllowanceClaim(f"bounces {network}", 1, total) for network in networks]
    claims += [AllowanceClaim(f"bounces {network}", 1, total * WIDE_FACTOR) for network in wide]
    return claims if networks else [*claims, AllowanceClaim("bounces unknown", 1, total * UNKNOWN_FACTOR)]


def reply_claims(allowances: Allowances, sources: Sequence[str]) -> list[AllowanceClaim]:
    """What a letter counts as that names one of ours, besides that letter's own count."""
    return _of_sources("replies", sources, allowances.replies_per_source_per_day)


def answer_claims(allowances: Allowances, sources: Sequence[str]) -> list[AllowanceClaim]:
    """The same for a report or an answer from `<>` that names one of ours."""
    return _of_sources("answers", sources, allowances.bounces_per_source_per_day * ANSWERS_FACTOR)


def address_claims(allowances: Allowances, sources: Sequence[str]) -> list[AllowanceClaim]:
    """The same for a letter that names none of ours, and comes to an easily guessed address that one has left with."""
    return _of_sources("addresses", sources, allowances.bounces_per_source_per_day)


def window_claims(
    allowances: Allowances, window: bytes, most: int, sources: Sequence[str], *, is_vouched: bool
) -> list[AllowanceClaim]:
    """What a letter counts as that comes while its recipient expects mail, besides that window's own count.

    Where anybody's mail is expected (not `is_vouched`), all windows together have a bound for each source as well. Else
    whoever writes to everybody has as many free letters as there are windows.
    """
    claims = _of_sources(f"window {window.hex()}", sources, most)
    return claims if is_vouched else claims + _of_sources("windows", sources, allowances.replies_per_source_per_day)


def _of_sources(what: str, sources: Sequence[str], most: int) -> list[AllowanceClaim]:
    """One claim for each source and for what it is a part of. None where the source is not known: nobody is throttled
    then.
    """
    claims = [AllowanceClaim(f"{what} {source}", 1, most) for source in sources]
    return claims + [AllowanceClaim(f"{what} {source}", 1, most * factor) for source, factor in _wider(sources)]


def pass_claims(letter_hash: bytes) -> list[AllowanceClaim]:
    """What a letter that came with a pass counts as, for the recipient its letter hash names."""
    return [AllowanceClaim(f"pass {letter_hash.hex()}", 1, PASS_USES_PER_DAY)]


def bulk_claims(allowances: Allowances, sender: str, networks: Sequence[str], recipients: int) -> list[AllowanceClaim]:
    """What `recipients` unstamped recipients count as. A source that is not known is never throttled as one."""
    claims = [
        AllowanceClaim(f"sender {network} {sender}", recipients, allowances.per_day)
        for network in networks or ("unknown",)
    ]
    total = allowances.per_source_per_day
    claims += [AllowanceClaim(f"source {network}", recipients, total) for network in networks]
    return claims + [
        AllowanceClaim(f"source {source}", recipients, total * factor) for source, factor in _wider(networks)
    ]


def _wider(sources: Sequence[str]) -> list[tuple[str, int]]:
    """The larger groups that these sources belong to and that have a limit too, each with the factor of that limit."""
    signed = {source.partition(_BY)[0] for source in sources if _BY in source}
    if signed:
        return [(f"{domain}{_BY}others", OTHERS_FACTOR) for domain in signed]
    return [(network, WIDE_FACTOR) for network in _wide(sources)]


def _wide(networks: Sequence[str]) -> list[str]:
    """The provider's network (/32) that an IPv6 source is in.

    There is none for IPv4, whose networks cost money, nor for a domain.
    """
    return [
        str(IPv6Network(network).supernet(new_prefix=WIDE_PREFIX)) for network in networks if network.endswith("/48")
    ]


def canonical_or_none(mailbox: bytes) -> Recipient | None:
    """The canonical form of an envelope mailbox. None where it has none: then no stamp and no rule can be for it."""
    try:
        return canonical_recipient(mailbox.decode("utf-8"))
    except (MalformedAddress, UnicodeDecodeError):
        return None


def _names(mailbox: Recipient) -> tuple[str, str]:
    return mailbox.canonical, mailbox.domain


def _is_within(source: Address, networks: Sequence[Network]) -> bool:
    return bool(networks) and any(source.version == network.version and source in network for network in networks)
