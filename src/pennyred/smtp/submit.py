"""Send copies of a letter to one mail server, as a sender's command does; each answer is kept as it was said.

Uses the standard library's client: one connection, a few letters, nobody to share the loop with.
"""

import re
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

TIMEOUT_SECONDS = 900
"""A server may take ten minutes for the final dot (RFC 5321 section 4.5.3.2.6)."""
_REASON = re.compile(r"\(([a-z-]{3,40})\)")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server said of one copy."""

    recipients: tuple[str, ...]
    code: int
    reply: str
    reason: str
    """The name in brackets at the end of a refusal, where it is one of Penny Red's; else empty."""

    @property
    def is_accepted(self) -> bool:
        """Whether the server has taken it."""
        return self.code // 100 == 2

    @property
    def is_temporary(self) -> bool:
        """Whether trying later may help."""
        return self.code // 100 == 4


class Submission:
    """A session with one server; a context manager. Raises `Unavailable` where it cannot be reached."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        try:
            smtp = smtplib.SMTP(timeout=TIMEOUT_SECONDS)
            smtp.connect(self._host, self._port)
            self._smtp = smtp
            smtp.ehlo()
            if smtp.has_extn("starttls"):
                smtp.starttls(context=_tls_context(self._host))
                smtp.ehlo()
        except (OSError, smtplib.SMTPException) as error:
            self.__exit__(None, None, None)
            raise Unavailable(Reason.UPSTREAM_UNAVAILABLE, f"{self._host}:{self._port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    @property
    def takes_eight_bit(self) -> bool:
        """Whether the server offers 8BITMIME; if not, letters must be made 7-bit before they are stamped."""
        assert self._smtp is not None
        return self._smtp.has_extn("8bitmime")

    def send(self, sender: str, recipients: Sequence[str], letter: bytes) -> Sent:
        """Send one copy, to all of its recipients or to none; what the server said, whatever it was."""
        assert self._smtp is not None
        smtp = self._smtp
        options = ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") and not letter.isascii() else []
        if smtp.has_extn("smtputf8") and not (sender + "".join(recipients)).isascii():
            options.append("SMTPUTF8")
        try:
            said = self._transaction(smtp, sender, recipients, letter, options)
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(Reason.UPSTREAM_UNAVAILABLE, f"{self._host}:{self._port}: {error}") from error
        code, text = said
        reply = text.decode("utf-8", "replace").replace("\r\n", " ").replace("\n", " ")
        return Sent(tuple(recipients), code, reply, _reason(reply))

    def _transaction(
        self, smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], letter: bytes, options: list[str]
    ) -> tuple[int, bytes]:
        steps: list[Callable[[], tuple[int, bytes]]] = [lambda: smtp.mail(sender, options)]
        steps += [lambda one=recipient: smtp.rcpt(one) for recipient in recipients]  # type: ignore[misc]
        for step in steps:
            code, text = step()
            if code // 100 != 2:
                smtp.rset()
                return code, text
        try:
            code, text = smtp.data(letter)
        except smtplib.SMTPDataError as refused:
            code, text = refused.smtp_code, _bytes(refused.smtp_error)
        if code // 100 != 2:
            smtp.rset()
        return code, text


def _reason(reply: str) -> str:
    names = {reason.value for reason in Reason}
    return next((name for name in reversed(_REASON.findall(reply)) if name in names), "")


def _tls_context(host: str) -> ssl.SSLContext:
    """Verified, as what is sent is a stranger's to read otherwise; on this machine there is nobody in between."""
    context = ssl.create_default_context()
    try:
        is_local = ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if is_local:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
