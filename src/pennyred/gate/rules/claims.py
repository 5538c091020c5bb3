"""What a letter says of itself, as far as rules for wanted mail go by it. Nothing of it is proven.

It is read once a letter, in time that grows with the header's length alone. What is kept of it is bounded.
"""

import re
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from pennyred.postage.address import Recipient, canonical_domain, canonical_recipient
from pennyred.postage.errors import Malformed, MalformedAddress
from pennyred.postage.letter import Field, HeaderSection
from pennyred.postage.reading.addressfields import read_addresses

REPLIED_TO_MAX = 20
"""Message-IDs looked at of a letter: In-Reply-To, and the last of References, which may name a whole thread."""
MESSAGE_ID_OCTETS_MAX = 998
SIGNERS_MAX = 5
SIGNATURES_READ_MAX = 50
"""The most signatures of a letter that are read, to find those that matter."""
KINDRED_MAX = 3
"""How many of those tried are kept for the author's and the list's domain. More would prove nothing new."""
FIELDS_READ_MAX = 5
"""The most fields of one name that are read; each of these may stand once in a letter."""
LIST_ID_OCTETS_MAX = 255
"""RFC 2919 section 3."""
_VALUE_OCTETS_MAX = 20_000

_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_PLAIN_NAME = re.compile(rb"""[^<>\x00-\x08\x0a-\x1f]*""")
_AT = re.compile(rb"""[^\s<>(),:;"'\[\]]*@[^\s<>(),:;"'\[\]]*""")
_PLAIN_ADDRESS = re.compile(rb"[A-Za-z0-9._+=-]{1,64}@[A-Za-z0-9.-]{1,253}")
"""Nearly every From is a plain name and a plain address. Anything else is read in the slow way."""
_PLAIN_OCTETS_MAX = 500
_AUTHORS_REMEMBERED = 2_000
"""How many From fields of at most `_PLAIN_OCTETS_MAX` are remembered: people write again."""
_MESSAGE_ID = re.compile(rb"<([^<>\s]{1,%d})>" % MESSAGE_ID_OCTETS_MAX)
_LIST_ID = re.compile(rb"<([^<>\s]{1,%d})>\s*\Z" % LIST_ID_OCTETS_MAX)
_SIGNER = re.compile(rb"(?:\A|;)\s*d\s*=\s*([A-Za-z0-9._-]{1,253})\s*(?:;|\Z)")
_REPORT = re.compile(rb"\s*multipart/report\b")
_CALENDAR_REPLY = re.compile(rb"\s*text/calendar\b.*\bmethod=\"?reply\b", re.DOTALL)
_PASSED_ON = frozenset(
    (
        *(b"list-id", b"list-post", b"list-unsubscribe", b"list-help", b"mailing-list"),
        *(b"x-autoreply", b"x-autorespond", b"x-auto-response-suppress", b"x-loop", b"feedback-id"),
        *(b"resent-from", b"resent-to", b"resent-sender", b"delivered-to", b"x-forwarded-to", b"x-original-to"),
    )
)
"""Fields that no mail program writes into a letter of its user's own."""


class Claims(NamedTuple):
    """What one letter says of itself; see each field."""

    author: Recipient | None = None
    """The one mailbox of the one From field; None where there are more, or none that can be read."""
    sender: Recipient | None = None
    """MAIL FROM; None for `<>`, and where it cannot be read."""
    is_null: bool = False
    """Whether it is `<>`."""
    list_id: str = ""
    """Of List-Id, in lower case, without the angle brackets (RFC 2919)."""
    replied_to: tuple[bytes, ...] = ()
    """Message-IDs named in In-Reply-To and References, without angle brackets, each once (RFC 5322 section 3.6.4)."""
    signers: tuple[str, ...] = ()
    """The domains (`d=`) of its DKIM signatures."""
    returned: tuple[bytes, ...] = ()
    """Message-IDs of the letters that it is a report on (`reports.read_report`); only of what comes from `<>`."""
    reported: tuple[Recipient, ...] = ()
    """Whom those were for, as it says."""

    @property
    def mailboxes(self) -> tuple[Recipient, ...]:
        """Author and sender, as far as they are known."""
        return tuple([one for one in (self.author, self.sender) if one is not None])


def read_claims(header: HeaderSection, sender: Recipient | None) -> Claims:
    """Read the claims of a header. What cannot be read counts as not claimed."""
    return Claims(
        author=author_of(header),
        sender=sender,
        list_id=_list_id(header.named(b"list-id")),
        replied_to=_replied_to(header),
        signers=tuple(dict.fromkeys(filter(None, map(_signer, signatures_to_try(header, SIGNERS_MAX))))),
    )


