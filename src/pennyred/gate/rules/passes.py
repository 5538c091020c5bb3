"""The pass: what a gate puts into a letter it let through, so that its sister gates do not judge or charge it again.

It is worth what it was given for: a stamp that was held, or a place in an allowance. Whatever came free without being
counted has no pass, nor has anything that a gate in mode "monitor" has only watched.

An HMAC over the letter hash, which names the recipient, and the day; by a key that all gates of one receiver share. No
other party reads it, yet its format is in STAMP.md 9, as sister gates may be of different releases.
"""

import hmac
from collections.abc import Sequence

from pennyred.postage.encoding import decode_base64, decode_integer, encode_base64
from pennyred.postage.errors import Malformed
from pennyred.postage.letter import PASS_FIELD, Field
from pennyred.postage.taglist import parse_tag_list

GOOD_DAYS = 5
"""As long as a backup MX may keep a letter (RFC 5321 section 4.5.4.1)."""
FIELDS_TRIED_MAX = 100
_CONTEXT = b"pennyred/2 pass\0"
_CONTEXT_ENDED = b"pennyred/1 pass\0"
"""Of passes that were given for letters that nobody had paid for: they let nothing in (STAMP.md 9.3)."""


PASS_OCTETS_MAX = 90
"""The most octets that one pass takes in a letter, its field name included."""


def mint_pass(key: bytes, letter_hash: bytes, day: int) -> bytes:
    """The whole header field, for one recipient of one letter, given on `day` (days since 1970-01-01 UTC)."""
    mac = encode_base64(_mac(key, _CONTEXT, letter_hash, day))
    return b"%s: v=1; d=%d;\r\n m=%s\r\n" % (PASS_FIELD, day, mac)


class Passes:
    """The passes a letter bears, read once, whatever the number of its recipients; for one day, by one gate's key."""

    def __init__(self, key: bytes, fields: Sequence[Field], day: int) -> None:
        """Read the fields, at most `FIELDS_TRIED_MAX` from the top; those of other days and no passes are left out."""
        self._key = key
        self._by_day: dict[int, list[tuple[bytes, Field]]] = {}
        for field in fields[:FIELDS_TRIED_MAX]:
            read = _read(field)
            # One day ahead: a sister's clock may have passed midnight before ours.
            if read is not None and -1 <= day - read[0] <= GOOD_DAYS:
                self._by_day.setdefault(read[0], []).append((read[1], field))

    def holding(self, letter_hash: bytes) -> list[Field]:
        """Those that are for this letter and recipient; costs one HMAC a day, not one a field."""
        return self._with(_CONTEXT, letter_hash)

    def has_ended_one(self, letter_hash: bytes) -> bool:
        """Whether one of the first kind is for this letter and recipient: it has been through a gate of ours, no more.

        Nothing is let in by that. But what its stamp has paid there is on its way, and no retry that may be dropped.
        """
        return bool(self._with(_CONTEXT_ENDED, letter_hash))

    def _with(self, context: bytes, letter_hash: bytes) -> list[Field]:
        found: list[Field] = []
        for given, passes in self._by_day.items():
            expected = _mac(self._key, context, letter_hash, given)
            found += [field for mac, field in passes if hmac.compare_digest(mac, expected)]
        return found


def _read(field: Field) -> tuple[int, bytes] | None:
    """The day and the MAC of a pass, or None where it is none."""
    try:
        tags = dict(parse_tag_list(field.value))
        day = decode_integer(tags.get("d", b""))
        mac = decode_base64(tags.get("m", b""), length=32)
    except Malformed:
        return None
    return (day, mac) if tags.get("v") == b"1" else None


def _mac(key: bytes, context: bytes, letter_hash: bytes, day: int) -> bytes:
    return hmac.digest(key, context + day.to_bytes(8, "big") + letter_hash, "sha256")
