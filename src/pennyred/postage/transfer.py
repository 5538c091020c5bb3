"""Transfer encodings of RFC 2045 section 6, and encoded words of RFC 2047: eight bits carried in seven."""

import base64
import binascii
import re

QUOTED_LINE_OCTETS = 76
"""RFC 2045 section 6.7: the longest line of quoted-printable, soft break included."""
QUOTED_SHARE_MAX = 0.18
"""More octets to escape than this, and base64 is the shorter of the two."""

_ESCAPED = re.compile(rb"[^!-<>-~ \t]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")


def encode_quoted_printable(content: bytes) -> bytes:
    """Content with CRLF line ends as quoted-printable; a CR or LF by itself is escaped, so every octet comes back."""
    return b"\r\n".join(_quoted_line(line) for line in content.split(b"\r\n"))


def requote(encoded: bytes) -> bytes:
    """Quoted-printable with octets or lines that it may not have, as quoted-printable of the same content."""
    return encode_quoted_printable(binascii.a2b_qp(encoded))


def encode_base64_lines(content: bytes) -> bytes:
    """Content as base64 in lines of 76, CRLF between them and none at the end."""
    return _in_lines(base64.b64encode(content))


def rewrap_base64(encoded: bytes) -> bytes:
    """Base64 in lines of 76; octets that are not of its alphabet, which readers skip, are dropped."""
    return _in_lines(_NOT_BASE64.sub(b"", encoded))


def is_shorter_quoted(content: bytes) -> bool:
    """Whether quoted-printable is the better of the two encodings for it."""
    escapes = len(content) - len(_ESCAPED.sub(b"", content.replace(b"\r\n", b"")))
    return escapes <= QUOTED_SHARE_MAX * len(content)


def encoded_words(octets: bytes) -> bytes:
    """Octets as RFC 2047 words separated by single spaces, which a reader joins again to the same octets.

    What is not UTF-8 is labelled `unknown-8bit` (RFC 1428 section 3): nobody can know what was meant.
    """
    try:
        pieces, charset = _characters_together(octets.decode()), b"utf-8"
    except UnicodeDecodeError:
        pieces, charset = [octets[start : start + 39] for start in range(0, len(octets), 39)], b"unknown-8bit"
    return b" ".join(b"=?%s?b?%s?=" % (charset, base64.b64encode(piece)) for piece in pieces)


def _characters_together(text: str) -> list[bytes]:
    """Pieces of at most 45 octets that end between characters (RFC 2047 section 5)."""
    pieces = [b""]
    for character in text:
        octets = character.encode()
        if len(pieces[-1]) + len(octets) > 45:
            pieces.append(b"")
        pieces[-1] += octets
    return pieces


def _in_lines(encoded: bytes) -> bytes:
    return b"\r\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))


def _quoted_line(line: bytes) -> bytes:
    encoded = _ESCAPED.sub(lambda match: b"=%02X" % match[0][0], line)
    if encoded.startswith(b"From "):
        encoded = b"=46" + encoded[1:]  # mailboxes in one file put ">" before it
    if encoded.endswith((b" ", b"\t")):
        encoded = encoded[:-1] + b"=%02X" % encoded[-1]
    pieces: list[bytes] = []
    start = 0
    while len(encoded) - start > QUOTED_LINE_OCTETS:
        end = start + QUOTED_LINE_OCTETS - 1
        end -= next((back for back in (1, 2) if encoded[end - back : end - back + 1] == b"="), 0)
        pieces.append(encoded[start:end] + b"=")
        start = end
    pieces.append(encoded[start:])
    return b"\r\n".join(pieces)
