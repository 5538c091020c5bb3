"""Which header fields the signatures in a letter cover: their spelling is not changed any more.

A signature names the fields in its tag `h` (RFC 6376 section 3.5, RFC 8617 section 4.1.2). One that names none, or
cannot be read, covers all (RFC 4870 section 3.4.4). Signed parts of the body (S/MIME, PGP/MIME) cover no header field;
see `mimeparts` for them.
"""

from dataclasses import dataclass

from pennyred.postage.errors import Malformed
from pennyred.postage.letter import STAMP_FIELD, Field, HeaderSection
from pennyred.postage.taglist import parse_tag_list

_BY_NAMES = (b"dkim-signature", b"arc-message-signature", b"domainkey-signature")
_WHOLE = (STAMP_FIELD.lower(), b"dkim2-signature")
"""With one of these, nothing is changed: letters are known to offices by the octets of what stamps sign."""
_LIST_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class SignedFields:
    """The names that the signatures of a letter cover, in lower case."""

    names: frozenset[bytes]
    is_whole: bool
    """Whether some signature covers all fields."""

    def covers(self, name: bytes) -> bool:
        """Whether a field of this name must not be changed; nor added, where a signature says that there is none."""
        return self.is_whole or name in self.names


def signed_fields(header: HeaderSection) -> SignedFields:
    """Read the signatures of a header section; what they say is believed, none is verified."""
    named = [_names(field) for key in _BY_NAMES for field in header.named(key)]
    is_whole = None in named or any(header.named(key) for key in _WHOLE)
    return SignedFields(frozenset(name for names in named if names for name in names), is_whole)


def _names(field: Field) -> frozenset[bytes] | None:
    """The names in the tag `h`; None where there are none that can be read."""
    try:
        listed = dict(parse_tag_list(field.value, bytes_max=_LIST_BYTES_MAX)).get("h", b"")
    except Malformed:
        return None
    return frozenset(filter(None, listed.lower().split(b":"))) or None
