"""What others have written into an `Authentication-Results` (RFC 8601), result by result.

Real writers leave values without the quotes they need (Exim: `smtp.remote-ip=2001:db8::1`, `smtp.helo=[192.0.2.1]`) and
end in a semicolon, which the authres library answers by reading nothing. Whether the writer is to be believed is not
decided here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress

VALUE_BYTES_MAX = 8 * 1024
"""A front with many methods writes one or two KiB."""
CLAIMS_MAX = 30
QUOTES_MAX = 200

_VERSION = "1"
_QUOTE_AT = 0xE000
"""A quoted text is one character of the private use area until its result is taken apart, so that nothing in it is."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_FOLDING = re.compile(r"\r?\n(?=[ \t])")
_PLAIN = re.compile(r'[^;"()]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_IN_COMMENT = re.compile(r"[^()\\]+|\\.|[()]", re.DOTALL)
_WRITER = re.compile(r"\s*(\S+)(?:\s+(\d+))?\s*")
_RESULT = re.compile(r"\s*([\w.-]+)(?:\s*/\s*(\d+))?\s*=\s*([\w-]+)(?=\s|\Z)")
_PROPERTY = re.compile(r"(?<!\S)([\w-]+)\s*\.\s*([\w.-]+)\s*=\s*((?![\w-]+\.[\w.-]+=)\S*)")


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
    """Those that can be read."""


def read_claims(value: bytes) -> Claims | None:
    """Read the value of the field; None where it has no end (an open quote or comment), does not say who has written
    it, or is in a version that is not known here.

    A result that is none, or says two things at once, hides no other. Writers put strangers' words in as they are:
    `fronts.can_be_retold` says where that may matter.
    """
    if len(value) > VALUE_BYTES_MAX:
        return None
    text = _PRIVATE.sub("?", value.decode("utf-8", "replace"))
    scanner = _Scanner(_FOLDING.sub("", text).strip())
    if not scanner.scan():
        return None
    head, *parts = scanner.parts
    written = _WRITER.fullmatch(head)
    if written is None or (written[2] or _VERSION) != _VERSION or not parts:
        return None
    found = [claim for part in parts[:CLAIMS_MAX] if (claim := scanner.read(part)) is not None]
    return Claims(scanner.whole(written[1]).lower(), tuple(found))


def says_author_passes(results: Iterable[Claim], author: str) -> bool:
    """Whether DMARC has passed for this domain; not where it has failed as well: a stranger has written one of both."""
    words = {claim.result for claim in results if claim.method == "dmarc" and claim.domain("header.from") == author}
    return "pass" in words and "fail" not in words


class _Scanner:
    """Cuts a field at its semicolons, without its comments."""

    def __init__(self, text: str) -> None:
        self.parts: list[str] = []
        """What was closed by a semicolon, each quoted text in it one character."""
        self._text = text
        self._open: list[str] = []
        self._quoted: list[str] = []

    def scan(self) -> bool:
        """Whether every quote and comment has an end."""
        at = 0
        while at < len(self._text):
            first = self._text[at]
            if first == ";":
                self.close()
                at += 1
            elif first == '"':
                at = self._quote(at)
            elif first == "(":
                at = self._comment(at)
            else:
                at = self._plain(at)
            if at < 0:
                return False
        self.close()
        return True

    def close(self) -> None:
        """A result has ended."""
        self.parts.append("".join(self._open))
        self._open = []

    def read(self, part: str) -> Claim | None:
        """One result; None where it is none, or says two things at once."""
        method = _RESULT.match(part)
        if method is None or (method[2] or _VERSION) != _VERSION:
            return None
        said: dict[str, str] = {}
        for one in _PROPERTY.finditer(part, method.end()):
            name, value = f"{one[1]}.{one[2]}".lower(), self.whole(one[3])
            if said.setdefault(name, value) != value:
                return None
        return Claim(method[1].lower(), method[3].lower(), tuple(said.items()))

    def whole(self, text: str) -> str:
        """With the quoted texts in it, without their quotes."""
        return _PRIVATE.sub(lambda one: self._quoted[ord(one[0]) - _QUOTE_AT], text)

    def _quote(self, at: int) -> int:
        quoted = _QUOTED.match(self._text, at)
        if quoted is None or len(self._quoted) >= QUOTES_MAX:
            return -1
        self._open.append(chr(_QUOTE_AT + len(self._quoted)))
        self._quoted.append(_QUOTED_PAIR.sub(r"\1", quoted[1]))
        return quoted.end()

    def _comment(self, start: int) -> int:
        depth, at = 0, start
        while lexeme := _IN_COMMENT.match(self._text, at):
            at = lexeme.end()
            depth += {"(": 1, ")": -1}.get(lexeme[0], 0)
            if not depth:
                break
        self._open.append(" ")
        return -1 if depth else at

    def _plain(self, at: int) -> int:
        plain = _PLAIN.match(self._text, at)
        if plain is None:  # a bracket that closes nothing
            return -1
        self._open.append(plain[0])
        return plain.end()
