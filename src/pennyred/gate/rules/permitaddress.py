"""The tagged address: a mailbox that carries its own permission. It is made for sign-ups, where one wants to be written
to.

In `bob+permit-<tag>@example.org` the tag is a version, the last day it is good on, and a MAC. The MAC's key is shared
by all gates of one receiver, so nothing has to be stored, and no gate has to be asked. A tag that was made for a domain
is only good for letters that this domain vouches for: it is worth nothing to anybody the address is sold to.
"""

import hmac
from base64 import b32decode, b32encode

from pennyred.postage.address import Recipient

PREFIX = "permit-"
_CONTEXT = b"pennyred/1 permit\0"
_DAY_OCTETS = 3
_MAC_OCTETS = 10
"""80 bits: nobody can try that many by mail."""
_TAG_CHARACTERS = 21
"""One for the version, then the day and the MAC in base32, in lower case, as local parts may lose their case."""
OPEN, BOUND = "a", "d"


def mint_tag(key: bytes, mailbox: Recipient, last_day: int, domain: str = "") -> str:
    """What stands between `+` and `@`; good until the end of `last_day` (days since 1970-01-01 UTC)."""
    day = last_day.to_bytes(_DAY_OCTETS, "big")
    version = BOUND if domain else OPEN
    text = b32encode(day + _mac(key, version, day, mailbox, domain)).decode().rstrip("=").lower()
    return f"{PREFIX}{version}{text}"


def is_tag_for(key: bytes, recipient: Recipient, delimiter: str, day: int, domain: str = "") -> bool:
    """Whether an address carries a permission that is good on `day`; with `domain`, one made for that domain."""
    base, _, tag = recipient.local.partition(delimiter) if delimiter else ("", "", "")
    version = BOUND if domain else OPEN
    read = _read(tag, version)
    if not base or read is None or int.from_bytes(read[:_DAY_OCTETS], "big") < day:
        return False
    expected = _mac(key, version, read[:_DAY_OCTETS], Recipient(base, recipient.domain), domain)
    return hmac.compare_digest(read[_DAY_OCTETS:], expected)


def has_tag(recipient: Recipient, delimiter: str) -> bool:
    """Whether an address looks as if it carried a permission."""
    return bool(delimiter) and recipient.local.partition(delimiter)[2].startswith(PREFIX)


def _read(tag: str, version: str) -> bytes | None:
    text = tag.removeprefix(PREFIX + version)
    if text == tag or len(text) != _TAG_CHARACTERS or not text.isascii():
        return None
    try:
        return b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        return None


def _mac(key: bytes, version: str, day: bytes, mailbox: Recipient, domain: str) -> bytes:
    message = b"\0".join((version.encode(), mailbox.canonical.encode(), domain.encode()))
    return hmac.digest(key, _CONTEXT + day + message, "sha256")[:_MAC_OCTETS]
