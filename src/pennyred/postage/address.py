"""The canonical form of a recipient (STAMP.md 4): however an address is spelled, a stamp is made out to this form."""

import re
import unicodedata
from functools import lru_cache

import idna
from msgspec import Struct

from pennyred.postage.errors import MalformedAddress

LOCAL_OCTETS_MAX = 256
"""RFC 5321 section 4.5.3.1.1 says 64; longer ones exist (VERP), and refusing them here would lose mail."""
DOMAIN_OCTETS_MAX = 253
"""RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters in text."""
_MAILBOX_CHARACTERS_MAX = 1024
_REMEMBERED = 5_000
"""How many results each of the two caches keeps: the same few thousand mailboxes and domains come again and again."""

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"@(.*)', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MUST_BE_QUOTED = re.compile(r'["(),:;<>@\[\\\] ]')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LITERAL = re.compile(r"\[[0-9A-Za-z:.\-]{1,100}\]")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Recipient(Struct, frozen=True, gc=False):
    """A mailbox in canonical form; made by `canonical_recipient` only."""

    local: str
    domain: str
    """A-labels, lower case; empty for `postmaster` without a domain."""

    @property
    def canonical(self) -> str:
        """`local@domain`, or the local part alone where there is no domain."""
        return f"{self.local}@{self.domain}" if self.domain else self.local


@lru_cache(maxsize=_REMEMBERED)
def canonical_recipient(mailbox: str) -> Recipient:
    """Bring an RFC 5321 or RFC 6531 mailbox into canonical form.

    The local part is unquoted, in Unicode form NFC, with ASCII letters in lower case; the domain is in A-labels.
    Raises `MalformedAddress`.
    """
    if len(mailbox) > _MAILBOX_CHARACTERS_MAX:
        raise MalformedAddress("address too long")
    if _CONTROL.search(mailbox):
        raise MalformedAddress("control character in an address")
    quoted = _QUOTED.fullmatch(mailbox)
    if quoted:
        local, domain = _QUOTED_PAIR.sub(r"\1", quoted[1]), quoted[2]
    else:
        if mailbox.translate(_ASCII_LOWER) == "postmaster":
            return Recipient("postmaster", "")
        local, at, domain = mailbox.rpartition("@")
        if not at:
            raise MalformedAddress("no address: it has no @")
        # Dots may stand anywhere: RFC 5321 forbids "a..b", but such mailboxes exist and get mail.
        if _MUST_BE_QUOTED.search(local):
            raise MalformedAddress("a local part with such characters must be quoted")
    return Recipient(_canonical_local(local), canonical_domain(domain))


def canonical_sender(mailbox: str) -> Recipient:
    """Bring the address of a sender's account into canonical form. Raises `MalformedAddress`, also without a domain."""
    sender = canonical_recipient(mailbox)
    if not sender.domain:
        raise MalformedAddress("a sender's address has a domain")
    return sender


@lru_cache(maxsize=_REMEMBERED)
def canonical_domain(domain: str) -> str:
    """Bring a domain into canonical form: lower-case A-labels (IDNA 2008, mapped by UTS 46). Raises `MalformedAddress`.

    An address literal is put in lower case. ASCII labels are not checked against IDNA, and underscores are allowed:
    such domains exist.
    """
    if _LITERAL.fullmatch(domain):
        return domain.lower()
    name = domain.removesuffix(".")
    if len(name) > DOMAIN_OCTETS_MAX:
        raise MalformedAddress("domain too long")
    name = name.lower() if name.isascii() else _a_labels(name)
    if len(name) > DOMAIN_OCTETS_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise MalformedAddress("not a domain name")
    return name


def _canonical_local(local: str) -> str:
    """Apply NFC before and after the lower-casing; one of them is not enough.

    Before: NFC turns the Kelvin sign into a K. After: "H with a macron below" has a composed form only in lower case.
    """
    normal = unicodedata.normalize("NFC", local).translate(_ASCII_LOWER)
    normal = unicodedata.normalize("NFC", normal)
    if not normal or len(normal.encode()) > LOCAL_OCTETS_MAX:
        raise MalformedAddress("local part empty or too long")
    return normal


def _a_labels(name: str) -> str:
    try:
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)
    except (idna.IDNAError, UnicodeError) as error:
        raise MalformedAddress("not an internationalised domain name") from error
