"""The pass: what a gate puts into a letter it let through, so that its sister gates do not judge or charge it again.

A pass is given only for a stamp that was held, or for a place in an allowance. A letter that came free without being
counted gets none, nor does one that a gate in mode "monitor" has only watched.

It is an HMAC over the day and the letter hash, which names the recipient. The key is shared by all gates of one
receiver. No other party reads it. Its format is in STAMP.md 9 all the same, as sister gates may be of different
releases.
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
    """The passes that a letter bears, for one day and one gate's key. Read once, however many recipients it has."""

    def __init__(self, key: bytes, fields: Sequence[Field], day: int) -> None:
        """Read at most `FIELDS_TRIED_MAX` fields from the top. Other days, and what is no pass, are left out."""
        self._key = key
        self._by_day: dict[int, list[tuple[bytes, Field]]] = {}
        for field in fields[:FIELDS_TRIED_MAX]:
            read = _read(field)
            # One day ahead: a sister's clock may have passed midnight before ours.
            if read is not None and -1 <= day - read[0] <= GOOD_DAYS:
                self._by_day.setdefault(read[0], []).append((read[1], field))

    def holding(self, letter_hash: bytes) -> list[Field]:
        """The fields that are for this letter and recipient. Costs one HMAC for each day, not one for each field."""
        return self._with(_CONTEXT, letter_hash)

    def has_ended_one(self, letter_hash: bytes) -> bool:
        """Whether one of the first kind is for this letter and recipient: it says only that a gate of ours had the
        letter.

        Nothing is let in by that. But a letter that was paid for there is on its way from that gate: it must not be
        dropped as a retry.
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
