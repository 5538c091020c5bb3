"""Ed25519 signatures (RFC 8032), each under a context of its own; the only module that knows the library behind them."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pennyred.postage.errors import MalformedKey

CONTEXT_STAMP = b"pennyred/1 stamp\0"
CONTEXT_LICENCE = b"pennyred/1 licence\0"
CONTEXT_RECEIPT = b"pennyred/1 receipt\0"


class SigningKey:
    """A private key; never shown by `repr`."""

    __slots__ = ("_key", "public")

    public: bytes
    """The public key, 32 bytes."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """The key of 32 random bytes; raises `MalformedKey` for another length."""
        if len(seed) != 32:
            raise MalformedKey("a key's seed has 32 bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """Read an unencrypted PKCS#8 PEM file; raises `MalformedKey`."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise MalformedKey("not an unencrypted private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise MalformedKey("not an Ed25519 key")
        return cls(key)

    def to_pem(self) -> bytes:
        """As an unencrypted PKCS#8 PEM file."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, context: bytes, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(context + message)


def verify(public: bytes, context: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds; a public key that is none holds nothing."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, context + message)
    except (InvalidSignature, ValueError):
        return False
    return True
