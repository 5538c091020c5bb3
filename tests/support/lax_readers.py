"""Mail servers that read one connection's bytes each in its own way: by the book, and laxly in every way known."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_STRICT = rb"\r\n"
_ANY = rb"(?:\r\n|\r|\n)"


def _as_it_is(wire: bytes) -> bytes:
    return wire


def _without_nul(wire: bytes) -> bytes:
    return wire.replace(b"\0", b"")


def _cut_at_nul(wire: bytes) -> bytes:
    """As a reader in C may see a line: it ends at the first NUL."""
    return re.sub(rb"\0[^\r\n]*", b"", wire)


@dataclass(frozen=True)
class Reader:
    """Where it sees a line end (in commands and in letters) and an end of data, behind the line end of DATA."""

    name: str
    newline: bytes
    end: bytes
    seen: Callable[[bytes], bytes] = _as_it_is

    def read(self, heard: bytes) -> tuple[list[bytes], list[bytes]]:
        """The commands and the letters of a connection on which every command was accepted. Letters have their dots
        unstuffed, CRLF for whatever counts as a line end; one that has no end is there too, marked as such.
        """
        commands, letters = [], []
        rest = self.seen(heard)
        while rest:
            found = re.search(self.newline, rest)
            assert found is not None, f"{self.name}: half a command: {rest!r}"
            commands.append(rest[: found.start()])
            if commands[-1].upper() != b"DATA":
                rest = rest[found.end() :]
                continue
            begun = rest[found.start() :]  # the line end of DATA may be the first of the end
            found = re.search(self.end, begun)
            letters.append(self._letter(begun[: found.start()]) if found else b"NO END: " + begun)
            rest = begun[found.end() :] if found else b""
        return commands, letters

    def _letter(self, stuffed: bytes) -> bytes:
        _, *lines = re.split(self.newline, stuffed) if stuffed else (b"",)
        return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)


STRICT = Reader("strict", _STRICT, rb"\r\n\.\r\n")
LAX = [
    Reader("LF too, as Postfix before 3.9 and many more", rb"\r?\n", rb"\r?\n\.\r?\n"),
    Reader("LF.CRLF", _STRICT, rb"\r?\n\.\r\n"),
    Reader("CRLF.LF", _STRICT, rb"\r\n\.\r?\n"),
    Reader("CRLF.CR", _STRICT, rb"\r\n\.\r\n?"),
    Reader("CR.CR", rb"\r\n?", rb"\r\n?\.\r\n?"),
    Reader("CR.CRLF", _STRICT, rb"\r\n?\.\r\n"),
    Reader("CRs without number", rb"\r*\n", rb"\r*\n\.\r*\n"),
    Reader("any", _ANY, _ANY + rb"\." + _ANY),
    Reader("any, space and tab behind the dot", _ANY, _ANY + rb"\.[ \t]*" + _ANY),
    Reader("any, NUL ignored", _ANY, _ANY + rb"\." + _ANY, _without_nul),
    Reader("strict, NUL ignored", _STRICT, rb"\r\n\.\r\n", _without_nul),
    Reader("any, a line ends at NUL", _ANY, _ANY + rb"\." + _ANY, _cut_at_nul),
]
