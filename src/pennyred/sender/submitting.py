"""Send copies of a letter to one mail server, as a sender's command does; each answer is kept as it was said.

What the server offers is known before a letter is made safe and stamped: enter the session, look, then send. Uses the
standard library's client: one connection, a few letters, nobody to share the loop with.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from pennyred.failures import place_name, told
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.errors import MalformedAddress, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import PRICE_MAX

CONNECT_SECONDS = 30.0
ADDRESSES_MAX = 8
"""Of a name, tried one after the other."""
TIMEOUT_SECONDS = 900.0
"""A server may take ten minutes for the final dot (RFC 5321 section 4.5.3.2.6)."""
SAID_NOTHING = 0
"""The code of a copy about which the server said nothing: the connection failed."""
REPLY_CHARACTERS_MAX = 10_000
_PARAMETERS_CHARACTERS_MAX = 5000
_ISSUERS_MAX = 100
_REASON = re.compile(r"\(([a-z-]{3,40})\)")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server said of one copy."""

    recipients: tuple[str, ...]
    code: int
    """Three digits, or `SAID_NOTHING`."""
    reply: str
    reason: str
    """The name in brackets at the end, where it is one of Penny Red's; else empty."""

    @property
    def is_accepted(self) -> bool:
        """Whether the server has taken it."""
        return self.code // 100 == 2

    @property
    def is_temporary(self) -> bool:
        """Whether trying later may help."""
        return self.code // 100 == 4 or self.reason == Reason.UPSTREAM_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Postage:
    """What a server's EHLO asks for: `XPOSTAGE <price> <issuer>...`."""

    price: int
    """Stamps for each recipient, at least 1."""
    issuers: tuple[str, ...]
    """Whose stamps count, in canonical form; none where it does not say."""


class Submission:
    """A session with one server; a context manager. Entering raises `Unavailable` where it cannot be reached.

    Raises `MalformedAddress` where `host` cannot be a name.
    """

    def __init__(self, host: str, port: int, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.host = host
        self._host = host.removesuffix(".")  # as DNS tools print names; no certificate has it (RFC 6066 section 3)
        self._port = port
        self._connect_seconds = connect_seconds
        self._smtp: smtplib.SMTP | None = None
        try:
            host.encode("idna")  # as the socket will: an empty label, or one too long, is no name
        except UnicodeError as error:
            raise MalformedAddress(f"{host!r} is not the name of a server") from error

    def __enter__(self) -> Self:
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
        self._drop()

    @property
    def takes_eight_bit(self) -> bool:
        """Whether the server offers 8BITMIME; if not, letters must be made 7-bit before they are stamped."""
        return self._connected().has_extn("8bitmime")

    @property
    def takes_utf8(self) -> bool:
        """Whether it offers SMTPUTF8: headers and addresses in UTF-8 (RFC 6531)."""
        return self._connected().has_extn("smtputf8")

    @property
    def postage(self) -> Postage | None:
        """What it asks for; None where it asks for nothing, or nobody could read it."""
        return read_postage(self._connected().esmtp_features.get("xpostage", ""))

    def send(self, sender: str, recipients: Sequence[str], letter: bytes) -> Sent:
        """Send one copy, to all of its recipients or to none; what the server said, whatever it was.

        Never raises: a connection that breaks concerns this copy, and the next one gets a new one.
        """
        try:
            code, text = self._transaction(self._connected(), sender, recipients, letter)
        except (OSError, smtplib.SMTPException, Unavailable) as error:
            self._drop()
            return Sent(tuple(recipients), SAID_NOTHING, self._told(error), Reason.UPSTREAM_UNAVAILABLE.value)
        except (MalformedAddress, ValueError) as error:
            return Sent(tuple(recipients), SAID_NOTHING, f"not sent: {error}", "")
        reply = " ".join(text.decode("utf-8", "replace").split("\n"))[:REPLY_CHARACTERS_MAX]
        return Sent(tuple(recipients), code, reply, _reason(reply))

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is None:
            try:
                self._smtp = self._connect()
            except (OSError, smtplib.SMTPException) as error:
                raise Unavailable(Reason.UPSTREAM_UNAVAILABLE, self._told(error)) from error
        return self._smtp

    def _connect(self) -> smtplib.SMTP:
        """At the first of the name's addresses that lets us in (RFC 5321 section 5.1); raises what the first said."""
        first: Exception | None = None
        for place in addresses_of(self._host, self._port):
            try:
                return self._connect_at(place)
            except (OSError, smtplib.SMTPException) as error:
                first = first or error
        raise first or OSError("the name has no address")

    def _connect_at(self, place: str) -> smtplib.SMTP:
        # Given to the constructor and not to `connect`, the host is the name its certificate is verified for.
        smtp = _Client(place, self._host, self._port, self._connect_seconds)
        try:
            smtp.ehlo_or_helo_if_needed()
            if smtp.has_extn("starttls"):
                smtp.starttls(context=_tls_context(self._host))
                smtp.ehlo_or_helo_if_needed()
            if smtp.sock is not None:
                smtp.sock.settimeout(TIMEOUT_SECONDS)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _transaction(
        self, smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], letter: bytes
    ) -> tuple[int, bytes]:
        """MAIL, RCPT, DATA, up to the first answer that is no yes."""
        utf8 = smtp.has_extn("smtputf8")
        people = [_spelt(address, utf8=utf8) for address in recipients]
        origin = _spelt(sender, utf8=utf8)
        header = letter.partition(b"\r\n\r\n")[0]
        options = [f"SIZE={len(letter)}"] if smtp.has_extn("size") else []
        options += ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") and not letter.isascii() else []
        options += ["SMTPUTF8"] if utf8 and not (origin + "".join(people) + header.decode("latin-1")).isascii() else []
        # Not the library's `mail` and `rcpt`: they read an address in their own way and may send another one.
        smtp.command_encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
        code, text = smtp.docmd("MAIL", " ".join([f"FROM:<{origin}>", *options]))
        for person in people:
            if code // 100 == 2:
                code, text = smtp.docmd("RCPT", f"TO:<{person}>")
        if code // 100 == 2:
            try:
                code, text = smtp.data(letter)
            except smtplib.SMTPDataError as refused:
                error = refused.smtp_error
                code, text = refused.smtp_code, error if isinstance(error, bytes) else error.encode()
        if code // 100 != 2:
            self._reset(smtp)
        return code, text

    def _reset(self, smtp: smtplib.SMTP) -> None:
        """After a no; a server that has said 421 is gone, and its answer is known all the same."""
        try:
            smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._drop()

    def _told(self, error: Exception) -> str:
        if isinstance(error, Unavailable):
            return str(error)
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code < 0:
            return f"{place_name(self._host, self._port)}: it does not speak SMTP; is that a mail server's port?"
        if isinstance(error, smtplib.SMTPResponseException):
            said = error.smtp_error
            shown = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            return f"{place_name(self._host, self._port)}: {error.smtp_code} {shown[:REPLY_CHARACTERS_MAX]}"
        return f"{place_name(self._host, self._port)}: {told(error)}"


