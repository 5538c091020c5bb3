"""Converters for the texts in the settings. Each raises ValueError with what was expected."""

import re
import ssl
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.encoding import decode_base64
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.networks import parse_network

_SIZE = re.compile(r"([1-9][0-9]{0,11})\s*([kMG]i?)?B?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
SIZE_BYTES_MAX = 10**12
URL_CHARACTERS_MAX = 2000
SUBJECT_TAGS_MAX = 20
SUBJECT_TAG_CHARACTERS_MAX = 40
"""Each letter's Subject is compared without each of them."""
SSL_MODES = frozenset(("disable", "allow", "prefer", "require", "verify-ca", "verify-full"))
"""The values of `sslmode` in a libpq URL."""


def listen_address(text: str) -> tuple[str, int]:
    """Host and port from `HOST:PORT` or `[IPv6]:PORT`; port 0 means any free port."""
    expected = 'an address and port like "127.0.0.1:2525" or "[::1]:2525"'
    match = _LISTEN.fullmatch(text)
    if not match or int(match[2]) > 65535:
        raise ValueError(expected)
    host = match[1].strip("[]")
    try:
        if match[1].startswith("["):
            IPv6Address(host)
        elif host.replace(".", "").isdecimal():
            IPv4Address(host)
        else:
            host.encode("idna")  # as the socket will do
    except ValueError:
        raise ValueError(expected) from None
    return host, int(match[2])


def size_bytes(text: str) -> int:
    """The number of bytes in a size like `50MB`, `64KiB` or `1000`."""
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _FACTORS[(match[2] or "").upper()] if match else 0
    if not 0 < size <= SIZE_BYTES_MAX:
        raise ValueError('a size like "50MB" or "512KiB", at most 1000 GB')
    return size


def network(text: str) -> IPv4Network | IPv6Network:
    """The network from an address or a text like `192.0.2.0/24`."""
    try:
        return parse_network(text)
    except ValueError:
        raise ValueError('a network like "192.0.2.0/24" or "2001:db8::/32", without host bits') from None


def domain(text: str) -> str:
    """The canonical form of a domain name."""
    try:
        name = canonical_domain(text)
    except MalformedAddress:
        name = ""
    if not name or name.startswith("["):
        raise ValueError('a domain name like "post.example.org"')
    return name


def nameserver(text: str) -> tuple[str, int]:
    """Address and port of a DNS server, from `192.0.2.53` (port 53) or `[2001:db8::53]:5353`."""
    expected = 'an address like "127.0.0.1", "127.0.0.1:5353" or "[::1]:53"'
    try:
        return str(ip_address(text)), 53
    except ValueError:
        pass
    try:
        host, port = listen_address(text)
        return str(ip_address(host)), port
    except ValueError:
        raise ValueError(expected) from None


def delimiter(text: str) -> str:
    """The character between a mailbox and its tag; empty for none."""
    if len(text) > 1 or (text and text not in "+-_=#!$&"):
        raise ValueError('one character like "+", or "" for none')
    return text


def mailbox(text: str) -> str:
    """The canonical form of an address."""
    if "@" not in text:
        raise ValueError('an address like "bob@example.org"')
    return mailbox_or_domain(text)


def mirror(text: str) -> str:
    """The canonical form of the mirror's address, which takes letters under tags only."""
    name = mailbox(text)
    local = name.rpartition("@")[0]
    if local in ("postmaster", "abuse") or not re.fullmatch(r"[a-z0-9._-]{1,30}", local):
        raise ValueError('an address of its own like "mirror@post.example.org", without a tag')
    return name


def mailbox_or_domain(text: str) -> str:
    """The canonical form of an address or a domain."""
    if "@" not in text:
        return domain(text)
    try:
        return canonical_recipient(text).canonical
    except MalformedAddress:
        raise ValueError('an address like "bob@example.org" or a domain like "example.org"') from None


def upstream_url(text: str) -> str:
    """The URL of a mail server, checked."""
    expected = (
        'a URL like "smtp://127.0.0.1:10025", "smtps://mx.example.org", "smtp+starttls://mx.example.org", '
        '"lmtp://127.0.0.1:24" or "lmtp+unix:///path"'
    )
    parts, port = _split(text, expected)
    if parts.scheme == "lmtp+unix":
        is_good = bool(parts.path) and not parts.netloc
    else:
        is_good = (
            parts.scheme in ("smtp", "smtps", "smtp+starttls", "lmtp")
            and bool(parts.hostname)
            and not parts.path.strip("/")
            and port != 0
        )
    if not is_good or parts.query or parts.fragment or parts.username:
        raise ValueError(expected)
    return text


def database_url(text: str, folder: Path) -> Path | str:
    """A database: the path of an SQLite file, or the URL of a PostgreSQL database.

    `sqlite:///file` is relative to `folder`, `sqlite:////file` is absolute. The other is returned as it was given:
    `postgresql://user@host1,host2/name?passfile=FILE`.
    """
    expected = 'a database like "sqlite:///ledger.db" or "postgresql://pennyred@db.example.org/pennyred"'
    if text.startswith(("postgresql://", "postgres://")):
        return _postgres_url(text, expected)
    parts, _ = _split(text, expected)
    file = unquote(parts.path[1:])
    if parts.scheme != "sqlite" or parts.netloc or not file or "\0" in file or parts.query or parts.fragment:
        raise ValueError(expected)
    return folder / file


def _postgres_url(text: str, expected: str) -> str:
    """A libpq URL, checked. It may name several hosts, or no host for the local socket."""
    if len(text) > URL_CHARACTERS_MAX or not text.isprintable() or " " in text:
        raise ValueError(expected)
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(expected) from None
    ports = re.findall(r":([^,:\]]*)(?=,|$)", parts.netloc.rpartition("@")[2])
    if not parts.path.strip("/") or parts.fragment or not all(port.isdecimal() and int(port) < 65536 for port in ports):
        raise ValueError(expected)
    modes = parse_qs(parts.query, keep_blank_values=True).get("sslmode", [])
    if not set(modes) <= SSL_MODES:
        raise ValueError(f"sslmode in the URL as one of {', '.join(sorted(SSL_MODES))}")
    return text


def web_url(text: str) -> str:
    """An http or https URL, checked."""
    expected = 'a URL like "https://post.example.org"'
    parts, _ = _split(text, expected)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(expected)
    return text


def office_url(text: str) -> str:
    """The URL of a post office, checked: without query, fragment, user and password."""
    parts, port = _split(text, 'a URL like "https://post.example.org"')
    if web_url(text) and (parts.query or parts.fragment or parts.username or parts.password or port == 0):
        raise ValueError('a URL like "https://post.example.org"')
    return text.rstrip("/")


def is_plain_http_safe(url: str, *, is_private_allowed: bool) -> bool:
    """Whether a token may be sent to this URL: by https, to this machine, or, if allowed, in a private network.

    For a name it is not known here which network it leads to; it counts as private.
    """
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return parts.hostname == "localhost" or is_private_allowed
    return address.is_loopback or (is_private_allowed and address.is_private)


def ciphers(text: str) -> str:
    """A list of cipher suites in OpenSSL's form, of which OpenSSL knows at least one; empty means ours."""
    try:
        if text:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
    except (ssl.SSLError, ValueError):
        raise ValueError('cipher suites as OpenSSL lists them, like "HIGH:!aNULL"') from None
    return text


def selector(text: str) -> str:
    """The name of a key: one label of a domain name."""
    if not _LABEL.fullmatch(text):
        raise ValueError('a selector like "s1"')
    return text


def public_key(text: str) -> bytes:
    """An Ed25519 public key, 32 bytes, from base64."""
    try:
        return decode_base64(text.encode(), length=32)
    except ValueError:
        raise ValueError("a public key, 32 bytes in base64") from None


def printable_url(text: str) -> str:
    """A URL that may stand in an SMTP reply: printable ASCII, on one line; may be empty."""
    if text and (not text.isascii() or not text.isprintable() or " " in text or len(text) > 200):
        raise ValueError('a URL like "https://example.org/postage", at most 200 printable ASCII characters')
    return text and web_url(text)


def subject_tag(text: str) -> str:
    """What stands in front of a Subject, spelled as Subjects are compared (STAMP.md 5.5)."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(plain) <= SUBJECT_TAG_CHARACTERS_MAX or not plain.isprintable():
        raise ValueError('the beginning of a Subject, like "[EXTERNAL MAIL]", at most 40 characters')
    return plain


def _split(text: str, expected: str) -> tuple[SplitResult, int | None]:
    """A URL's parts and port. Control characters are refused, because `urlsplit` drops some of them silently."""
    if len(text) > URL_CHARACTERS_MAX or not text.isprintable():
        raise ValueError(expected)
    try:
        parts = urlsplit(text)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as the socket will do; it fails for an empty or too long label
    except ValueError:
        raise ValueError(expected) from None
    return parts, port
