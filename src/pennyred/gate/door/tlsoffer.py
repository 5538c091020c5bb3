"""What STARTTLS offers a client: as much as Postfix offers.

TLS between mail servers is opportunistic (RFC 7435, RFC 3207). A client that finds no cipher in common does not deliver
more safely: it delivers in plain text, or gives the letter up. So old ciphers are offered too, and come last. A client
that can do better never gets them.
"""

import ssl
import warnings
from pathlib import Path

from pennyred.failures import told

CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:HIGH:MEDIUM:+kRSA:+aNULL:!eNULL:!PSK:!SRP"
)
"""All that Postfix takes with `smtpd_tls_ciphers = medium`, best first. The gate's order counts, not the client's."""
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_GROUP = Path(__file__).with_name("ffdhe2048.pem")
"""The Diffie-Hellman group of RFC 7919, for clients without elliptic curves."""


def server_context(certificate: Path, key: Path, *, ciphers: str = "", minimum: str = "1.0") -> ssl.SSLContext:
    """The context for STARTTLS with this certificate and key (PEM). `ciphers`: an OpenSSL list; empty: `CIPHERS`.

    Raises OSError if a file cannot be read (it says which), or if nothing is left to offer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION  # renegotiation costs the server much work, and mail does not need it
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION
    # OpenSSL offers no old versions at its usual security level, or at a higher one that the system has set.
    chosen = ciphers or CIPHERS
    context.set_ciphers(chosen if "@SECLEVEL" in chosen else f"{chosen}:@SECLEVEL=0")
    context.load_dh_params(str(_GROUP))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the old versions are old is known
        context.minimum_version = VERSIONS[minimum]
    for path in (certificate, key):
        path.open("rb").close()  # an OSError from here has the file's name; the library's has not
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        why = "not its key" if error.reason == "KEY_VALUES_MISMATCH" else told(error)
        raise OSError(f"tls_certificate {certificate}, tls_key {key}: {why}") from error
    return context
