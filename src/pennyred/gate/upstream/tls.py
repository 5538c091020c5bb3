"""TLS to the mail server behind the gate: which certificate is accepted, and what went wrong, in words.

Without a good certificate nothing is sent: the letter waits with its sender.
"""

import asyncio
import ssl
from pathlib import Path

from pennyred.failures import told, what
from pennyred.gate.upstream.endpoint import UpstreamOptions


def client_context(ca: Path | None, *, is_verified: bool) -> ssl.SSLContext:
    """The TLS context: it trusts the authorities of this machine, or those in `ca` (PEM). Raises OSError.

    Without `is_verified` any certificate is accepted: that protects only against those who listen.
    """
    authorities = None if ca is None else ca.read_text("utf-8", "replace")
    if authorities is not None and not authorities.strip():
        raise OSError(f"{ca}: there is no certificate in it")  # else the library uses this machine's authorities
    try:
        context = ssl.create_default_context(cadata=authorities)
    except ssl.SSLError as error:
        raise OSError(f"{ca}: there is no certificate in it") from error
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def change_to_tls(
    transport: asyncio.Transport, protocol: asyncio.Protocol, options: UpstreamOptions
) -> asyncio.Transport:
    """Shake hands on a connection; returns the transport to use from now on.

    Raises OSError with the reason in words; then the connection cannot be used any more.
    """
    assert options.tls is not None
    # A final dot tells the resolver that the name is complete; no certificate has it (RFC 6066 section 3).
    host = options.endpoint.host.removesuffix(".")
    try:
        secured = await asyncio.get_running_loop().start_tls(
            transport, protocol, options.tls, server_hostname=host,
            ssl_handshake_timeout=options.deadlines.greeting_seconds,
        )  # fmt: skip
    except ssl.SSLCertVerificationError as error:
        raise OSError(f"its certificate: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise OSError(told(error).removeprefix("TLS fails: ")) from error
    except OSError as error:
        raise OSError(what(error) if str(error) else "no handshake") from error
    assert secured is not None
    return secured
