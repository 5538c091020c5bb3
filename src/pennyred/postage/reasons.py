"""The reasons why a recipient of a letter is accepted, refused or deferred.

One list, in the order of the classes: exempt, paid, due, later. The names are seen outside (replies, log, header,
`--json`), so a name is never reused and never changes its meaning.
"""

from enum import Enum, StrEnum
from typing import Self


class Kind(Enum):
    """The class of a reason: it decides what happens to the recipient."""

    EXEMPT = "exempt"
    """Accepted without a stamp, by the rule that the reason names."""
    PAID = "paid"
    """Accepted, because a stamp counts."""
    DUE = "due"
    """Postage is due: refused (5xx), with a text that says what to do."""
    LATER = "later"
    """Something outside did not answer: deferred (4xx), never refused."""


class Reason(StrEnum):
    """Why a recipient is accepted, refused or deferred. `kind` is the class, `sentence` says it in words."""

    kind: Kind
    sentence: str

    def __new__(cls, name: str, kind: Kind, sentence: str) -> Self:
        """Make a member from its name, which is its value, its class and its sentence."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.kind = kind
        member.sentence = sentence
        return member

    POSTMASTER = "postmaster", Kind.EXEMPT, "postmaster and abuse are always free"
    BOUNCE = "bounce", Kind.EXEMPT, "a report or an automatic answer"
    NETWORK = "network", Kind.EXEMPT, "the client is in an exempt network"
    SENDER = "sender", Kind.EXEMPT, "the sender is exempt from this network"
    RECIPIENT = "recipient", Kind.EXEMPT, "the recipient takes unstamped mail"
    CORRESPONDENT = "correspondent", Kind.EXEMPT, "the recipient has written to the sender"
    REPLY = "reply", Kind.EXEMPT, "a reply to a letter of the recipient's"
    LIST = "list", Kind.EXEMPT, "a list or sender the recipient has approved"
    EXPECTED = "expected", Kind.EXEMPT, "the recipient expects this sender"
    FORWARDER = "forwarder", Kind.EXEMPT, "a trusted forwarder"
    ALLOWANCE = "allowance", Kind.EXEMPT, "within the free daily allowance"
    PASS = "pass", Kind.EXEMPT, "a sister gate has let it through"

    STAMPED = "stamped", Kind.PAID, "the stamp counts"
    STAMPED_MODIFIED = "stamped-modified", Kind.PAID, "the stamp counts, the letter was altered on the way"
    DUPLICATE = "duplicate", Kind.PAID, "this very letter was delivered and paid before"

    NO_STAMP = "no-stamp", Kind.DUE, "it carries no stamp"
    BULK = "bulk", Kind.DUE, "the free daily allowance of this sender is used up"
    MALFORMED = "malformed", Kind.DUE, "the stamp cannot be read"
    UNKNOWN_VERSION = "unknown-version", Kind.DUE, "the stamp is of a version this gate does not know"
    WRONG_RECIPIENT = "wrong-recipient", Kind.DUE, "the stamp is made out to another recipient"
    ISSUER_NOT_ACCEPTED = "issuer-not-accepted", Kind.DUE, "stamps of this post office are not accepted here"
    EXPIRED = "expired", Kind.DUE, "the stamp has expired"
    NOT_YET_VALID = "not-yet-valid", Kind.DUE, "the stamp is not valid yet"
    BAD_LICENCE = "bad-licence", Kind.DUE, "the sender's licence does not hold"
    REVOKED = "revoked", Kind.DUE, "the sender's licence has been revoked"
    BAD_SIGNATURE = "bad-signature", Kind.DUE, "the stamp's signature does not hold"
    ALTERED_HEADERS = "altered-headers", Kind.DUE, "the letter's header was altered after stamping"
    ALTERED_BODY = "altered-body", Kind.DUE, "the letter's text was altered after stamping"
    SPENT = "spent", Kind.DUE, "the stamp has been used for another letter"
    RESENT = "resent", Kind.DUE, "this text was delivered before; not charged again"
    INSUFFICIENT_BALANCE = "insufficient-balance", Kind.DUE, "the sender's balance is too low"
    OVER_CAP = "over-cap", Kind.DUE, "the sender has reached the daily cap"
    ACCOUNT_CLOSED = "account-closed", Kind.DUE, "the sender's account is closed or unknown"
    WRONG_RECEIVER = "wrong-receiver", Kind.DUE, "this gate may not redeem stamps for that domain"
    UNDERPAID = "underpaid", Kind.DUE, "the stamp is worth less than the price here"

    OFFICE_UNREACHABLE = "office-unreachable", Kind.LATER, "the post office does not answer"
    LEDGER_UNAVAILABLE = "ledger-unavailable", Kind.LATER, "the ledger does not answer"
    IN_PROGRESS = "in-progress", Kind.LATER, "another delivery of this letter is under way"
    UPSTREAM_UNAVAILABLE = "upstream-unavailable", Kind.LATER, "the mail server does not answer"
    IDENTITY_REFUSED = "identity-refused", Kind.LATER, "the mail server does not understand who this client is"
    DNS_UNAVAILABLE = "dns-unavailable", Kind.LATER, "the DNS does not answer, so who the sender is cannot be known"
    TOO_MANY_BAD_STAMPS = "too-many-bad-stamps", Kind.LATER, "Too many bad stamps from your network in this minute"
    STATE_UNAVAILABLE = "state-unavailable", Kind.LATER, "what this gate has written down is out of reach"
    INTERNAL = "internal", Kind.LATER, "an error inside the gate"

    @property
    def is_cured_by_time(self) -> bool:
        """Whether it is enough that the sender tries again later: then the reply is a 4xx, not a 5xx."""
        return self.kind is Kind.LATER or self in (Reason.OVER_CAP, Reason.NOT_YET_VALID)
