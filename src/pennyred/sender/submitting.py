"""Send copies of a letter to one mail server; each answer is kept word for word.

Enter the session first, see what the server offers, then make the letter safe, stamp it and send it. This uses the
standard library's client, which blocks: a command has one connection and a few letters, and nothing else to do.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pennyred.failures import place_name, told
from pennyred.postage.address import canonical_domain, canonical_recipient
from pennyred.postage.errors import MalformedAddress, Unavailable
from pennyred.postage.networks import is_loopback
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import PRICE_MAX

CONNECT_SECONDS = 30.0
ADDRESSES_MAX = 8
"""How many addresses of a host name are tried, one after the other."""
TIMEOUT_SECONDS = 900.0
"""How long to wait for an answer: a server may take ten minutes after the final dot (RFC 5321 section 4.5.3.2.6)."""
SAID_NOTHING = 0
"""The code of a copy that got no answer, because the connection failed or the copy was not sent."""
REPLY_CHARACTERS_MAX = 10_000
_PARAMETERS_CHARACTERS_MAX = 5000
_ISSUERS_MAX = 100
_REASON = re.compile(r"\(([a-z-]{3,40})\)")


@dataclass(frozen=True, slots=True)
class Sent:
    """The server's answer to one copy."""

    recipients: tuple[str, ...]
    code: int
    """The reply code of three digits, or `SAID_NOTHING`."""
    reply: str
    reason: str
    """The name of a `Reason` in brackets at the end of the reply; empty if there is none."""

    @property
    def is_accepted(self) -> bool:
        """Whether the server has accepted the copy."""
        return self.code // 100 == 2

    @property
    def is_temporary(self) -> bool:
        """Whether it may help to try again later."""
        return self.code // 100 == 4 or self.reason == Reason.UPSTREAM_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Postage:
    """The postage that a server asks for in its EHLO reply: `XPOSTAGE <price> <issuer>...`."""

    price: int
    """How many stamps for each recipient, at least 1."""
    issuers: tuple[str, ...]
    """The offices whose stamps count, as canonical domains; empty if the server does not name any."""


class Submission:
    """A session with one server; a context manager. Entering it raises `Unavailable` if the server cannot be reached.

    Raises `MalformedAddress` if `host` cannot be a host name.
    """

    def __init__(self, host: str, port: int, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.host = host
        self._host = host.removesuffix(".")  # DNS tools print a last dot; certificates have none (RFC 6066 section 3)
        self._port = port
        self._connect_seconds = connect_seconds
        self._smtp: smtplib.SMTP | None = None
        try:
            host.encode("idna")  # as the socket will do; it fails for an empty or too long label
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
        """Whether the server offers SMTPUTF8: headers and addresses in UTF-8 (RFC 6531)."""
        return self._connected().has_extn("smtputf8")

    @property
    def postage(self) -> Postage | None:
        """The postage that the server asks for; None if it asks for none, or in a form that cannot be read."""
        return read_postage(self._connected().esmtp_features.get("xpostage", ""))

    def send(self, sender: str, recipients: Sequence[str], letter: bytes) -> Sent:
        """Send one copy, to all of its recipients or to none, and return what the server said.

        It never raises: if the connection breaks, that is this copy's result, and the next copy gets a new connection.
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
        """Connect to the first address of the name that works (RFC 5321 section 5.1); raises the first one's error."""
        first: Exception | None = None
        for place in addresses_of(self._host, self._port):
            try:
                return self._connect_at(place)
            except (OSError, smtplib.SMTPException) as error:
                first = first or error
        raise first or OSError("the name has no address")

    def _connect_at(self, place: str) -> smtplib.SMTP:
        # The host must be given to the constructor, not to `connect`: its certificate is verified for that name.
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
        """Send MAIL, RCPT and DATA, and stop at the first answer that is not 2xx; returns the last answer."""
        utf8 = smtp.has_extn("smtputf8")
        people = [_spelt(address, utf8=utf8) for address in recipients]
        origin = _spelt(sender, utf8=utf8)
        header = letter.partition(b"\r\n\r\n")[0]
        options = [f"SIZE={len(letter)}"] if smtp.has_extn("size") else []
        options += ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") and not letter.isascii() else []
        options += ["SMTPUTF8"] if utf8 and not (origin + "".join(people) + header.decode("latin-1")).isascii() else []
        # Not the library's `mail` and `rcpt`: they parse the address and may send a different one.
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
        """Send RSET after a refusal. A server that has said 421 closes the connection; its answer is kept."""
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
    """The library's client, but connected to one given address of its host."""

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
    """Read the parameters of XPOSTAGE; None without a valid price. Names that cannot be an issuer are ignored."""
    price, *names = parameters[:_PARAMETERS_CHARACTERS_MAX].split()[: 1 + _ISSUERS_MAX] or [""]
    if not re.fullmatch(r"[0-9]{1,7}", price) or not 1 <= int(price) <= PRICE_MAX:
        return None
    issuers: list[str] = []
    for name in names:
        with suppress(MalformedAddress):
            issuers.append(canonical_domain(name))
    return Postage(int(price), tuple(dict.fromkeys(issuers)))


def _spelt(address: str, *, utf8: bool) -> str:
    """The address in a form that this server takes; raises `MalformedAddress` if there is none, or for no address."""
    if not address:
        return ""  # the empty sender of a bounce
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
    """Our name for EHLO, found without DNS: a name with a dot, or an address literal (RFC 5321 section 4.1.4)."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _tls_context(host: str) -> ssl.SSLContext:
    """TLS with a verified certificate, else somebody in between could read the letter; unverified on this machine."""
    context = ssl.create_default_context()
    if is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
