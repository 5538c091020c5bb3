"""A second implementation of STAMP.md 5.4, 5.5 and 5.6, written from its text alone: octet by octet, without expressions.

It shares with the first one only the canonical forms of addresses (section 4). Where the two differ, the page or the
code is wrong.
"""

import binascii
import unicodedata
from collections.abc import Sequence

from pennyred.postage.address import canonical_recipient
from pennyred.postage.errors import MalformedAddress

Fields = Sequence[tuple[bytes, bytes]]
"""The fields of a letter from the top: the name in lower case (empty for a line that is no field), and its octets."""

FIELDS_OCTETS_MAX, SUBJECTS_OCTETS_MAX, GROUPS_MAX, MAILBOX_OCTETS_MAX = 65_536, 8_192, 100, 2_000
BLANKS = b" \t\r\n"
SPECIALS = b'()<>[]:;@\\,"'
TOKEN = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'()<>@,;:\\"/[]?=')
CHARSETS = {"us-ascii", "utf-8", "koi8-r", "koi8-u"}
CHARSETS |= {f"iso-8859-{part}" for part in range(1, 17)} - {"iso-8859-12"}
CHARSETS |= {f"windows-{page}" for page in range(1250, 1259)}


class _OtherwiseError(Exception):
    """The field is made otherwise."""


def plain_value(raw: bytes) -> bytes:
    return b" ".join(raw.partition(b":")[2].split())


def plain(name: bytes, raw: bytes) -> bytes:
    return name + b":" + plain_value(raw) + b"\r\n"


