"""The beginning of a letter's text, for a person who wants to know what it is about."""

import re
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

LETTER_BYTES_READ_MAX = 64 * 1024
CHARACTERS_MAX = 2000

_MARKUP = re.compile(r"<(?:style|script)\b.{0,5000}?</(?:style|script)>|<[^<>]{0,2000}>", re.IGNORECASE | re.DOTALL)
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


def beginning_of_text(letter: bytes) -> str:
    """Its first plain text, else its HTML less the markup, else its octets as they come; `letter` may be cut off.

    At most `CHARACTERS_MAX`, lines ended by LF; other control characters are still in it.
    """
    octets = letter[:LETTER_BYTES_READ_MAX]
    try:
        text = _text(BytesParser(policy=compat32).parsebytes(octets))
    except Exception:  # noqa: BLE001 - the library's parser has raised about everything once, RecursionError too
        text = None
    if text is None:
        text = octets.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    return _BLANK_LINES.sub("\n\n", text.replace("\r\n", "\n")).strip()[:CHARACTERS_MAX]


def _text(message: "Message[str, str]") -> str | None:
    found = {part.get_content_type(): part for part in reversed(list(message.walk())) if not part.is_multipart()}
    if (plain := found.get("text/plain")) is not None:
        return _decoded(plain)
    html = found.get("text/html")
    return _MARKUP.sub("", _decoded(html)) if html is not None else None


def _decoded(part: "Message[str, str]") -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")
