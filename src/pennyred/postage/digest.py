"""The hashes that bind a stamp to a recipient, a letter and a domain (STAMP.md 5)."""

import hashlib

from pennyred.postage.address import Recipient
from pennyred.postage.canonical import relaxed_field
from pennyred.postage.letter import HeaderSection

SIGNED_NAMES: tuple[bytes, ...] = (b"from", b"to", b"cc", b"subject", b"date", b"message-id")
"""The header fields a stamp signs: those that a reader sees and mail systems do not rewrite; see DECISIONS.md."""
SIGNED_NAMES_MAX = 64
"""How many names a stamp may list (its tag `h`). A letter with too many fields of the six cannot be stamped."""

CONTEXT_HEADER = b"pennyred/1 header\0"
CONTEXT_LETTER = b"pennyred/1 letter\0"
CONTEXT_RECIPIENT = b"pennyred/1 recipient\0"
CONTEXT_DOMAIN = b"pennyred/1 domain\0"


def signed_names(header: HeaderSection) -> tuple[bytes, ...]:
    """The names a stamp lists: each of the six as often as it occurs and once more, so that an added field shows."""
    return tuple([name for name in SIGNED_NAMES for _ in range(len(header.named(name)) + 1)])


def qualifies(header: HeaderSection) -> bool:
    """Whether a letter with this header can be stamped: exactly one From, not too many of the six (STAMP.md 5.3)."""
    names = sum([len(header.named(name)) + 1 for name in SIGNED_NAMES])
    return len(header.named(b"from")) == 1 and names <= SIGNED_NAMES_MAX


def header_hash(header: HeaderSection) -> bytes:
    """SHA-256 over the signed fields in relaxed form: name by name, each name's fields from the bottom up; 32 bytes.

    It is defined for every header, also for one that does not qualify (STAMP.md 5.3).
    """
    fields = [relaxed_field(field) for name in SIGNED_NAMES for field in reversed(header.named(name))]
    return hashlib.sha256(CONTEXT_HEADER + b"".join(fields)).digest()


def letter_hash(header_digest: bytes, body_digest: bytes, recipient: Recipient) -> bytes:
    """The letter hash, 32 bytes: it names one letter to one recipient, from the two digests of the received letter.

    Holds, settlements and passes are bound to it.
    """
    return hashlib.sha256(CONTEXT_LETTER + header_digest + body_digest + recipient.canonical.encode()).digest()


def recipient_hash(salt: bytes, recipient: Recipient) -> bytes:
    """The hash that makes a stamp out to a recipient without naming it: 32 bytes; `salt` is 16 random bytes."""
    return hashlib.sha256(CONTEXT_RECIPIENT + salt + recipient.canonical.encode()).digest()


def domain_hash(serial: bytes, domain: str) -> bytes:
    """The hash by which an office checks that a stamp is for a given domain: 32 bytes; `serial` is the stamp's, 16."""
    return hashlib.sha256(CONTEXT_DOMAIN + serial + domain.encode()).digest()