def addresses_text(fields: Fields, *names: bytes) -> bytes:
    """5.4, for all fields of these names."""
    found = [(name, raw) for wanted in names for name, raw in fields if name == wanted]
    values = [raw.partition(b":")[2].removesuffix(b"\r\n") for _, raw in found]
    values = [value.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t") for value in values]
    try:
        if sum(map(len, values)) > FIELDS_OCTETS_MAX:
            raise _OtherwiseError
        read = [_addresses(value) for value in values]
        if sum(groups for _, groups in read) > GROUPS_MAX:
            raise _OtherwiseError
        canonical = {canonical_recipient(one).canonical for addresses, _ in read for one in addresses}
    except (_OtherwiseError, MalformedAddress):
        return b"\0" + b"".join(plain(name, raw) for name, raw in found)
    return "\n".join(sorted(canonical)).encode()


def _addresses(value: bytes) -> tuple[list[str], int]:
    """The addresses of one field, and how many groups it has."""
    found: list[str] = []
    place: list[tuple[str, bytes]] = []
    in_group, groups, after_group = False, 0, False
    for kind, text in [*_tokens(value), ("end", b"")]:
        if kind not in ("mark", "end"):
            place.append((kind, text))
            continue
        is_empty = all(one == "space" for one, _ in place)
        if sum(len(octets) for _, octets in place) > MAILBOX_OCTETS_MAX or (after_group and not is_empty):
            raise _OtherwiseError
        if text == b":":
            groups += 1
            if in_group:
                raise _OtherwiseError
            _name(place)
            if b"@" in b"".join(octets for _, octets in place) or all(one in ("space", "comment") for one, _ in place):
                raise _OtherwiseError
            in_group = True
        elif not is_empty:
            found.append(_mailbox(place))
        after_group = text == b";"
        if after_group:
            if not in_group:
                raise _OtherwiseError
            in_group = False
        place = []
    if in_group:
        raise _OtherwiseError
    return found, groups


def _tokens(value: bytes) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    at = 0
    while at < len(value):
        one = value[at : at + 1]
        end = at + 1
        if one in b'"(':
            end = _end_of_pairs(value, at)
            found.append(("quoted" if one == b'"' else "comment", value[at:end]))
        elif one in b"<[":
            close = b">" if one == b"<" else b"]"
            end = value.find(close, at) + 1
            if not end or one in value[at + 1 : end]:
                raise _OtherwiseError  # never closed, or opened twice: no token has such an octet
            found.append(("angle" if one == b"<" else "literal", value[at:end]))
        elif one in b" \t":
            while value[end : end + 1] in (b" ", b"\t"):
                end += 1
            found.append(("space", value[at:end]))
        elif one in b",:;":
            found.append(("mark", one))
        elif found and found[-1][0] == "text":
            found[-1] = ("text", found[-1][1] + one)
        else:
            found.append(("text", one))
        at = end
    return found


def _end_of_pairs(value: bytes, at: int) -> int:
    """Where a quoted string or a comment that begins at `at` ends."""
    is_quoted, depth, at = value[at : at + 1] == b'"', 1, at + 1
    while at < len(value):
        one = value[at : at + 1]
        if one == b"\\":
            at += 1
        elif is_quoted:
            depth -= one == b'"'
        else:
            depth += (one == b"(") - (one == b")")
        at += 1
        if not depth:
            return min(at, len(value))
    raise _OtherwiseError


def _mailbox(place: list[tuple[str, bytes]]) -> str:
    ends = [at for at, (kind, _) in enumerate(place) if kind not in ("space", "comment")]
    if not ends:
        raise _OtherwiseError
    first, last = ends[0], ends[-1]
    if place[last][0] == "angle":
        first, address = last, place[last][1][1:-1].strip(b" \t")
    else:
        address = b"".join(text for _, text in place[first : last + 1])
    around = b"".join(text for _, text in place[:first] + place[last + 1 :])
    is_again = around.strip(b" \t'\"").lower() == address.lower()
    if b"@" in around and not is_again:
        raise _OtherwiseError
    if not is_again:
        _name(place[:first])
    return _address(address)


def _name(place: list[tuple[str, bytes]]) -> None:
    for kind, text in place:
        if kind == "angle" or (kind == "text" and any(octet in b"@()<>[]\\" for octet in text)):
            raise _OtherwiseError
    if any(kind == "literal" for kind, _ in place) and b"=?" in b"".join(octets for _, octets in place):
        raise _OtherwiseError


def _address(text: bytes) -> str:
    if b"=?" in text:
        raise _OtherwiseError
    if text.startswith(b'"'):
        end = _end_of_pairs(text, 0)
        local, rest = text[:end], text[end:]
    else:
        end = next(
            (at for at, octet in enumerate(text) if octet in SPECIALS or octet <= 0x20 or octet == 0x7F), len(text)
        )
        local, rest = text[:end], text[end:]
    domain = rest[1:]
    if not local or not rest.startswith(b"@") or not domain:
        raise _OtherwiseError
    if domain.startswith(b"["):
        inner = domain[1:-1]
        if not domain.endswith(b"]") or len(domain) < 2 or any(octet in b"[]\\ \t\r\n\x0b\x0c" for octet in inner):
            raise _OtherwiseError
    elif not all(octet > 0x7F or chr(octet).isalnum() or octet in b"._-" for octet in domain):
        raise _OtherwiseError
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _OtherwiseError from None


def subject_text(fields: Fields) -> bytes:
    """5.5, for all fields named Subject."""
    found = [raw for name, raw in fields if name == b"subject"]
    values = [raw.partition(b":")[2].removesuffix(b"\r\n") for raw in found]
    if sum(map(len, values)) > SUBJECTS_OCTETS_MAX:
        return b"\0" + b"".join(plain(b"subject", raw) for raw in found)
    return "\n".join(map(_subject, values)).encode()


def _subject(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    out, at = "", 0
    while at < len(text):
        word = _word(text, at)
        if word is None:
            out += text[at]
            at += 1
            continue
        words, at = [word], at + len(word)
        while True:
            blanks = at
            while blanks < len(text) and text[blanks].isspace():
                blanks += 1
            following = _word(text, blanks) if blanks > at else None
            if following is None:
                break
            words.append(following)
            at = blanks + len(following)
        out += _read(words)
    return " ".join(unicodedata.normalize("NFC", out).split())


def _word(text: str, at: int) -> str | None:
    """The encoded word that begins there."""
    if text[at : at + 2] != "=?":
        return None
    parts = text[at + 2 :].split("?", 3)
    if len(parts) < 4 or not parts[3].startswith("="):
        return None
    is_name = all(one.isascii() and (one.isalnum() or one == "-") for one in parts[0])
    if not is_name or not 1 <= len(parts[0]) <= 40:
        return None
    if parts[1] not in ("B", "b", "Q", "q") or not all("!" <= one <= "~" for one in parts[2]):
        return None
    return "=?" + "?".join(parts[:3]) + "?="


def _read(words: list[str]) -> str:
    """What stands for encoded words with nothing but white space between them."""
    sequences: list[list[str]] = []
    for word in words:
        if sequences and _charset(sequences[-1][0]) == _charset(word):
            sequences[-1].append(word)
        else:
            sequences.append([word])
    out, was_read = "", True
    for number, sequence in enumerate(sequences):
        try:
            said = b"".join(_octets(word) for word in sequence).decode(_charset(sequence[0]))
            is_read = _charset(sequence[0]) in CHARSETS
        except (ValueError, LookupError):
            is_read = False
        if number and not (is_read and was_read):
            out += " "
        out += said if is_read else " ".join(sequence)
        was_read = is_read
    return out


def _charset(word: str) -> str:
    return word[2:].partition("?")[0].lower()


def _octets(word: str) -> bytes:
    _, _, encoding, text, _ = word.split("?")
    if encoding in "Qq":
        out, at = bytearray(), 0
        while at < len(text):
            if text[at] == "=":
                pair = text[at + 1 : at + 3]
                if len(pair) < 2 or any(one not in "0123456789ABCDEFabcdef" for one in pair):
                    raise ValueError
                out.append(int(pair, 16))
                at += 3
            else:
                out.append(0x20 if text[at] == "_" else ord(text[at]))
                at += 1
        return bytes(out)
    data = text.rstrip("=")
    missing = -len(data) % 4
    if missing == 3 or len(text) - len(data) > missing or any(not one.isalnum() and one not in "+/" for one in data):
        raise ValueError
    return binascii.a2b_base64(data + "=" * missing)


def body_text(fields: Fields) -> bytes:
    """5.6."""
    types = [_type(raw) for name, raw in fields if name == b"content-type"] or [b"text/plain"]
    encodings = [_encoding(raw) for name, raw in fields if name == b"content-transfer-encoding"] or [b"identity"]
    names = (b"content-disposition", b"content-description", b"content-base", b"content-location")
    further = [(wanted, raw) for wanted in names for name, raw in fields if name == wanted]
    told = [plain(name, raw) for name, raw in further if name != names[0] or _is_told(raw)]
    strays = [raw for name, raw in fields if not name or raw[len(name) : len(name) + 1] in (b" ", b"\t")]
    return b",".join(types) + b";" + b",".join(encodings) + b"\n" + b"".join(told + strays)


def _is_told(raw: bytes) -> bool:
    return raw.partition(b":")[2].removesuffix(b"\r\n").strip(BLANKS).lower() not in (b"", b"inline")


def _type(raw: bytes) -> bytes:
    value = raw.partition(b":")[2].removesuffix(b"\r\n")
    kind, _, subtype = value.partition(b";")[0].partition(b"/")
    kind, subtype = kind.strip(BLANKS).lower(), subtype.strip(BLANKS).lower()
    is_type = kind and subtype and all(octet in TOKEN for octet in kind + subtype)
    return (
        kind + b"/" + subtype
        if is_type and kind != b"multipart" and b"name" not in value.lower()
        else b"\0" + plain_value(raw)
    )


def _encoding(raw: bytes) -> bytes:
    value = raw.partition(b":")[2].removesuffix(b"\r\n").strip(BLANKS).lower()
    if value in (b"7bit", b"8bit", b"binary", b""):
        return b"identity"
    return value if value in (b"base64", b"quoted-printable") else b"\0" + plain_value(raw).lower()
