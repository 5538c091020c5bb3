"""The TXT record at `_postage.<domain>` that says which postage a domain's gates ask for (STAMP.md 7.6).

A sender reads it to know before it sends; the gate itself does not, and its word in the SMTP session counts.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import Malformed, MalformedAddress
from pennyred.postage.stamp import PRICE_MAX
from pennyred.postage.taglist import parse_tag_list

RECORD_BYTES_MAX = 1024
ISSUERS_MAX = 20
"""How many offices of a record are read, and written."""

_VERSION = ("v", b"POSTAGE1")
_PRICE = re.compile(rb"[1-9][0-9]{0,6}")


class Wanted(StrEnum):
    """Which letters of strangers need a stamp."""

    REQUIRE = "require"
    """Every letter of a stranger does."""
    BULK = "bulk"
    """Only those beyond what a source may send free in a day."""
    NONE = "none"
    """No letter; a stamp would be spent for nothing."""


@dataclass(frozen=True, slots=True)
class PostagePolicy:
    """What the gates of a domain ask for each recipient."""

    wanted: Wanted
    price: int
    """In stamps, 1 to `PRICE_MAX`."""
    issuers: tuple[str, ...]
    """The offices whose stamps count, as canonical domains; empty where the record names none that can be read."""


def policy_name(domain: str) -> str:
    """The DNS name of the record for this domain, which is canonical. Proofs of STAMP.md 7.5 stand there too."""
    return f"_postage.{domain}"


def format_policy(policy: PostagePolicy) -> str:
    """The record's text; of the offices, as many as there is room for, from the first."""
    named = policy.issuers[:ISSUERS_MAX]
    while len(text := _text(policy, named)) > RECORD_BYTES_MAX:
        named = named[:-1]
    return text


def _text(policy: PostagePolicy, issuers: Sequence[str]) -> str:
    return f"v=POSTAGE1; w={policy.wanted}; p={policy.price}; i={','.join(issuers)}"


def find_policy(texts: Sequence[str]) -> PostagePolicy | None:
    """What the TXT records at `policy_name` ask for; None where that is nothing that can be relied on.

    `texts` are the records, the strings of each joined with nothing between. Whatever is no record of this kind is
    passed over, as a zone may answer for every name. Where there are two, nobody knows which one is meant: None.
    """
    records = [text for text in texts if _is_policy(text)]
    return _read(records[0]) if len(records) == 1 else None


def _is_policy(text: str) -> bool:
    version, _, _ = text.partition(";")
    return "".join(version.split()) == "v=POSTAGE1"


def _read(text: str) -> PostagePolicy | None:
    try:
        tags = parse_tag_list(text.encode("ascii"), bytes_max=RECORD_BYTES_MAX)
    except (Malformed, UnicodeEncodeError):
        return None
    values = dict(tags)
    price = values.get("p", b"1")
    try:
        wanted = Wanted(values.get("w", b"").decode())
    except ValueError:
        return None  # another wish than those known here: nothing is spent for it
    if tags[:1] != [_VERSION] or not _PRICE.fullmatch(price) or int(price) > PRICE_MAX:
        return None
    return PostagePolicy(wanted, int(price), _issuers(values.get("i", b"").decode()))


def _issuers(names: str) -> tuple[str, ...]:
    """Names that cannot be an office are passed over."""
    issuers: list[str] = []
    for name in names.split(",")[:ISSUERS_MAX]:
        with suppress(MalformedAddress):
            issuers.append(canonical_domain(name))
    return tuple(dict.fromkeys(issuers))
