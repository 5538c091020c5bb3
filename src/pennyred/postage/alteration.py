"""What was altered on a stamped letter's way, and whether its stamp counts all the same (STAMP.md 8.6).

Honest ways alter letters: providers give them a Message-ID of their own, gateways put a tag into the Subject, lists add
a footer. A thief who holds an unspent stamp alters them, too. So a stamp counts where nothing is altered that a thief
could use, or where the author is proven to have sent what was received.
"""

from enum import Enum, StrEnum
from hashlib import sha256
from typing import Self

from msgspec import Struct

from pennyred.postage.address import Recipient
from pennyred.postage.digest import DIGEST_BYTES, FIELDS, SignedParts, body_digest, field_digests, subject_digest
from pennyred.postage.reasons import Reason
from pennyred.postage.stamp import Stamp

AUTHOR, SUBJECT, MESSAGE_ID, BODY = "from", "subject", "message-id", "body"
_TELLING = frozenset(("to", "date", MESSAGE_ID))
"""Where all of these are others, another text under the same Subject is another letter: an answer in a thread, say."""
CONTEXT_TEXT = b"pennyred/2 text\0"
_PLACES = {name: slice(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES) for at, name in enumerate(FIELDS)}


class Proof(Enum):
    """Whether the author's domain is proven for the letter as it was received: not by SPF alone."""

    YES = "yes"
    WITHOUT_ID = "without-id"
    """Yes, but anybody may have put the Message-ID: so it does not tell that the stamp was made for this letter."""
    NO = "no"
    SILENT = "silent"
    """The DNS does not answer, and could have proven it."""


class Row(StrEnum):
    """The rows of the table in STAMP.md 8.6, in the order of docs/replies-and-log.md: the first fits. `reason` is what
    it says.
    """

    reason: Reason
    strict_reason: Reason
    """What it says at a gate that takes no altered text."""

    def __new__(cls, name: str, reason: Reason, strict_reason: Reason) -> Self:
        """Make a row from its name, which is seen in reports, and its reasons."""
        row = str.__new__(cls, name)
        row._value_ = name
        row.reason, row.strict_reason = reason, strict_reason
        return row

    OTHER_AUTHOR = "other-author", Reason.ALTERED_HEADERS, Reason.ALTERED_HEADERS
    UNALTERED = "unaltered", Reason.STAMPED, Reason.STAMPED
    SAME_TEXT = "same-text", Reason.STAMPED_MODIFIED, Reason.STAMPED_MODIFIED
    """Body, author, Reply-To and the subject's core are the same."""
    SUBJECT_PROVEN = "subject-proven", Reason.STAMPED_MODIFIED, Reason.ALTERED_HEADERS
    SUBJECT_UNKNOWN = "subject-unknown", Reason.DNS_UNAVAILABLE, Reason.ALTERED_HEADERS
    SUBJECT_UNPROVEN = "subject-unproven", Reason.ALTERED_HEADERS, Reason.ALTERED_HEADERS
    OTHER_LETTER = "other-letter", Reason.ALTERED_HEADERS, Reason.ALTERED_HEADERS
    """Another body, and nothing tells that the stamp was made for this letter."""
    BODY_PROVEN = "body-proven", Reason.STAMPED_MODIFIED, Reason.ALTERED_BODY
    BODY_UNKNOWN = "body-unknown", Reason.DNS_UNAVAILABLE, Reason.ALTERED_BODY
    BODY_UNPROVEN = "body-unproven", Reason.ALTERED_BODY, Reason.ALTERED_BODY


_SUBJECT = {
    Proof.YES: Row.SUBJECT_PROVEN,
    Proof.WITHOUT_ID: Row.SUBJECT_PROVEN,
    Proof.SILENT: Row.SUBJECT_UNKNOWN,
    Proof.NO: Row.SUBJECT_UNPROVEN,
}
_BODY = {Proof.YES: Row.BODY_PROVEN, Proof.SILENT: Row.BODY_UNKNOWN, Proof.NO: Row.BODY_UNPROVEN}
_BODY_BY_SUBJECT = _BODY | {Proof.WITHOUT_ID: Row.BODY_PROVEN}
_BODY_BY_ID = _BODY | {Proof.WITHOUT_ID: Row.BODY_UNPROVEN}


