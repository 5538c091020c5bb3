"""A letter made safe to travel before it is stamped: afterwards nobody may have a reason to alter it.

Safe is what RFC 5321 lets every server pass on untouched: CRLF line ends, lines of at most 998 octets, no NUL, and
eight-bit octets only where the next hop has said 8BITMIME (bodies) or SMTPUTF8 (the header). A safe letter stays as it
is, byte for byte. In others the transfer encoding of the parts that need it is changed (RFC 2045 section 6), never
their content.
"""

import re
from dataclasses import dataclass

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import Field, parse_header
from pennyred.postage.lineends import file_with_crlf
from pennyred.postage.transfer import (
    encode_base64_lines,
    encode_quoted_printable,
    is_shorter_quoted,
    requote,
    rewrap_base64,
)
from pennyred.postage.travelfields import fit_field, is_fit

NESTING_MAX = 30
PARTS_MAX = 10_000

_BARE_NEWLINE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_MAILBOX_LINES = re.compile(rb"\A(?:>*From (?![ \t]*:)[^\r\n]*(?:\r\n|\Z))+")
"""What a mailbox in one file puts before a letter (RFC 4155): no field, and below a stamp it would end the header."""
_COMMENT = re.compile(rb"\([^()]*\)")
_MEDIA_TYPE = re.compile(rb"\s*([^\s/;()]+)\s*/\s*([^\s/;()]+)")
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_IDENTITY = frozenset((b"", b"7bit", b"8bit", b"binary"))
_SEALED = frozenset((b"multipart/signed", b"multipart/encrypted"))


def is_safe(letter: bytes, *, eight_bit: bool, utf8: bool = False) -> bool:
    """Whether a letter can travel as it is; `eight_bit`: the next hop has 8BITMIME, `utf8`: it has SMTPUTF8 too."""
    if not letter.endswith(b"\r\n") or _BARE_NEWLINE.search(letter) or _MAILBOX_LINES.match(letter):
        return False
    header, _, body = _take_apart(letter)
    return is_fit(header, eight_bit=utf8) and is_fit(body, eight_bit=eight_bit)


def make_safe(letter: bytes, *, eight_bit: bool, utf8: bool = False) -> bytes:
    """The letter as it can travel: itself where it is safe already, else with the same content in other encodings.

    Every line end becomes CRLF, a CR that belongs to none a blank, as at the gate, and a mailbox's "From " lines go.
    Raises `MalformedLetter`, in a sentence for the sender, where that cannot be done: a signed or encrypted part would
    have to be altered, an address needs SMTPUTF8, a limit is exceeded.
    """
    if is_safe(letter, eight_bit=eight_bit, utf8=utf8):
        return letter
    normal = _MAILBOX_LINES.sub(b"", file_with_crlf(letter))
    if not normal.endswith(b"\r\n"):
        normal += b"\r\n"
    if _BARE_NEWLINE.search(letter) and _has_binary_part(normal, b"text/plain", 0):
        raise MalformedLetter("a binary part cannot be told from its line ends; encode it in base64 first")
    safe = _Parts(eight_bit).entity(normal, b"text/plain", 0, raw_header=utf8)
    if not is_safe(safe, eight_bit=eight_bit, utf8=utf8):
        raise MalformedLetter("the letter cannot be put in a form that travels")
    return safe


@dataclass(slots=True)
class _Parts:
    """One walk through the parts of a letter."""

    eight_bit: bool
    count: int = 0

    def entity(self, raw: bytes, default_type: bytes, depth: int, *, raw_header: bool) -> bytes:
        """A letter or a part: header, empty line, body."""
        self.count += 1
        if depth > NESTING_MAX or self.count > PARTS_MAX:
            raise MalformedLetter(f"a letter of more than {NESTING_MAX} parts in parts, or {PARTS_MAX} parts")
        header, separator, body = _take_apart(raw)
        fields = parse_header(header).fields
        media_type, boundary = _content_type(fields, default_type)
        encoding = _transfer_encoding(fields)
        fit = [field.raw if is_fit(field.raw, eight_bit=raw_header) else fit_field(field) for field in fields]
        if is_fit(body, eight_bit=self.eight_bit):
            return b"".join(fit) + separator + body
        if media_type in _SEALED:
            raise MalformedLetter(f"a {media_type.decode()} part cannot travel as it is; altering it would break it")
        if media_type.startswith(b"multipart/"):
            new_encoding, body = self._multipart(body, media_type, boundary, encoding, depth)
        elif media_type == b"message/rfc822":
            _want_identity(media_type, encoding)
            new_encoding = self._container_encoding(encoding)
            body = self.entity(body, b"text/plain", depth + 1, raw_header=self.eight_bit)
        else:
            new_encoding, body = _encode(body, media_type, encoding)
        if new_encoding != encoding:
            fit = _with_encoding(fields, fit, new_encoding, is_letter=depth == 0)
        return b"".join(fit) + separator + body

    def _multipart(
        self, body: bytes, media_type: bytes, boundary: bytes, encoding: bytes, depth: int
    ) -> tuple[bytes, bytes]:
        _want_identity(media_type, encoding)
        pieces = _split_parts(body, boundary) if boundary else []
        if len(pieces) < 3:
            raise MalformedLetter("a multipart letter without its boundary cannot be encoded to travel")
        default_type = _type_of_parts(media_type)
        for at in range(2, len(pieces), 2):
            if pieces[at - 1].rstrip(b" \t").endswith(b"--" + boundary + b"--"):
                # What follows the last boundary is for nobody to read; so is what precedes the first.
                epilogue = b"".join(pieces[at:])
                pieces[at:] = [epilogue if is_fit(epilogue, eight_bit=self.eight_bit) else b"\r\n"]
                break
            part = self.entity(pieces[at][2:], default_type, depth + 1, raw_header=self.eight_bit)
            pieces[at] = pieces[at][:2] + part
        if not is_fit(pieces[0], eight_bit=self.eight_bit):
            pieces[:2] = [b"", pieces[1].removeprefix(b"\r\n")]
        return self._container_encoding(encoding), b"".join(pieces)

    def _container_encoding(self, encoding: bytes) -> bytes:
        """What a part that holds parts says of itself: once they are all 7bit, so is it."""
        return b"7bit" if encoding in (b"8bit", b"binary") and not self.eight_bit else encoding


