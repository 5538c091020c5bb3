"""The mail server behind the gate: where it is, how it is told who the client is, what it offers."""

import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from pennyred.failures import place_name
from pennyred.gate.letterbox import Reply

_PORTS = {"smtp": 25, "lmtp": 24, "smtps": 465, "smtp+starttls": 25}


class Security(StrEnum):
    """How the way to it is kept from others."""

    NONE = "none"
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314 section 3.3)."""
    STARTTLS = "starttls"
    """RFC 3207; never without."""


class IdentityMode(StrEnum):
    """How the mail server learns who the client is."""

    XCLIENT = "xclient"
    XFORWARD = "xforward"
    PROXY = "proxy"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where it listens and what it speaks."""

    host: str
    port: int
    path: str = ""
    """Of a unix socket; empty for TCP."""
    is_lmtp: bool = False
    security: Security = Security.NONE

    @property
    def name(self) -> str:
        """What the mail server is called in the log and in the metrics."""
        return self.path or place_name(self.host, self.port)


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """How to deal with it."""

    endpoint: Endpoint
    hostname: str
    """What the gate calls itself in EHLO."""
    identity: IdentityMode = IdentityMode.XCLIENT
    tls: ssl.SSLContext | None = None
    """Whom to believe that it is the one; needed where the endpoint has `security`."""
    connections_max: int = 50
    connections_per_network_max: int = 20
    """Of them, in use for clients of one network."""
    answer_timeout_seconds: float = 600
    """For the answer to the final dot (RFC 5321 section 4.5.3.2.6: 10 minutes)."""
    connect_timeout_seconds: float = 10
    greeting_timeout_seconds: float = 300
    """For its greeting, TLS and EHLO: a mail server with much to do may let one wait (RFC 5321 section 4.5.3.2.1)."""
    command_timeout_seconds: float = 300
    """For MAIL (section 4.5.3.2.2), and for XCLIENT, EHLO behind it, RSET."""
    recipient_timeout_seconds: float = 300
    """For RCPT (section 4.5.3.2.3)."""
    data_timeout_seconds: float = 120
    """For the go-ahead to DATA (section 4.5.3.2.4)."""
    block_timeout_seconds: float = 180
    """To take the next piece of a letter (section 4.5.3.2.5)."""
    idle_seconds_max: float = 60
    """An unused connection is closed after this, long before the mail server does it: Postfix, Exim, OpenSMTPD and
    Dovecot's LMTP wait 300 s. Under stress Postfix waits 10 s; what it has closed then is seen and replaced.
    """
    age_seconds_max: float = 600
    refusals_max: int = 5
    """A connection that has heard so many refusals without a letter taken is given up: Postfix slows down at 10."""

    def with_patience(self, seconds: float) -> "UpstreamOptions":
        """The same, for somebody who waits so long for each answer and no longer."""
        return replace(
            self,
            greeting_timeout_seconds=seconds,
            command_timeout_seconds=seconds,
            recipient_timeout_seconds=seconds,
            data_timeout_seconds=seconds,
        )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What its EHLO offers."""

    keywords: frozenset[str]
    size_max: int = 0
    """What SIZE says, in bytes; 0: no limit told."""
    xclient: frozenset[str] = frozenset()
    """The attributes XCLIENT takes."""
    xforward: frozenset[str] = frozenset()
    """The attributes XFORWARD takes."""
    priorities: str = ""
    """The policy that MT-PRIORITY names (RFC 6710 section 3); empty where it names none."""

    def can_be_told(self, identity: IdentityMode) -> bool:
        """Whether a client can be named that way. PROXY is not offered, it is known to be understood."""
        match identity:
            case IdentityMode.XCLIENT:
                return "ADDR" in self.xclient
            case IdentityMode.XFORWARD:
                return "ADDR" in self.xforward
        return True


def parse_url(url: str) -> Endpoint:
    """Read `smtp://host[:port]`, `smtps://`, `smtp+starttls://` or `lmtp://` likewise, or `lmtp+unix:///path`.

    Raises ValueError with what is wrong.
    """
    parts = urlsplit(url)
    if parts.scheme == "lmtp+unix":
        if not parts.path or parts.netloc:
            raise ValueError(f"{url!r}: expected lmtp+unix:///path")
        return Endpoint("", 0, path=unquote(parts.path), is_lmtp=True)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError(
            f"{url!r}: expected smtp://host[:port], smtps://, smtp+starttls:// or lmtp:// likewise, or lmtp+unix:///path"
        )
    security = {"smtps": Security.IMPLICIT, "smtp+starttls": Security.STARTTLS}.get(parts.scheme, Security.NONE)
    return Endpoint(
        parts.hostname, parts.port or _PORTS[parts.scheme], is_lmtp=parts.scheme == "lmtp", security=security
    )


def parse_capabilities(hello: Reply) -> Capabilities:
    """Read the answer to EHLO or LHLO (RFC 5321 section 4.1.1.1); what cannot be read is passed over."""
    keywords = set()
    size_max = 0
    xclient = xforward = frozenset[str]()
    priorities = ""
    for line in hello.lines[1:]:
        keyword, *parameters = line.decode("ascii", "replace").upper().split() or [""]
        keywords.add(keyword)
        if keyword == "SIZE" and parameters and parameters[0].isdecimal() and len(parameters[0]) <= 20:
            size_max = int(parameters[0])
        elif keyword == "XCLIENT":
            xclient = frozenset(parameters)
        elif keyword == "XFORWARD":
            xforward = frozenset(parameters)
        elif keyword == "MT-PRIORITY" and parameters and parameters[0].isascii() and parameters[0].isprintable():
            priorities = parameters[0]
    return Capabilities(frozenset(keywords), size_max, xclient, xforward, priorities)
