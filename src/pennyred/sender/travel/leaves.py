"""Encode a leaf, a part without parts, so that it can travel (RFC 2045 section 6); its content stays the same."""

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import Field
from pennyred.sender.travel.mimeparts import IDENTITY
from pennyred.sender.travel.transfer import (
    encode_base64_lines,
    encode_quoted_printable,
    is_shorter_quoted,
    requote,
    rewrap_base64,
)


def encode_leaf(body: bytes, media_type: bytes, encoding: bytes) -> tuple[bytes, bytes]:
    """Encode a leaf that cannot travel as it is; returns the new transfer encoding and the new body.

    Raises `MalformedLetter` where no encoding may be used, or where the old one cannot be read safely.
    """
    if media_type.startswith(b"message/"):
        shown = media_type[:80].decode("ascii")
        raise MalformedLetter(f"a {shown} part has eight-bit octets or too long lines, and no encoding exists for it")
    end = b"\r\n" if body.endswith(b"\r\n") else b""
    if encoding == b"quoted-printable":
        return encoding, requote(body)
    if encoding == b"base64":
        wrapped = rewrap_base64(body)
        if wrapped is None:
            raise MalformedLetter("a part in base64 has octets that are none, which programs read in different ways")
        return encoding, wrapped
    if encoding not in IDENTITY:
        shown = encoding[:40].decode("ascii", "replace")
        raise MalformedLetter(
            f"a part with an encoding unknown here ({shown!r}) has eight-bit octets or too long lines"
        )
    # A letter must end with a line end, and gets one if it has none. Behind base64, that is not part of the content.
    if is_shorter_quoted(body) and (end or media_type.startswith(b"text/")):
        return b"quoted-printable", encode_quoted_printable(body)
    return b"base64", encode_base64_lines(body) + end


def with_encoding(fields: tuple[Field, ...], fit: list[bytes], encoding: bytes) -> list[bytes]:
    """The fields with this transfer encoding, in the place of the old one or at the end.

    `fit` are the same fields as `fields`, in a form that can travel.
    """
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    places = [at for at, old in enumerate(fields) if old.key == b"content-transfer-encoding"]
    new = [field if places[:1] == [at] else raw for at, raw in enumerate(fit) if at not in places[1:]]
    return new if places else [*new, field]