def _take_apart(entity: bytes) -> tuple[bytes, bytes, bytes]:
    """Header section, the empty line, body; joined they are the entity again."""
    if entity.startswith(b"\r\n"):
        return b"", b"\r\n", entity[2:]
    end = entity.find(b"\r\n\r\n")
    return (entity, b"", b"") if end < 0 else (entity[: end + 2], b"\r\n", entity[end + 4 :])


def _value(fields: tuple[Field, ...], key: bytes) -> bytes:
    return next((field.value for field in fields if field.key == key), b"")


def _content_type(fields: tuple[Field, ...], default: bytes) -> tuple[bytes, bytes]:
    """The media type in lower case, and the boundary ("" for none)."""
    value = _value(fields, b"content-type").replace(b"\r\n", b"")
    match = _MEDIA_TYPE.match(_COMMENT.sub(b"", value))
    boundary = _BOUNDARY.search(value)
    quoted, plain = boundary.groups() if boundary else (b"", b"")
    text = plain or _QUOTED_PAIR.sub(rb"\1", quoted or b"").rstrip(b" ")
    return b"/".join(match.groups()).lower() if match and match[0].isascii() else default, text


def _transfer_encoding(fields: tuple[Field, ...]) -> bytes:
    """In lower case, without comments; "" where none is named."""
    return _COMMENT.sub(b"", _value(fields, b"content-transfer-encoding")).strip().lower()


def _type_of_parts(media_type: bytes) -> bytes:
    """What a part of a multipart is that does not say it (RFC 2046 section 5.1.5)."""
    return b"message/rfc822" if media_type == b"multipart/digest" else b"text/plain"


def _has_binary_part(entity: bytes, default_type: bytes, depth: int) -> bool:
    """Whether a part, however deep, is binary and no text: where line ends were changed, it is not what it was."""
    header, _, body = _take_apart(entity)
    fields = parse_header(header).fields
    media_type, boundary = _content_type(fields, default_type)
    inner: list[bytes] = []
    if media_type == b"message/rfc822":
        inner = [body]
    elif media_type.startswith(b"multipart/"):
        inner = [piece[2:] for piece in _split_parts(body, boundary)[2::2]] if boundary else []
    elif not media_type.startswith(b"text/") and _transfer_encoding(fields) == b"binary":
        return True
    if inner and depth >= NESTING_MAX:
        raise MalformedLetter(f"a letter of more than {NESTING_MAX} parts in parts")
    return any(_has_binary_part(part, _type_of_parts(media_type), depth + 1) for part in inner)


def _split_parts(body: bytes, boundary: bytes) -> list[bytes]:
    """Preamble, delimiter, part, delimiter, part ..., each part beginning with the CRLF that ends the delimiter."""
    delimiter = re.compile(rb"((?:\A|\r\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*)(?=\r\n|\Z)")
    return delimiter.split(body)


def _want_identity(media_type: bytes, encoding: bytes) -> None:
    if encoding not in _IDENTITY:
        name = media_type[:80].decode("ascii")
        raise MalformedLetter(f"a {name} part may not be encoded as a whole (RFC 2045 section 6.4)")


def _encode(body: bytes, media_type: bytes, encoding: bytes) -> tuple[bytes, bytes]:
    """A leaf's new transfer encoding and body."""
    end = b"\r\n" if body.endswith(b"\r\n") else b""
    if encoding == b"base64":
        return encoding, rewrap_base64(body) + end
    if encoding == b"quoted-printable":
        return encoding, requote(body)
    if encoding not in _IDENTITY or media_type == b"message/partial":
        raise MalformedLetter("a part with an encoding unknown here has eight-bit octets or too long lines")
    if is_shorter_quoted(body):
        return b"quoted-printable", encode_quoted_printable(body)
    return b"base64", encode_base64_lines(body) + end


def _with_encoding(fields: tuple[Field, ...], fit: list[bytes], encoding: bytes, *, is_letter: bool) -> list[bytes]:
    """The fields, with this transfer encoding in the place of the old one or at the end."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    places = [at for at, old in enumerate(fields) if old.key == b"content-transfer-encoding"]
    new = [field if places[:1] == [at] else raw for at, raw in enumerate(fit) if at not in places[1:]]
    if is_letter and not any(old.key == b"mime-version" for old in fields):
        new.append(b"MIME-Version: 1.0\r\n")
    return new if places else [*new, field]
