"""What a client is offered by STARTTLS: as much as Postfix offers, because who is refused sends in plain text, or not.

TLS between mail servers is opportunistic (RFC 7435, RFC 3207): a client that finds no cipher in common does not deliver
more safely, it delivers without any encryption or gives the letter up. So what is old comes last and is there all the
same; whoever can do better never gets it.
"""

import ssl
import warnings
from pathlib import Path

from pennyred.failures import told

CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:HIGH:MEDIUM:+kRSA:+aNULL:!eNULL:!PSK:!SRP"
)
"""All that Postfix's `smtpd_tls_ciphers = medium` takes, the best first, and by our order, not the client's."""
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_GROUP = Path(__file__).with_name("ffdhe2048.pem")
"""RFC 7919's, for clients that know of no elliptic curves."""


def server_context(certificate: Path, key: Path, *, ciphers: str = "", minimum: str = "1.0") -> ssl.SSLContext:
    """For STARTTLS with this certificate and key (PEM); `ciphers` is a list as OpenSSL has it, empty for `CIPHERS`.

    Raises OSError where the files cannot be read, and says which it was, or where nothing is left to offer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION  # a way to have us work for nothing
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION
    # At OpenSSL's usual level, which a system may have raised, the old versions are not there whatever is asked for.
    chosen = ciphers or CIPHERS
    context.set_ciphers(chosen if "@SECLEVEL" in chosen else f"{chosen}:@SECLEVEL=0")
    context.load_dh_params(str(_GROUP))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the old ones are old is known
        context.minimum_version = VERSIONS[minimum]
    for path in (certificate, key):
        path.open("rb").close()  # its error has the file's name, which the library's has not
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        why = "not its key" if error.reason == "KEY_VALUES_MISMATCH" else told(error)
        raise OSError(f"tls_certificate {certificate}, tls_key {key}: {why}") from error
    return context
