"""What others have written into an `Authentication-Results` (RFC 8601): read with the authres library, within bounds.

Whether the writer is to be believed is not decided here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import authres

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress

VALUE_BYTES_MAX = 4 * 1024
"""The library takes time that grows with the square of it."""
CLAIMS_MAX = 30

_FOLDING = re.compile(r"\r\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Claim:
    """One result."""

    method: str
    result: str
    """Both in lower case."""
    properties: tuple[tuple[str, str], ...]
    """Like ("header.from", "example.org"): names in lower case."""

    def domain(self, name: str) -> str:
        """The domain of a property, of its address if it is one; canonical, or empty."""
        value = next((value for key, value in self.properties if key == name), "")
        try:
            return canonical_domain(value.rpartition("@")[2])
        except MalformedAddress:
            return ""

    @property
    def is_pass(self) -> bool:
        """Whether the method has proven something."""
        return self.result == "pass"


@dataclass(frozen=True, slots=True)
class Claims:
    """A whole field."""

    writer: str
    """The authserv-id, in lower case."""
    results: tuple[Claim, ...]


def read_claims(value: bytes) -> Claims | None:
    """Read the value of the field; None where it cannot be read."""
    if len(value) > VALUE_BYTES_MAX:
        return None
    text = _FOLDING.sub("", value.decode("utf-8", "replace")).strip()
    try:
        field = authres.AuthenticationResultsHeader.parse_value(text)
        return Claims(str(field.authserv_id), tuple(_claims(field)))
    except Exception:  # noqa: BLE001 - the parser raises all sorts over odd input, RecursionError too
        return None


def _claims(field: authres.AuthenticationResultsHeader) -> Iterator[Claim]:
    for one in field.results[:CLAIMS_MAX]:
        properties = tuple((f"{item.type}.{item.name}".lower(), str(item.value)) for item in one.properties or ())
        yield Claim(str(one.method).lower(), str(one.result).lower(), properties)
