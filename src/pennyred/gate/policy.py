"""What a gate asks of a letter: the administrator's settings in the core's own types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pennyred.gate.rules.exemptions import Allowances, Exemptions, Mode
from pennyred.gate.rules.recipients import Aliases, RecipientRules
from pennyred.postage.networks import Network


class Check(StrEnum):
    """When it is found out who a letter's sender is."""

    NEEDED = "needed"
    """Where there are rules or allowances that depend on it, for all letters alike (`judging.grants`); and for a
    stamped letter that was altered so that all hangs on its author (`judging.proving`)."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The rules of one gate, for all letters; replaced as a whole when the settings are read again."""

    hostname: str
    issuers: Mapping[str, Mapping[str, bytes]]
    """The post offices whose stamps count, each with its public keys by selector."""
    retired: frozenset[str] = frozenset()
    """Post offices whose stamps count no more, and which can still be asked what they have paid for."""
    mode: Mode = Mode.REQUIRE
    price: int = 1
    """Stamps a recipient."""
    exemptions: Exemptions = field(default_factory=Exemptions)
    allowances: Allowances = field(default_factory=Allowances)
    recipients: RecipientRules = field(default_factory=RecipientRules)
    """What single recipients have of their own."""
    aliases: Aliases = field(default_factory=Aliases)
    forwarders: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    """Domains our users have their mail forwarded from, with the networks they are believed from unproven."""
    check: Check = Check.NEEDED
    fronts: frozenset[str] = frozenset()
    """The names (authserv-id) under which trusted fronts write Authentication-Results that stay in the letter."""
    is_strict: bool = False
    """Whether a stamp counts for nothing once body or subject were altered, even if the author is proven."""
    subject_tags: tuple[str, ...] = ()
    """What gateways of ours put in front of a Subject, besides short words in brackets."""
    bad_stamps_max: int = 5
    """From one source in a minute, of one account or of nobody known; 0: any number."""
    pass_key: bytes | None = None
    """The key all gates of one receiver share; None: this gate has no sisters."""
    lease_seconds: int = 1320
    upstream_timeout_seconds: int = 600