def signatures_to_try(header: HeaderSection, most: int) -> tuple[Field, ...]:
    """The DKIM signatures that are worth a look, in the order in which they should be verified; at most so many.

    First come those whose domain (`d=`) is the author's or the list's, or near to it. What forwarders have signed since
    says nothing of who the author is, and a domain whose DNS is silent should not be asked first. Among equals the
    order is from the top, because the newest are those that still hold.
    """
    fields = header.named(b"dkim-signature")[:SIGNATURES_READ_MAX]
    if len(fields) <= 1:
        return fields
    author, list_id = author_of(header), _list_id(header.named(b"list-id"))
    names = [name for name in (author.domain if author else "", list_id) if name]
    near = [max((_nearness(_signer(field), name) for name in names), default=0) for field in fields]
    places = range(len(fields))
    kindred = sorted((place for place in places if near[place]), key=lambda place: -near[place])[:KINDRED_MAX]
    others = [place for place in places if place not in kindred]
    return tuple(fields[place] for place in (kindred + others)[:most])


def _nearness(signer: str, name: str) -> int:
    """How near a domain is to a name: equal, one above the other, with the same last two labels, or not at all."""
    if signer == name:
        return 3
    if f".{signer}".endswith(f".{name}") or f".{name}".endswith(f".{signer}"):
        return 2 if "." in signer else 0
    return int(signer.split(".")[-2:] == name.split(".")[-2:])


def message_ids(header: HeaderSection, name: bytes) -> list[bytes]:
    """The Message-IDs in the first few fields of this name, in order."""
    raws = header.raws(name)[:FIELDS_READ_MAX]
    return [found for raw in raws for found in _MESSAGE_ID.findall(_unfolded(Field(raw, name)))]


def is_automatic(header: HeaderSection) -> bool:
    """Whether a letter was not written by hand by its sender.

    That is an answer that a program gives (RFC 3834 section 5, and what was used before it), a receipt or a bounce, and
    whatever a list or a redirection passes on.
    """
    if header.has_any(_PASSED_ON):
        return True
    submitted = header.named(b"auto-submitted")[:FIELDS_READ_MAX]
    if any(_unfolded(field).partition(b";")[0].strip().lower() not in (b"no", b"") for field in submitted):
        return True
    precedence = header.named(b"precedence")[:FIELDS_READ_MAX]
    if any(_unfolded(field).strip().lower() in (b"bulk", b"junk", b"list", b"auto_reply") for field in precedence):
        return True
    kinds = [_unfolded(field).lower() for field in header.named(b"content-type")[:FIELDS_READ_MAX]]
    return any(_REPORT.match(kind) or _CALENDAR_REPLY.match(kind) for kind in kinds)


def author_of(header: HeaderSection) -> Recipient | None:
    """The one mailbox of the one From field (RFC 5322 section 3.6.2); None where there is no such."""
    raws = header.raws(b"from")
    if len(raws) != 1:
        return None
    return _author_remembered(raws[0]) if len(raws[0]) <= _PLAIN_OCTETS_MAX else _author_in(raws[0])


def _author_in(raw: bytes) -> Recipient | None:
    field = Field(raw, b"from")
    if len(field.value) > _VALUE_OCTETS_MAX:
        return None
    try:
        if plain := _plain_address(_unfolded(field).strip(b" \t")):
            return canonical_recipient(plain.decode("ascii"))
        first, *others = islice(read_addresses(field), 2)
        return None if others else canonical_recipient(first)
    except (Malformed, ValueError):  # no address at all is one, too
        return None


_author_remembered = lru_cache(maxsize=_AUTHORS_REMEMBERED)(_author_in)


def _plain_address(value: bytes) -> bytes:
    """The address at the end of a From, whatever stands before it; empty if there is none, or another one before it.

    Names like `Smith, Ann` or `[Shop] Ann` should be quoted and often are not.
    """
    if len(value) > _PLAIN_OCTETS_MAX:
        return b""
    name, bracket, address = value.removesuffix(b">").rpartition(b"<")
    if bool(bracket) != value.endswith(b">") or not _PLAIN_ADDRESS.fullmatch(address):
        return b""
    is_clear = _PLAIN_NAME.fullmatch(name) and all(one.lower() == address.lower() for one in _AT.findall(name))
    return address if is_clear else b""


def _list_id(fields: tuple[Field, ...]) -> str:
    found = _LIST_ID.search(_unfolded(fields[0])) if len(fields) == 1 else None
    return found[1].decode("utf-8", "replace").lower() if found else ""


def _replied_to(header: HeaderSection) -> tuple[bytes, ...]:
    named = message_ids(header, b"in-reply-to")[:REPLIED_TO_MAX] + message_ids(header, b"references")[::-1]
    return tuple(dict.fromkeys(named))[:REPLIED_TO_MAX]


def _signer(field: Field) -> str:
    match = _SIGNER.search(_unfolded(field))
    try:
        return canonical_domain(match[1].decode("ascii")) if match else ""
    except MalformedAddress:
        return ""


def _unfolded(field: Field) -> bytes:
    value = field.value[:_VALUE_OCTETS_MAX]
    return _FOLDING.sub(b"", value) if b"\n" in value else value
