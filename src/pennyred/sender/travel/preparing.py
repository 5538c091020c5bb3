"""Make a letter safe to travel before it is stamped, so that no server has a reason to alter it afterwards.

Safe is what every server can pass on unchanged by RFC 5321: CRLF line ends, lines of at most 998 octets (990 if
possible, as sendmail cuts longer ones), no NUL, and a header of fields only. Eight-bit octets, or a label that says
8bit, are safe only if the next server offers 8BITMIME (for bodies) or SMTPUTF8 (for the header). A safe letter is not
changed at all. In other letters the transfer encoding of some parts is changed (RFC 2045 section 6), never their
content. What cannot be written in another way is refused; nothing is left out.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from pennyred.postage.errors import MalformedLetter
from pennyred.postage.letter import Field, parse_header
from pennyred.postage.lineends import file_with_crlf
from pennyred.sender.travel.closing import closed
from pennyred.sender.travel.encodedwords import Assume, assumed_charset, with_marks_apart, with_words_in
from pennyred.sender.travel.fields import fit_field, is_fit
from pennyred.sender.travel.labels import relabelled
from pennyred.sender.travel.leaves import encode_leaf, with_encoding
from pennyred.sender.travel.mimeparts import (
    IDENTITY,
    LETTERS,
    MAILBOX_LINES,
    NESTING_MAX,
    SEALED,
    Entity,
    closes,
    first_charset,
    has_binary_part,
    has_strange_line,
    names_boundary,
    read_entity,
    take_apart,
    type_of_parts,
)
from pennyred.sender.travel.transfer import LINE_OCTETS_MAX, UNCUT_OCTETS_MAX, encode_quoted_printable

PARTS_MAX = 10_000

Say = Callable[[str], None]
"""Called with a sentence for the sender about something that had to be assumed or changed."""

_DKIM_SIGNATURE = re.compile(rb"^dkim-signature[ \t]*:", re.IGNORECASE | re.MULTILINE)
_SPACE_BEFORE_COLON = re.compile(rb"\A([!-9;-~]+)[ \t]+:")


def is_safe(letter: bytes, *, eight_bit: bool, utf8: bool = False, line_octets_max: int = LINE_OCTETS_MAX) -> bool:
    """Whether a letter can travel as it is, to a server with 8BITMIME (`eight_bit`) and also SMTPUTF8 (`utf8`)."""
    if not letter.endswith(b"\r\n") or _has_bare_newline(letter) or MAILBOX_LINES.match(letter):
        return False
    header, _, body = take_apart(letter)
    if not _is_fit_header(header, utf8=utf8, line_octets_max=line_octets_max) or has_strange_line(header):
        return False
    if not is_fit(body, eight_bit=eight_bit, line_octets_max=line_octets_max):
        return False
    return _spelt_as_servers_do(letter, eight_bit=eight_bit) == letter


def make_safe(letter: bytes, *, eight_bit: bool, utf8: bool = False, say: Say = lambda _: None) -> bytes:
    """The letter in a form that can travel: unchanged if it is safe, else the same content in other encodings.

    Every line end becomes CRLF, and a CR elsewhere becomes a blank, as at the gate. The "From " lines of a mailbox file
    are removed, as they are not the letter's, and an empty line missing below a header is added; `say` is told of both.
    Lines have at most 990 octets, or 998 if something signed has such lines. Raises `MalformedLetter`, with a sentence
    for the sender, if that is not possible: a signed or encrypted part would have to be altered, an address needs
    SMTPUTF8, a limit is exceeded, or programs differ in how they read the letter.
    """
    if is_safe(letter, eight_bit=eight_bit, utf8=utf8, line_octets_max=UNCUT_OCTETS_MAX):
        return letter
    if not _is_signed(letter) or not is_safe(letter, eight_bit=eight_bit, utf8=utf8):
        said: list[str] = []
        try:
            made = _made_safe(letter, _Parts(eight_bit, utf8, said.append, UNCUT_OCTETS_MAX))
        except MalformedLetter:
            pass  # try again below, with the longer lines that the RFC allows
        else:
            for text in said:
                say(text)
            return made
    made = _made_safe(letter, _Parts(eight_bit, utf8, say, LINE_OCTETS_MAX))
    say("a line of more than 990 octets has to stay: where sendmail cuts it on the way, the stamp is void")
    return made


def _is_signed(letter: bytes) -> bool:
    return _DKIM_SIGNATURE.search(take_apart(letter)[0]) is not None


def _made_safe(letter: bytes, parts: "_Parts") -> bytes:
    if parts.is_safe(letter):
        return letter
    # A byte order mark, which some editors put first, is not part of the letter.
    normal = file_with_crlf(letter.removeprefix(codecs.BOM_UTF8))
    above = MAILBOX_LINES.match(normal)
    if above:
        normal = normal[above.end() :]
        parts.say(
            "the first line is a mailbox file's, beginning with From and no colon: it is no field, and is left out"
        )
    if _has_bare_newline(letter) and has_binary_part(read_entity(normal, b"text/plain", is_letter=True)):
        raise MalformedLetter("a binary part cannot be told from its line ends; encode it in base64 first")
    lines_above = above[0].count(b"\n") if above else 0
    # The last line gets its line end after encoding: an attached file may have none.
    safe = _ended(parts.entity(normal, b"text/plain", 0, 1 + lines_above, ""))
    safe = _spelt_as_servers_do(safe, eight_bit=parts.eight_bit)
    if not parts.is_safe(safe):
        raise MalformedLetter("the letter cannot be put in a form that travels")
    if safe != _ended(normal) and _is_signed(normal):
        parts.say("the letter had to be altered, and the DKIM signature that it bears no longer holds")
    return safe


def _spelt_as_servers_do(letter: bytes, *, eight_bit: bool) -> bytes:
    """The letter with those repairs that some servers would make; unchanged if it has a DKIM signature."""
    if _is_signed(letter):
        return letter
    return closed(letter if eight_bit else relabelled(letter))


def _ended(letter: bytes) -> bytes:
    return letter if letter.endswith(b"\r\n") else letter + b"\r\n"


class _PlacedError(MalformedLetter):
    """An error whose text already says where in the letter it is."""


@dataclass(slots=True)
class _Parts:
    """One pass over all parts of a letter; it counts them and knows what the next server can take."""

    eight_bit: bool
    utf8: bool
    say: Say
    line_octets_max: int
    count: int = 0

    def is_safe(self, letter: bytes) -> bool:
        """Whether a whole letter can travel as it is."""
        return is_safe(letter, eight_bit=self.eight_bit, utf8=self.utf8, line_octets_max=self.line_octets_max)

    def is_fit(self, raw: bytes) -> bool:
        """Whether a part, or a piece of one, can travel as it is."""
        return is_fit(raw, eight_bit=self.eight_bit, line_octets_max=self.line_octets_max)

    def entity(self, raw: bytes, default_type: bytes, depth: int, line: int, charset: str) -> bytes:
        """The letter, or a part, in a form that can travel; unchanged if it can travel already.

        `line` is the line of the letter in which the part begins, `charset` the letter's. Raises `MalformedLetter`.
        """
        self.count += 1
        if depth > NESTING_MAX or self.count > PARTS_MAX:
            raise MalformedLetter(f"a letter of more than {NESTING_MAX} parts in parts, or {PARTS_MAX} parts")
        if depth and self.is_fit(raw):
            return raw
        try:
            return self._mended(read_entity(raw, default_type, is_letter=depth == 0), depth, line, charset)
        except _PlacedError:
            raise
        except MalformedLetter as error:
            where = f"the part that begins in line {line}: " if depth else ""
            raise _PlacedError(f"{where}{error}") from error

    def _mended(self, entity: Entity, depth: int, line: int, charset: str) -> bytes:
        body_line = line + entity.body_line
        if entity.is_repaired:
            body_line -= 1
            self.say(f"line {body_line} is no header field: the text begins there, and an empty line is put before it")
        if not self.is_fit(entity.above):
            raise MalformedLetter("its first line is no header field, and cannot travel")
        charset = entity.content.charset or charset or first_charset(entity)
        header = self._header(entity, depth, line, charset)
        body = entity.body
        if not self.is_fit(body):
            if not entity.content.is_certain:
                raise MalformedLetter("programs differ in what its Content-Type says")
            encoding, body = self._body(entity, depth, body_line, charset)
            if depth == 0 and body != entity.body and not any(field.key == b"mime-version" for field in entity.fields):
                header.append(b"MIME-Version: 1.0\r\n")  # without it some programs decode no part
            if entity.content.media_type in LETTERS and not any(one.key == b"content-type" for one in entity.fields):
                # In a digest this type is the default, but not all programs know that.
                header = [*header, b"Content-Type: " + entity.content.media_type + b"\r\n"]
            if encoding != entity.encoding():
                header = with_encoding(entity.fields, header, encoding)
        return entity.above + b"".join(header) + entity.separator + body

    def _header(self, entity: Entity, depth: int, line: int, charset: str) -> list[bytes]:
        fit: list[bytes] = []
        for field in entity.fields:
            if (
                self.is_fit(field.raw)
                if depth
                else _is_fit_header(field.raw, utf8=self.utf8, line_octets_max=self.line_octets_max)
            ):
                fit.append(_SPACE_BEFORE_COLON.sub(rb"\1:", field.raw))
            else:
                try:
                    fit.append(self._fit_field(field, charset))
                except MalformedLetter as error:
                    raise _PlacedError(f"line {line}: {error}") from error
                name, _, _ = fit[-1].partition(b":")
                if name.lower() != field.key:
                    self.say(f"line {line}: eight-bit text may not stand there, and is kept as {name.decode()}")
            line += field.raw.count(b"\n")
        return fit

    def _fit_field(self, field: Field, charset: str) -> bytes:
        assume = self._assume(field, charset)
        readable = with_marks_apart(field.raw, assumed_charset(field.raw, charset))
        if readable == field.raw:
            return fit_field(field, assume)
        [apart] = parse_header(readable).fields
        return with_words_in(assume(field.raw), fit_field(apart, assume))

    def _assume(self, field: Field, charset: str) -> Assume:
        """An `Assume` for this field that tells the sender which charset was assumed, unless it is UTF-8."""

        def assume(octets: bytes) -> str:
            assumed = assumed_charset(octets, charset)
            if assumed != "utf-8":
                name = field.key.decode("ascii", "replace")
                self.say(f"field {name!r}: eight-bit text in it does not say its charset, and is taken for {assumed}")
            return assumed

        return assume

    def _body(self, entity: Entity, depth: int, line: int, charset: str) -> tuple[bytes, bytes]:
        """The new transfer encoding and the new body of an entity that cannot travel as it is."""
        media_type, encoding = entity.content.media_type, entity.encoding()
        if not entity.content.is_multipart and media_type not in LETTERS:
            return encode_leaf(entity.body, media_type, encoding)
        if encoding not in IDENTITY:
            name = media_type[:80].decode("ascii")
            raise MalformedLetter(f"a {name} part may not be encoded as a whole (RFC 2045 section 6.4)")
        if entity.content.is_multipart:
            body = self._multipart(entity, depth, line, charset)
        else:
            body = self.entity(entity.body, b"text/plain", depth + 1, line, "")
        # A multipart or letter is 7bit once all its parts are.
        return (b"7bit" if encoding in (b"8bit", b"binary") and not self.eight_bit else encoding), body

    def _multipart(self, entity: Entity, depth: int, line: int, charset: str) -> bytes:
        media_type = entity.content.media_type
        is_sealed = media_type in SEALED
        boundary, pieces = entity.split()
        if not is_sealed and (len(pieces) < 3 or closes(pieces[1], boundary)):
            raise MalformedLetter("a multipart letter without its boundary cannot be encoded to travel")
        if names_boundary(entity.body, boundary):
            raise MalformedLetter("a part within it has the same boundary, and programs differ in where it ends")
        lines = [line, *accumulate((piece.count(b"\n") for piece in pieces), initial=line)]
        default_type = type_of_parts(media_type)
        for at in range(0 if len(pieces) > 1 and not closes(pieces[1], boundary) else 2, len(pieces), 2):
            if at and closes(pieces[at - 1], boundary):
                # Some programs do not see a last boundary directly below another one, and show what follows.
                is_clear = len(pieces) == at + 1 and bool(pieces[at - 2])
                pieces[at:] = [self._unread(b"".join(pieces[at:]), is_clear=is_clear)]
                break
            if not at:
                pieces[at] = self._unread(pieces[at])
            elif not is_sealed:
                part = self.entity(pieces[at][2:], default_type, depth + 1, lines[at + 1] + 1, charset)
                pieces[at] = pieces[at][:2] + part
        body = b"".join(pieces)
        if is_sealed and not self.is_fit(body):
            raise MalformedLetter(f"a {media_type.decode()} part cannot travel as it is; altering it would break it")
        return body

    def _unread(self, text: bytes, *, is_clear: bool = True) -> bytes:
        """Text before the first part or after the last one, which no program shows: it is kept, but encoded."""
        if self.is_fit(text):
            return text
        if not is_clear:
            raise MalformedLetter(
                "there are parts below its last boundary, and programs differ in whether they show them"
            )
        self.say("text outside of all parts, which mail programs do not show, is kept as quoted-printable")
        return encode_quoted_printable(text)


def _has_bare_newline(letter: bytes) -> bool:
    """Whether there is a CR or an LF that does not belong to a CRLF."""
    return not letter.count(b"\r") == letter.count(b"\r\n") == letter.count(b"\n")


def _is_fit_header(raw: bytes, *, utf8: bool, line_octets_max: int) -> bool:
    """Like `is_fit`, for the letter's own header: eight-bit text must be UTF-8 there (RFC 6532 section 3)."""
    if not is_fit(raw, eight_bit=utf8, line_octets_max=line_octets_max):
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
