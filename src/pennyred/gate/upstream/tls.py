"""TLS to the mail server behind the gate: whom it must prove to be, and what went wrong in words.

Without a proof nothing is sent: a letter that could go to anybody waits with its sender.
"""

import asyncio
import ssl
from pathlib import Path

from pennyred.failures import told, what
from pennyred.gate.upstream.endpoint import UpstreamOptions


def client_context(ca: Path | None, *, is_verified: bool) -> ssl.SSLContext:
    """Whom to believe: the authorities of this machine, or those in `ca` (PEM) instead. Raises OSError.

    Not `is_verified`: anybody, which keeps out only those who listen and do not meddle.
    """
    authorities = None if ca is None else ca.read_text("utf-8", "replace")
    if authorities is not None and not authorities.strip():
        raise OSError(f"{ca}: there is no certificate in it")  # to the library, nothing given means this machine's own
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
    """Shake hands on a connection and return what to write to from now on.

    Raises OSError with the reason in words; then the connection is of no use any more.
    """
    assert options.tls is not None
    # A final dot says to whoever looks the name up that it is whole; no certificate has it (RFC 6066 section 3).
    host = options.endpoint.host.removesuffix(".")
    try:
        secured = await asyncio.get_running_loop().start_tls(
            transport, protocol, options.tls, server_hostname=host,
            ssl_handshake_timeout=options.greeting_timeout_seconds,
        )  # fmt: skip
    except ssl.SSLCertVerificationError as error:
        raise OSError(f"its certificate: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise OSError(told(error).removeprefix("TLS fails: ")) from error
    except OSError as error:
        raise OSError(what(error) if str(error) else "no handshake") from error
    assert secured is not None
    return secured
