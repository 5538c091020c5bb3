"""The gate's Received field (RFC 5321 section 4.4): used where the mail server cannot be told who the client is."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from pennyred.gate.upstream.identity import ClientIdentity

_ODD = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_PLAIN_MAILBOX = re.compile(rb"[!-~]{1,320}")
_NAME_CHARACTERS_MAX = 255


def received_field(
    client: ClientIdentity, by: str, protocol: str, identifier: str, recipient: bytes | None, date: str
) -> bytes:
    """The field, folded, CRLF at its end. `recipient` if there is only one (RFC 5321 section 7.6); `date`: RFC 5322.

    Names come from strangers: a character that cannot be in a host name becomes a question mark.
    """
    address = f"IPv6:{client.address}" if ":" in client.address else client.address
    name = f"{_plain(client.name)} " if client.name else ""
    lines = [f"Received: from {_plain(client.helo) or 'unknown'} ({name}[{address}])"]
    lines.append(f"\tby {_plain(by)} with {protocol} id {identifier}")
    if recipient is not None and _PLAIN_MAILBOX.fullmatch(recipient):
        lines.append(f"\tfor <{recipient.decode('ascii')}>")
    return ("\r\n".join(lines) + f";\r\n\t{date}\r\n").encode("ascii")


def protocol_name(client: ClientIdentity, *, is_tls: bool, is_utf8: bool) -> str:
    """The protocol's name behind "with" (RFC 3848, RFC 6531 section 4.3)."""
    if is_utf8:
        return "UTF8SMTPS" if is_tls else "UTF8SMTP"
    return f"{client.protocol}S" if is_tls and client.protocol == "ESMTP" else client.protocol


@lru_cache(maxsize=1)
def date_of(now: int) -> str:
    """A time in seconds since 1970, as RFC 5322 section 3.3 writes it. The letters of one second share it."""
    return format_datetime(datetime.fromtimestamp(now, UTC))


def _plain(name: str) -> str:
    return _ODD.sub("?", name[:_NAME_CHARACTERS_MAX])
