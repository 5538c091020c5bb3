"""What all sessions of one gate share: options, the ways in and out, what EHLO says."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from pennyred.gate.door.admission import Admission
from pennyred.gate.door.one_policy import GivenUp
from pennyred.gate.letterbox import GateDesk, HostName
from pennyred.gate.smtp import replies
from pennyred.gate.smtp.disk_budget import SpoolDisk
from pennyred.gate.smtp.memory_budget import LetterMemory
from pennyred.gate.smtp.seldom import Seldom
from pennyred.gate.smtp.sources import is_within, network_of, wider_network_of
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.upstream.choice import Upstreams
from pennyred.gate.upstream.endpoint import Capabilities
from pennyred.gate.upstream.identity import XCLIENT_ATTRIBUTES, XFORWARD_ATTRIBUTES

_OFFERED_WITH_UPSTREAM = ("8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN")
"""Keywords that promise what only the mail server can keep."""

_REASONS_MAX = 50
"""OpenSSL has many, but a client can cause a few only."""
_ROOM_PAUSE_SECONDS = 1.0
_NETWORKS_MAX = 1000
"""For which it is remembered when room was made for them."""

HOPS_MAX = 100
"""What RFC 5321 section 6.3 asks for at least."""

NameLookup = Callable[[str], Awaitable[HostName]]
"""What the DNS calls an address."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """How the gate speaks to its clients, and its limits."""

    hostname: str
    spool: SpoolLimits
    issuers: tuple[str, ...] = ()
    price: int = 1
    help_url: str = ""
    is_bare_newline_refused: bool = False
    is_mixed_split: bool = True
    """Whether a transaction takes recipients of one policy class only; else a letter is judged whole."""
    is_named_once: bool = True
    """Whether a mailbox that a client names twice is one recipient: one copy of the letter, one stamp."""
    is_trace_added: bool = False
    """Whether letters get a Received field of the gate's: where the mail server is not told who the client is."""
    added_octets: int = 0
    """What the fields that the gate adds may take at most: so much less than the mail server's SIZE is announced."""
    is_priced: bool = True
    """Whether EHLO tells a price; no, where outgoing mail passes."""
    clients: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose mail is taken; none: anybody's."""
    trusted_fronts: tuple[IPv4Network | IPv6Network, ...] = ()
    is_proxied: bool = False
    """Whether they speak PROXY, instead of SMTP with XCLIENT and XFORWARD."""
    transfer_timeout_seconds: float = 600
    read_timeout_seconds: float = 300
    """For the next command or the next piece of a letter (RFC 5321 section 4.5.3.2: 5 minutes)."""
    session_timeout_seconds: float = 3600
    """For all of a session but the letter in hand."""
    upstream_pin_seconds: float = 5
    """A letter that takes longer to come in gives the mail server's connection back meanwhile."""
    connections_max: int = 2000
    """Of all workers."""
    connections_per_network_max: int = 50
    """Of all workers; Postfix has the same limit for one address."""
    uncounted_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Without a limit of their own: those that need no stamp."""
    recipients_max: int = 1000
    hops_max: int = HOPS_MAX
    """Received fields of a letter; beyond, it goes round in a circle. 0: any number."""
    errors_max: int = 20
    """Refused commands since the last letter taken; Postfix hangs up at 20 too."""
    idle_commands_max: int = 100
    """NOOP, RSET and the like since the last letter taken."""


class Guest(Protocol):
    """A session, as the house sees it."""

    @property
    def task(self) -> asyncio.Task[None] | None: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    def make_room(self) -> None: ...  # noqa: D102
    def wind_up(self) -> None: ...  # noqa: D102
    def cut_off(self) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Gatehouse:
    """One gate, as its sessions see it."""

    options: GateOptions
    desk: GateDesk
    upstreams: Upstreams
    tls: ssl.SSLContext | None
    log: Any
    admission: Admission
    memory: LetterMemory
    disk: SpoolDisk
    given_up: GivenUp
    name_lookup: NameLookup | None = None
    is_stopping: bool = False
    sessions: set[Guest] = field(default_factory=set)
    letters: int = 0
    """How many are being judged and delivered."""
    _room_made_at: dict[bytes, float] = field(default_factory=dict)
    """For all, and for networks."""
    _tls_failures: dict[str, Seldom] = field(default_factory=dict)
    _hellos: dict[tuple[Capabilities | None, bool, bool], bytes] = field(default_factory=dict)

    def is_trusted(self, address: str) -> bool:
        """Whether a client is a front that may speak for others."""
        return is_within(address, self.options.trusted_fronts)

    def replace_rules(self, options: GateOptions) -> None:
        """Take over all but what is counted on by what runs already: the lease, descriptors, memory, tables."""
        self.options = replace(
            self.options,
            issuers=options.issuers,
            price=options.price,
            help_url=options.help_url,
            is_bare_newline_refused=options.is_bare_newline_refused,
            is_mixed_split=options.is_mixed_split,
            hops_max=options.hops_max,
            clients=options.clients,
            trusted_fronts=options.trusted_fronts,
            added_octets=options.added_octets,
            is_proxied=options.is_proxied,  # whom to believe and how he says it are one rule
            uncounted_networks=options.uncounted_networks,
            connections_per_network_max=options.connections_per_network_max,
            recipients_max=options.recipients_max,
            errors_max=options.errors_max,
            idle_commands_max=options.idle_commands_max,
            read_timeout_seconds=options.read_timeout_seconds,
            session_timeout_seconds=options.session_timeout_seconds,
        )
        self._hellos.clear()

    def make_room(self, now: float, address: str = "") -> None:
        """Nobody can come in, or nobody more of an address's network: those of them leave who say nothing.

        Looked at once a second, as they may be thousands.
        """
        network, wider = (network_of(address), wider_network_of(address)) if address else (b"", b"")
        if now < self._room_made_at.get(network, -_ROOM_PAUSE_SECONDS) + _ROOM_PAUSE_SECONDS:
            return
        if len(self._room_made_at) >= _NETWORKS_MAX:
            self._room_made_at.clear()
        self._room_made_at[network] = now
        for session in tuple(self.sessions):
            is_one = not network or network_of(session.address) == network
            if is_one or (wider and wider_network_of(session.address) == wider):
                session.make_room()

    def note_tls_failure(self, error: OSError, client: str) -> None:
        """Write down that TLS has failed with a client; each reason once a minute, as they are few and clients many."""
        reason = (error.reason if isinstance(error, ssl.SSLError) else "") or str(error) or type(error).__name__
        seldom = self._tls_failures.get(reason)
        if seldom is None:
            if len(self._tls_failures) >= _REASONS_MAX:
                reason, seldom = "others", self._tls_failures.setdefault("others", Seldom(self.log, "smtp.tls_failed"))
            else:
                seldom = self._tls_failures[reason] = Seldom(self.log, "smtp.tls_failed")
        seldom.note(reason=reason, client=client)

    def hello(self, offered: Capabilities | None, *, is_tls: bool, is_trusted: bool) -> bytes:
        """The answer to EHLO: what we can do, less what the mail server cannot (None: it has not been reached)."""
        key = (offered, is_tls, is_trusted)
        found = self._hellos.get(key)
        if found is None:
            if len(self._hellos) > 100:
                self._hellos.clear()
            found = self._hellos[key] = replies.hello(self.options.hostname, self._keywords(*key))
        return found

    def _size_max(self, offered: Capabilities | None) -> int:
        """The longest letter that both take: to the mail server it comes with the gate's fields above it (RFC 1870)."""
        own = self.options.spool.letter_bytes_max
        if offered is None or not offered.size_max:
            return own
        return min(own, offered.size_max - min(self.options.added_octets, offered.size_max // 2))

    def _keywords(self, offered: Capabilities | None, is_tls: bool, is_trusted: bool) -> list[str]:
        options = self.options
        keywords = ["PIPELINING", "CHUNKING", f"SIZE {self._size_max(offered)}"]
        if offered is None:
            # MAIL will hear "later". What a letter cannot do without is offered, or its sender would give it up now.
            keywords += ["8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", *(["REQUIRETLS"] if is_tls else [])]
        else:
            keywords += [keyword for keyword in _OFFERED_WITH_UPSTREAM if keyword in offered.keywords]
            if "MT-PRIORITY" in offered.keywords:
                keywords.append(f"MT-PRIORITY {offered.priorities}".rstrip())
            if is_tls and "REQUIRETLS" in offered.keywords:  # RFC 8689 section 3: only on a session with TLS
                keywords.append("REQUIRETLS")
        if self.tls is not None and not is_tls:
            keywords.append("STARTTLS")
        if is_trusted:
            keywords.append(" ".join(("XCLIENT", *XCLIENT_ATTRIBUTES)))
            keywords.append(" ".join(("XFORWARD", *XFORWARD_ATTRIBUTES)))
        if options.is_priced:
            keywords.append(" ".join(("XPOSTAGE", str(options.price), *options.issuers)))
        return keywords