class _Client(smtplib.SMTP):
    """The library's, connected to one address of its host."""

    def __init__(self, place: str, host: str, port: int, timeout_seconds: float) -> None:
        self._place = place
        super().__init__(host, port, local_hostname=_own_name(), timeout=timeout_seconds)

    def _get_socket(self, _: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self._place, port), timeout)


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a name, in the system's order; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))[:ADDRESSES_MAX]


def read_postage(parameters: str) -> Postage | None:
    """The parameters of XPOSTAGE; what follows a price and cannot be an issuer is passed over."""
    price, *names = parameters[:_PARAMETERS_CHARACTERS_MAX].split()[: 1 + _ISSUERS_MAX] or [""]
    if not re.fullmatch(r"[0-9]{1,7}", price) or not 1 <= int(price) <= PRICE_MAX:
        return None
    issuers: list[str] = []
    for name in names:
        with suppress(MalformedAddress):
            issuers.append(canonical_domain(name))
    return Postage(int(price), tuple(dict.fromkeys(issuers)))


def _spelt(address: str, *, utf8: bool) -> str:
    """The address as this server takes it; raises `MalformedAddress` where it cannot, or where it is none."""
    if not address:
        return ""  # nobody: the sender of a bounce
    canonical_recipient(address)
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    spelt = f"{local}@{canonical_domain(domain)}"
    if not spelt.isascii() and not utf8:
        raise MalformedAddress(f"the server does not take the address {address!r} (it lacks SMTPUTF8)")
    return spelt


def _reason(reply: str) -> str:
    names = {reason.value for reason in Reason}
    return next((name for name in reversed(_REASON.findall(reply)) if name in names), "")


def _own_name() -> str:
    """For EHLO, without asking DNS: a name with a dot, or an address literal (RFC 5321 section 4.1.4)."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _tls_context(host: str) -> ssl.SSLContext:
    """Verified, as what is sent is a stranger's to read otherwise; on this machine there is nobody in between."""
    context = ssl.create_default_context()
    if _is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
