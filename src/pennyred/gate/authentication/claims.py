"""Reads the results in an `Authentication-Results` field (RFC 8601) that others have written.

Real writers leave out quotes that are needed (Exim: `smtp.remote-ip=2001:db8::1`, `smtp.helo=[192.0.2.1]`), and put a
semicolon at the end. The authres library reads nothing of such a field, so it is read here. Whether the writer is
believed is decided elsewhere.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress

VALUE_BYTES_MAX = 8 * 1024
"""The longest value that is read: a front with many methods writes one or two KiB."""
CLAIMS_MAX = 30
QUOTES_MAX = 200

_VERSION = "1"
_QUOTE_AT = 0xE000
"""Each quoted text is replaced by a character of the private use area, so that nothing inside it is parsed."""
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
    """One result: a method, what it found, and of what."""

    method: str
    result: str
    """The result, such as "pass"; method and result are in lower case."""
    properties: tuple[tuple[str, str], ...]
    """Pairs like ("header.from", "example.org"); the names are in lower case."""

    def domain(self, name: str) -> str:
        """The domain in a property, which may be an address; canonical, or empty if there is none."""
        value = next((value for key, value in self.properties if key == name), "")
        try:
            return canonical_domain(value.rpartition("@")[2])
        except MalformedAddress:
            return ""

    @property
    def is_pass(self) -> bool:
        """Whether the result is "pass"."""
        return self.result == "pass"


@dataclass(frozen=True, slots=True)
class Claims:
    """A whole field, parsed."""

    writer: str
    """The authserv-id of the writer, in lower case."""
    results: tuple[Claim, ...]
    """The results that can be read, in their order."""


def read_claims(value: bytes) -> Claims | None:
    """Read the value of the field. None if a quote or comment is not closed, if it does not say who has written it, or
    if its version is not known.

    A result that is wrong, or says two things at once, is left out and hides no other. Writers copy strangers' words:
    `fronts.can_be_retold` says when that matters.
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
    """Whether DMARC has passed for this domain. If it has failed too, no: a stranger has written one of both."""
    words = {claim.result for claim in results if claim.method == "dmarc" and claim.domain("header.from") == author}
    return "pass" in words and "fail" not in words


class _Scanner:
    """Cuts a field at its semicolons and takes its comments out."""

    def __init__(self, text: str) -> None:
        self.parts: list[str] = []
        """The parts between semicolons; each quoted text in them is one character."""
        self._text = text
        self._open: list[str] = []
        self._quoted: list[str] = []

    def scan(self) -> bool:
        """Scan the field; False if a quote or comment is not closed."""
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
        """End the present part."""
        self.parts.append("".join(self._open))
        self._open = []

    def read(self, part: str) -> Claim | None:
        """Read one result; None if it is none, or says two things at once."""
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
        """Put the quoted texts back, without their quotes."""
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
        if plain is None:  # it closes a comment that was not opened
            return -1
        self._open.append(plain[0])
        return plain.end()
