"""What all sessions of one gate share: options, limits, the desk, the mail servers, the answer to EHLO."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from pennyred.gate.door.admission import Admission
from pennyred.gate.door.one_policy import GivenUp
from pennyred.gate.letterbox import GateDesk, HostName, MirrorDesk
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
"""EHLO keywords whose promise only the mail server can keep: the gate offers them if the mail server does."""

_REASONS_MAX = 50
"""Reasons of TLS failures that are told apart in the log. OpenSSL has many, but a client can cause only a few."""
_ROOM_PAUSE_SECONDS = 1.0
_NETWORKS_MAX = 1000
"""For how many networks the gate remembers when it last made room."""

HOPS_MAX = 100
"""The least that RFC 5321 section 6.3 asks for."""

NameLookup = Callable[[str], Awaitable[HostName]]
"""Finds the host name of an IP address in the DNS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """How the gate speaks to its clients, and its limits. The usual numbers are in the settings alone."""

    hostname: str
    spool: SpoolLimits
    issuers: tuple[str, ...] = ()
    price: int
    help_url: str = ""
    is_bare_newline_refused: bool = False
    is_mixed_split: bool = True
    """Whether a transaction takes recipients of one policy class only. If not, a letter is judged as a whole."""
    is_named_once: bool = True
    """Whether a mailbox that is named twice counts as one recipient: it gets one copy and needs one stamp."""
    is_trace_added: bool = False
    """Whether the gate adds a Received field: needed where the mail server cannot be told who the client is."""
    added_octets: int = 0
    """The most that the gate's own fields may take. The gate announces the mail server's SIZE less this."""
    is_priced: bool = True
    """Whether EHLO tells the price of a letter; False where outgoing mail passes."""
    clients: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose mail is taken; empty: anybody's."""
    trusted_fronts: tuple[IPv4Network | IPv6Network, ...] = ()
    is_proxied: bool = False
    """Whether trusted fronts speak PROXY; if not, they speak SMTP with XCLIENT and XFORWARD."""
    transfer_timeout_seconds: float
    read_timeout_seconds: float
    """How long to wait for the next command or the next piece of a letter (RFC 5321 section 4.5.3.2: 5 minutes)."""
    session_timeout_seconds: float
    """The longest that a session may last; a letter in hand is finished first."""
    upstream_pin_seconds: float = 5
    """If a letter takes longer than this to come in, the mail server's connection is given back meanwhile."""
    connections_max: int
    """For all workers together."""
    connections_per_network_max: int
    """For all workers together; Postfix has the same limit for one address."""
    uncounted_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks without a limit of their own: those whose mail needs no stamp."""
    recipients_max: int
    hops_max: int = HOPS_MAX
    """The most Received fields of a letter. A letter with more goes round in a circle. 0: no limit."""
    errors_max: int
    """The most refused commands since the last letter taken; Postfix also hangs up at 20."""
    idle_commands_max: int
    """The most idle commands (NOOP, RSET and the like) since the last letter taken."""


class Guest(Protocol):
    """What the gatehouse needs of a session: to know it is there, and to end it."""

    @property
    def task(self) -> asyncio.Task[None] | None: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    def make_room(self) -> None: ...  # noqa: D102
    def wind_up(self) -> None: ...  # noqa: D102
    def cut_off(self) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Gatehouse:
    """What the sessions of one worker share; belongs to one event loop."""

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
    mirror: MirrorDesk | None = None
    """Who takes letters to the mirror; None: there is none here."""
    is_stopping: bool = False
    sessions: set[Guest] = field(default_factory=set)
    letters: int = 0
    """How many letters are being judged and delivered now."""
    _room_made_at: dict[bytes, float] = field(default_factory=dict)
    """When room was last made, in seconds of the loop's clock: for everybody under b"", else by network."""
    _tls_failures: dict[str, Seldom] = field(default_factory=dict)
    _hellos: dict[tuple[Capabilities | None, bool, bool], bytes] = field(default_factory=dict)

    def is_trusted(self, address: str) -> bool:
        """Whether an IP address is that of a front that may speak for others."""
        return is_within(address, self.options.trusted_fronts)

    def replace_rules(self, options: GateOptions) -> None:
        """Use new options. `programs.rereading` sees to it that only what may change in a running gate differs."""
        self.options = options
        self._hellos.clear()

    def make_room(self, now: float, address: str = "") -> None:
        """End silent sessions, because nobody else can come in; with `address`, only those of its network.

        The sessions are searched at most once a second, because there may be thousands.
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
        """Log that TLS has failed with a client: each reason at most once a minute, as there may be many clients."""
        reason = (error.reason if isinstance(error, ssl.SSLError) else "") or str(error) or type(error).__name__
        seldom = self._tls_failures.get(reason)
        if seldom is None:
            if len(self._tls_failures) >= _REASONS_MAX:
                reason, seldom = "others", self._tls_failures.setdefault("others", Seldom(self.log, "smtp.tls_failed"))
            else:
                seldom = self._tls_failures[reason] = Seldom(self.log, "smtp.tls_failed")
        seldom.note(reason=reason, client=client)

    def hello(self, offered: Capabilities | None, *, is_tls: bool, is_trusted: bool) -> bytes:
        """The reply to EHLO: what the gate offers, less what the mail server lacks (None: it was not reached yet)."""
        key = (offered, is_tls, is_trusted)
        found = self._hellos.get(key)
        if found is None:
            if len(self._hellos) > 100:
                self._hellos.clear()
            found = self._hellos[key] = replies.hello(self.options.hostname, self._keywords(*key))
        return found

    def _size_max(self, offered: Capabilities | None) -> int:
        """The longest letter that both take (RFC 1870), in octets; the gate's own fields are added on the way."""
        own = self.options.spool.letter_bytes_max
        if offered is None or not offered.size_max:
            return own
        return min(own, offered.size_max - min(self.options.added_octets, offered.size_max // 2))

    def _keywords(self, offered: Capabilities | None, is_tls: bool, is_trusted: bool) -> list[str]:
        options = self.options
        keywords = ["PIPELINING", "CHUNKING", f"SIZE {self._size_max(offered)}"]
        if offered is None:
            # MAIL will be answered "later". Offer what a letter may need, or its sender would give it up now.
            keywords += ["8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", *(["REQUIRETLS"] if is_tls else [])]
        else:
            keywords += [keyword for keyword in _OFFERED_WITH_UPSTREAM if keyword in offered.keywords]
            if "MT-PRIORITY" in offered.keywords:
                keywords.append(f"MT-PRIORITY {offered.priorities}".rstrip())
            if is_tls and "REQUIRETLS" in offered.keywords:  # offered only on a session with TLS (RFC 8689 section 3)
                keywords.append("REQUIRETLS")
        if self.tls is not None and not is_tls:
            keywords.append("STARTTLS")
        if is_trusted:
            keywords.append(" ".join(("XCLIENT", *XCLIENT_ATTRIBUTES)))
            keywords.append(" ".join(("XFORWARD", *XFORWARD_ATTRIBUTES)))
        if options.is_priced:
            keywords.append(" ".join(("XPOSTAGE", str(options.price), *options.issuers)))
        return keywords
