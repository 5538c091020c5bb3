"""The hashes that bind a stamp to a recipient, a letter and a domain (STAMP.md 5)."""

import hashlib

from pennyred.postage.address import Recipient
from pennyred.postage.canonical import relaxed_field
from pennyred.postage.letter import HeaderSection

SIGNED_NAMES: tuple[bytes, ...] = (b"from", b"to", b"cc", b"subject", b"date", b"message-id")
"""What a reader sees of a letter and a mailing system does not rewrite; see DECISIONS.md."""
SIGNED_NAMES_MAX = 64
"""Names in a stamp's list; a letter with more fields of the six than that cannot be stamped."""

CONTEXT_HEADER = b"pennyred/1 header\0"
CONTEXT_LETTER = b"pennyred/1 letter\0"
CONTEXT_RECIPIENT = b"pennyred/1 recipient\0"
CONTEXT_DOMAIN = b"pennyred/1 domain\0"


def signed_names(header: HeaderSection) -> tuple[bytes, ...]:
    """The names a stamp lists: each of the six as often as it occurs and once more, so that an added field fails."""
    return tuple([name for name in SIGNED_NAMES for _ in range(len(header.named(name)) + 1)])


def qualifies(header: HeaderSection) -> bool:
    """Whether a stamp can be for a letter with this header: one From, and not too many of the six (STAMP.md 5.3)."""
    names = sum([len(header.named(name)) + 1 for name in SIGNED_NAMES])
    return len(header.named(b"from")) == 1 and names <= SIGNED_NAMES_MAX


def header_hash(header: HeaderSection) -> bytes:
    """SHA-256 over the signed fields in relaxed form: name by name, each name's fields from the bottom up.

    Defined for every header, also for one that does not qualify (STAMP.md 5.3).
    """
    fields = [relaxed_field(field) for name in SIGNED_NAMES for field in reversed(header.named(name))]
    return hashlib.sha256(CONTEXT_HEADER + b"".join(fields)).digest()


def letter_hash(header_digest: bytes, body_digest: bytes, recipient: Recipient) -> bytes:
    """Names one letter to one recipient, from the bytes received; what holds, settlements and passes are bound to."""
    return hashlib.sha256(CONTEXT_LETTER + header_digest + body_digest + recipient.canonical.encode()).digest()


def recipient_hash(salt: bytes, recipient: Recipient) -> bytes:
    """Makes a stamp out to a recipient without naming it; `salt` is 16 bytes."""
    return hashlib.sha256(CONTEXT_RECIPIENT + salt + recipient.canonical.encode()).digest()


def domain_hash(serial: bytes, domain: str) -> bytes:
    """Lets an office see that a stamp is for a domain it was told; `serial` is 16 bytes."""
    return hashlib.sha256(CONTEXT_DOMAIN + serial + domain.encode()).digest()
