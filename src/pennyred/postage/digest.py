"""The hashes that bind a stamp to a recipient, a letter and a domain (STAMP.md 5).

Everything that a stamp says of its letter is salted: an office that sees the stamp, but not its salt, can test no
guess. The letter hash is not salted, because the gate computes it from what it received and from nothing else.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import NamedTuple

from pennyred.postage.address import Recipient
from pennyred.postage.canonical import plain_field
from pennyred.postage.letter import HeaderSection
from pennyred.postage.reading.subject import without_tag
from pennyred.postage.reading.texts import REPLY_NAMES, UNREAD, body_text, field_texts

FIELDS = ("from", "reply-to", "to", "subject", "date", "message-id")
"""What the tag `d` has a digest of, in its order, by the name that people are told. See STAMP.md 5.3."""
_SUBJECT = FIELDS.index("subject")
DIGEST_BYTES = 16
"""A digest of a field is cut to this: another text with the same digest takes 2^128 tries."""

TEXT_BYTES_MAX = 512
_HASHED = b"\xff"
"""Begins a text that stands by its hash: no text in UTF-8 does."""

LETTER_NAMES: tuple[bytes, ...] = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", *REPLY_NAMES,
    b"content-type", b"content-transfer-encoding", b"delivered-to",
)  # fmt: skip
"""The header fields that make a letter another letter: what stamps sign, what tells how to show the body, and what the
servers behind the gate take for a sign that a letter goes round in a circle.

Else a garbled copy that comes first, or one that bounces behind the gate, could pass for the letter itself, which would
then count as delivered.
"""

HOPS_USUAL = 20
"""Letters with more Received fields than this are others: servers refuse those with 25, 30 or 50. None is so far that
comes by an honest way; but a retry may have one more than the first attempt, so that fewer must not count."""

CONTEXT_HEADER = b"pennyred/2 header\0"
CONTEXT_LETTER = b"pennyred/2 letter\0"
CONTEXT_RECIPIENT = b"pennyred/2 recipient\0"
CONTEXT_DOMAIN = b"pennyred/2 domain\0"
CONTEXT_BODY = b"pennyred/2 body\0"
CONTEXTS_FIELDS = tuple(f"pennyred/2 {name}\0".encode() for name in FIELDS)


class SignedParts(NamedTuple):
    """What stamps sign of one letter. Computed once for all its stamps."""

    texts: tuple[bytes, ...]
    """The text of each of `FIELDS`, in their order; a long one by its hash."""
    subjects_before: tuple[bytes, ...]
    """What the text of the Subject may have been before a gateway put a tag in front of it."""
    body: bytes
    """SHA-256 of the body and of how it is to be read, 32 bytes."""
    header_hash: bytes
    has_one_author: bool
    """Whether the letter has exactly one From field: otherwise readers differ about who wrote it."""


def signed_parts(header: HeaderSection, body_hash: bytes, subject_tags: Collection[str] = ()) -> SignedParts:
    """Compute the parts of a letter; `body_hash` is that of `canonical`, 32 bytes. `subject_tags`: see `without_tag`.

    They are defined for every letter, also for one that cannot be stamped.
    """
    plain = {key: _plain_fields(raws, key) for key in LETTER_NAMES if (raws := header.raws(key))}
    hops = header.raws(b"received")
    if len(hops) > HOPS_USUAL:
        plain[b"received"] = _plain_fields(hops, b"received")
    texts = field_texts(header, plain)
    return SignedParts(
        tuple([text if len(text) <= TEXT_BYTES_MAX else _short(text) for text in texts]),
        _subjects_before(texts[_SUBJECT], subject_tags),
        sha256(body_text(header) + body_hash).digest(),
        sha256(CONTEXT_HEADER + b"".join(plain.values())).digest(),
        len(header.raws(b"from")) == 1,
    )


def _plain_fields(raws: Sequence[bytes], key: bytes) -> bytes:
    return plain_field(raws[0], key) if len(raws) == 1 else b"".join([plain_field(raw, key) for raw in raws])


def _subjects_before(subject: bytes, tags: Collection[str]) -> tuple[bytes, ...]:
    if subject.startswith(UNREAD) or not (tags or subject.startswith(b"[")):
        return ()
    return tuple([_short(text.encode()) for text in without_tag(subject.decode(), tags)])


def _short(text: bytes) -> bytes:
    """A text as it goes into digests: a letter may have a thousand stamps, and each has a salt of its own."""
    return text if len(text) <= TEXT_BYTES_MAX else _HASHED + sha256(text).digest()


def field_digests(salt: bytes, parts: SignedParts) -> bytes:
    """The salted digests of `FIELDS`, 16 bytes each, one behind the other; `salt` is the stamp's, 16 bytes."""
    pairs = zip(CONTEXTS_FIELDS, parts.texts, strict=True)
    return b"".join([sha256(context + salt + text).digest()[:DIGEST_BYTES] for context, text in pairs])


def subject_digest(salt: bytes, text: bytes) -> bytes:
    """The salted digest of the text of a Subject, as it is among `field_digests`."""
    return sha256(CONTEXTS_FIELDS[_SUBJECT] + salt + text).digest()[:DIGEST_BYTES]


def body_digest(salt: bytes, parts: SignedParts) -> bytes:
    """The salted digest of the body, 32 bytes."""
    return sha256(CONTEXT_BODY + salt + parts.body).digest()


def letter_hash(parts: SignedParts, recipient: Recipient) -> bytes:
    """The letter hash, 32 bytes: it names one letter, as it was received, to one recipient.

    Holds, settlements and passes are bound to it.
    """
    return sha256(CONTEXT_LETTER + parts.header_hash + parts.body + recipient.canonical.encode()).digest()


def recipient_hash(salt: bytes, recipient: Recipient) -> bytes:
    """The hash that makes a stamp out to a recipient without naming it: 32 bytes; `salt` is 16 random bytes."""
    return sha256(CONTEXT_RECIPIENT + salt + recipient.canonical.encode()).digest()


def domain_hash(serial: bytes, domain: str) -> bytes:
    """The hash by which an office checks that a stamp is for a given domain: 32 bytes; `serial` is the stamp's, 16."""
    return sha256(CONTEXT_DOMAIN + serial + domain.encode()).digest()
