"""The transfer encodings quoted-printable and base64 (RFC 2045 section 6)."""

import base64
import re

LINE_OCTETS_MAX = 998
"""The longest line, CRLF not counted (RFC 5321 section 4.5.3.1.6, RFC 5322 section 2.1.1)."""
UNCUT_OCTETS_MAX = 990
"""The longest line that sendmail passes on (its mailers' L=990); it cuts longer ones, with a "!" at the end."""
QUOTED_LINE_OCTETS = 76
"""The longest line of quoted-printable, with its soft break (RFC 2045 section 6.7)."""
QUOTED_SHARE_MAX = 0.18
"""If a larger share of the octets must be escaped, base64 is shorter than quoted-printable."""

_ESCAPED = re.compile(rb"[^!-<>-~ \t]")
_UNESCAPED = bytes(octet for octet in range(256) if not _ESCAPED.match(bytes((octet,))))
_UNQUOTED = re.compile(rb"[\x80-\xff\0]|(?<!=)=++(?=[\x80-\xff\0])")
"""Octets that quoted-printable may not have, and each "=" before one, which would begin a new escape."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/= \t]")
_MISTAKEN = (b"From ", b"--")
"""Beginnings of lines that may be mistaken: mailbox files put ">" before the first, the second looks like a boundary.
"""


def encode_quoted_printable(content: bytes) -> bytes:
    """Content with CRLF line ends as quoted-printable; a lone CR or LF is escaped, so every octet comes back."""
    return b"\r\n".join(_quoted_line(line) for line in content.split(b"\r\n"))


def requote(encoded: bytes) -> bytes:
    """Repair quoted-printable that has forbidden octets or too long lines; it decodes to the same content as before.

    Everything else stays as it is, even an invalid escape. White space after the "=" of a soft break is not part of the
    text (RFC 2045 section 6.7, rule 3) and is removed.
    """
    return b"\r\n".join(map(_requoted_line, encoded.split(b"\r\n")))


def encode_base64_lines(content: bytes) -> bytes:
    """Content as base64 in lines of 76 octets, with CRLF between them and none at the end."""
    return _in_lines(base64.b64encode(content))


def rewrap_base64(encoded: bytes) -> bytes | None:
    """Base64 with its too long lines cut; None if such a line is not base64, or any octet is NUL or eight-bit."""
    lines = encoded.split(b"\r\n")
    if (
        not encoded.isascii()
        or b"\0" in encoded
        or any(len(line) > UNCUT_OCTETS_MAX and _NOT_BASE64.search(line) for line in lines)
    ):
        return None
    return b"\r\n".join(_in_lines(line) if len(line) > UNCUT_OCTETS_MAX else line for line in lines)


def is_shorter_quoted(content: bytes) -> bool:
    """Whether quoted-printable is shorter than base64 for this content."""
    escapes = len(content.replace(b"\r\n", b"").translate(None, _UNESCAPED))
    return escapes <= QUOTED_SHARE_MAX * len(content)


def _in_lines(encoded: bytes) -> bytes:
    return b"\r\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))


def _quoted_line(line: bytes) -> bytes:
    encoded = _ESCAPED.sub(_escape, line)
    if encoded.endswith((b" ", b"\t")):
        encoded = encoded[:-1] + b"=%02X" % encoded[-1]
    return _soft_broken(encoded)


def _requoted_line(line: bytes) -> bytes:
    unpadded = line.rstrip(b" \t")
    if unpadded.endswith(b"=") or len(line) > UNCUT_OCTETS_MAX:
        line = unpadded
    line = _UNQUOTED.sub(_escape, line)
    return _soft_broken(line) if len(line) > UNCUT_OCTETS_MAX else line


def _escape(octets: re.Match[bytes]) -> bytes:
    return b"".join(b"=%02X" % octet for octet in octets[0])


def _soft_broken(encoded: bytes) -> bytes:
    """Cut a line of quoted-printable into lines of 76 octets; none of them can be mistaken (see `_MISTAKEN`)."""
    pieces: list[bytes] = []
    start = 0
    while len(encoded) - start + 2 * encoded.startswith(_MISTAKEN, start) > QUOTED_LINE_OCTETS:
        end = start + QUOTED_LINE_OCTETS - 1 - 2 * encoded.startswith(_MISTAKEN, start)
        end -= next((back for back in (1, 2) if encoded[end - back : end - back + 1] == b"="), 0)
        end = start + (len(encoded[start:end].rstrip(b"=")) or end - start)  # programs read "==" in two ways
        pieces.append(_not_mistaken(encoded[start:end]) + b"=")
        start = end
    pieces.append(_not_mistaken(encoded[start:]))
    return b"\r\n".join(pieces)


def _not_mistaken(line: bytes) -> bytes:
    return b"=%02X" % line[0] + line[1:] if line.startswith(_MISTAKEN) else line