class Alteration(Struct, frozen=True, gc=False):
    """How a letter differs from the one that a stamp was made for."""

    altered: tuple[str, ...]
    """What differs, in the order of `digest.FIELDS`, then `body`."""
    has_same_core: bool
    """Whether Reply-To is the same, and the Subject, at most less one tag that a gateway has put in front."""
    has_same_id: bool
    """Whether it has a Message-ID, and the same."""

    def row(self, proof: Proof) -> Row:
        """Which row of the table fits."""
        if AUTHOR in self.altered:
            return Row.OTHER_AUTHOR
        if not self.altered:
            return Row.UNALTERED
        if BODY not in self.altered:
            return Row.SAME_TEXT if self.has_same_core else _SUBJECT[proof]
        if self.has_same_core and not set(self.altered) >= _TELLING:
            return _BODY_BY_SUBJECT[proof]
        return _BODY_BY_ID[proof] if self.has_same_id else Row.OTHER_LETTER

    @property
    def hangs_on_proof(self) -> bool:
        """Whether it makes a difference if the author is proven."""
        return self.row(Proof.YES) is not self.row(Proof.NO)


_NOTHING = Alteration((), has_same_core=True, has_same_id=True)
_EVERYTHING = Alteration((*FIELDS, BODY), has_same_core=False, has_same_id=False)


def alteration(stamp: Stamp, parts: SignedParts) -> Alteration:
    """Compare a letter as it was received with a stamp; without its salt a stamp is of no letter."""
    salt = stamp.salt
    if salt is None:
        return _EVERYTHING
    found, stamped = field_digests(salt, parts), stamp.field_digests
    has_same_body = body_digest(salt, parts) == stamp.body_digest
    if found == stamped and has_same_body and parts.has_one_author:
        return _NOTHING
    altered = [name for name, place in _PLACES.items() if found[place] != stamped[place]]
    if not parts.has_one_author and AUTHOR not in altered:
        altered.insert(0, AUTHOR)
    has_same_subject = SUBJECT not in altered or any(
        subject_digest(salt, text) == stamped[_PLACES[SUBJECT]] for text in parts.subjects_before
    )
    return Alteration(
        tuple(altered if has_same_body else [*altered, BODY]),
        has_same_subject and "reply-to" not in altered,
        MESSAGE_ID not in altered and bool(parts.texts[FIELDS.index(MESSAGE_ID)]),
    )


def text_digest(stamp: Stamp, parts: SignedParts, recipient: Recipient, row: Row | None = None) -> bytes:
    """Names the text that a recipient was sent under a stamp: author, Reply-To, the Subject's core, and body; 16 bytes.

    It is the same for all letters that differ in nothing else, whatever path they came by and whether a gateway has put
    a tag in front of the Subject. It is salted as all of a stamp's digests are, so who reads it can test no guess.
    `row` is what was found out before by comparing the two; None: nothing.
    """
    salt = stamp.salt or b""
    if row in (Row.UNALTERED, Row.SAME_TEXT):
        fields, body = stamp.field_digests, stamp.body_digest
        subject = fields[_PLACES[SUBJECT]]
    else:
        fields, body = field_digests(salt, parts), body_digest(salt, parts)
        subject = _core_digest(salt, parts, fields[_PLACES[SUBJECT]], stamp.field_digests[_PLACES[SUBJECT]])
    signed = fields[_PLACES[AUTHOR]] + fields[_PLACES["reply-to"]] + subject + body
    return sha256(CONTEXT_TEXT + signed + recipient.canonical.encode()).digest()[:DIGEST_BYTES]


def _core_digest(salt: bytes, parts: SignedParts, found: bytes, stamped: bytes) -> bytes:
    """That of the stamped Subject where it is the core of the received one; else of that less its tag, if any."""
    before = [subject_digest(salt, text) for text in parts.subjects_before]
    return stamped if stamped in (found, *before) else next(iter(before), found)
