"""The mail server behind the gate: its address, how to connect, how to tell it who the client is, what it offers."""

import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from pennyred.failures import place_name
from pennyred.gate.letterbox import Reply
from pennyred.gate.upstream.deadlines import Deadlines

_PORTS = {"smtp": 25, "lmtp": 24, "smtps": 465, "smtp+starttls": 25}


class Security(StrEnum):
    """How the connection is protected by TLS."""

    NONE = "none"
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314 section 3.3)."""
    STARTTLS = "starttls"
    """STARTTLS (RFC 3207); without it nothing is sent."""


class IdentityMode(StrEnum):
    """How the mail server learns who the client is."""

    XCLIENT = "xclient"
    XFORWARD = "xforward"
    PROXY = "proxy"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the mail server listens and which protocol it speaks."""

    host: str
    port: int
    path: str = ""
    """The path of a unix socket; empty for TCP."""
    is_lmtp: bool = False
    security: Security = Security.NONE

    @property
    def name(self) -> str:
        """The mail server's name in the log and in the metrics."""
        return self.path or place_name(self.host, self.port)


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """The settings for one mail server."""

    endpoint: Endpoint
    hostname: str
    """The name of the gate in EHLO."""
    deadlines: Deadlines
    connections_max: int
    connections_per_network_max: int
    """The most connections in use for clients of one network."""
    identity: IdentityMode = IdentityMode.XCLIENT
    tls: ssl.SSLContext | None = None
    """Which certificates to accept; needed if the endpoint has `security`."""
    idle_seconds_max: float = 60
    """An idle connection is closed after this, before the mail server does it: Postfix, Exim, OpenSMTPD and Dovecot's
    LMTP wait 300 s. Under stress Postfix waits 10 s; a connection that it has closed is noticed and replaced.
    """
    age_seconds_max: float = 600
    is_chunking: bool = True
    """Whether letters go in chunks (BDAT, RFC 3030) to a server that offers CHUNKING."""
    refusals_max: int = 5
    """A connection is given up after so many refusals without a letter taken: Postfix slows down at 10."""

    def with_patience(self, seconds: float) -> "UpstreamOptions":
        """The same options, but for somebody who waits at most so many seconds for each reply."""
        return replace(self, deadlines=self.deadlines.with_patience(seconds))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the reply to EHLO offers."""

    keywords: frozenset[str]
    size_max: int = 0
    """The value of SIZE, in octets; 0: no limit told (RFC 1870)."""
    xclient: frozenset[str] = frozenset()
    """The attributes XCLIENT takes."""
    xforward: frozenset[str] = frozenset()
    """The attributes XFORWARD takes."""
    priorities: str = ""
    """The policy that MT-PRIORITY names (RFC 6710 section 3); empty if it names none."""

    def can_be_told(self, identity: IdentityMode) -> bool:
        """Whether the server can be told of clients in this way. EHLO does not offer PROXY: the setting is believed."""
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
    """Read the reply to EHLO or LHLO (RFC 5321 section 4.1.1.1); a line that cannot be read is ignored."""
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
