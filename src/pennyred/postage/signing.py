"""Ed25519 signatures (RFC 8032), each under a context of its own.

Only this module uses the libraries: `cryptography` for keys and signing, PyNaCl (libsodium) for verifying. Libraries
differ about keys and signatures that nobody makes honestly. STAMP.md 7.2 says which of them count; this module refuses
the others itself, so that the answer does not depend on the library.
"""

from functools import lru_cache

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from pennyred.postage.errors import MalformedKey

CONTEXT_STAMP = b"pennyred/2 stamp\0"
CONTEXT_LICENCE = b"pennyred/1 licence\0"
CONTEXT_RECEIPT = b"pennyred/1 receipt\0"

SIGNATURE_BYTES = 64
PEM_BYTES_MAX = 16_384

_FIELD_PRIME = 2**255 - 19
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_SMALL_ORDER_Y = frozenset(
    (
        0,  # order 4
        1,  # order 1
        _FIELD_PRIME - 1,  # order 2
        # order 8, and its negative
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        _FIELD_PRIME - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    )
)
"""The y coordinates of the eight points of small order: under such a key, a signature does not show who signed."""


class SigningKey:
    """A private Ed25519 key; `repr` never shows it."""

    __slots__ = ("_key", "public")

    public: bytes
    """The public key, 32 bytes."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """The key made from 32 random bytes; raises `MalformedKey` for another length."""
        if len(seed) != 32:
            raise MalformedKey("a key's seed has 32 bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """Read an unencrypted PKCS#8 PEM file; raises `MalformedKey`."""
        if len(pem) > PEM_BYTES_MAX:
            raise MalformedKey("a key file is not that long")
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise MalformedKey("not an unencrypted private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise MalformedKey("not an Ed25519 key")
        return cls(key)

    def to_pem(self) -> bytes:
        """The key as an unencrypted PKCS#8 PEM file."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, context: bytes, message: bytes) -> bytes:
        """The signature of `message` under `context` (one of the `CONTEXT_` constants), 64 bytes."""
        return self._key.sign(context + message)


def verify(public: bytes, context: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds under this key and context; with an unsound key or signature never (STAMP.md 7.2)."""
    if len(signature) != SIGNATURE_BYTES or not is_sound(public) or _is_small_order(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        return False
    try:
        # libsodium takes half the time of OpenSSL, and this is the most expensive step for a letter.
        crypto_sign_open(signature + context + message, public)
    except BadSignatureError:
        return False
    return True


@lru_cache(maxsize=10_000)
def is_sound(public: bytes) -> bool:
    """Whether a public key is 32 bytes, in the only spelling that RFC 8032 allows, and no point of small order."""
    return len(public) == 32 and _y(public) < _FIELD_PRIME and not _is_small_order(public)


def _y(point: bytes) -> int:
    """The y coordinate of an encoded point as it is written, without the bit for the sign of x."""
    return int.from_bytes(point, "little") & (2**255 - 1)


def _is_small_order(point: bytes) -> bool:
    return _y(point) % _FIELD_PRIME in _SMALL_ORDER_Y
