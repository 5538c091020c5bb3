"""Write address fields in a spelling that no mail server changes, because a stamp is bound to the spelling.

Some servers parse the addresses of a letter and write them again: sendmail always, Postfix if it completes one. The
spelling they use was found by sending letters through both (tests/wire/test_submitted.py). The meaning stays the same.
"""

import re
from collections.abc import Callable, Sequence

from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field
from pennyred.postage.reading.structured import Token, joined, segments, tokens, unquoted
from pennyred.sender.travel.encodedwords import ENCODED_WORD
from pennyred.sender.travel.fields import fold_field

Say = Callable[[str], None]

_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_SPACES = re.compile(rb"[ \t]+")
_ROUTE = re.compile(rb"\A(?:@[^\s@,:]+,?)+:")
_AROUND = re.compile(rb"[ \t]*([.@])[ \t]*")
_LOCAL = re.compile(rb"""(?:[^()<>\[\]:;@\\,"\x00-\x20\x7f]|"(?:[^"\\]|\\.)*")+""", re.DOTALL)
_DOMAIN = re.compile(rb"[\w\x80-\xff-]+(?:\.[\w\x80-\xff-]+)*\.?|\[[^\[\]\\\s]*\]")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DOT_ATOM = re.compile(rb"[^\s.()<>\[\]:;@\\,\"]+(?:\.[^\s.()<>\[\]:;@\\,\"]+)*")
_MUST_BE_QUOTED = re.compile(rb"[.'@\[\]]")
"""Characters of a name that sendmail puts in quotes (its MustQuoteChars); RFC 5322 does not ask it for the apostrophe.
"""
_IN_NO_NAME = re.compile(rb"[()<>\\]")
_SPECIAL = re.compile(rb"""[.'@,;:\\()<>\[\]"]""")


class _StrangeError(Exception):
    """Something that is no address, or in a spelling that is not understood here."""


def settled_field(field: Field, domain: str, say: Say) -> bytes:
    """The whole address field in a spelling that no server changes; unchanged if it has one already.

    An address without a domain gets `domain`, as the sender's own server would do, and `say` is told. If something is
    no address, the field stays as it is, and `say` is told too. Raises `MalformedAddress` for an address without a
    domain that different servers complete in different ways.
    """
    return one_field((field,), domain, say)


def one_field(fields: Sequence[Field], domain: str, say: Say) -> bytes:
    """One field of addresses in the place of several of one name, in that spelling; for one, it is `settled_field`.

    They stay apart, each as it is, if one of them has something that is no address. Raises `MalformedAddress`.
    """
    name = fields[0].key.decode("ascii").capitalize()
    values = [_FOLDING.sub(b"", field.value) for field in fields]
    try:
        each = [_settled(value, domain, lambda text: say(f"the {name} field: {text}")) for value in values]
    except _StrangeError:
        say(f"the {name} field has something that is no address: a server that mends it makes the stamp void")
        return b"".join(field.raw for field in fields)
    settled = b", ".join(filter(None, each))
    if _SPACES.sub(b" ", settled).strip() == _SPACES.sub(b" ", values[0]).strip():
        return fields[0].raw
    return fold_field(fields[0], b" " + settled)


def _settled(value: bytes, domain: str, say: Say) -> bytes:
    """The value with ", " between mailboxes and groups, and without empty places between commas."""
    whole: list[bytes] = []
    group: list[bytes] | None = None
    start = b""
    for pieces, end in segments(value):
        is_empty = all(token.kind == "space" for token in pieces)
        if end == b":":
            if group is not None or is_empty:
                raise _StrangeError
            start, group = _name(_trimmed(pieces)) + b":", []
            continue
        if group == [] and pieces and not is_empty and start.endswith(b":"):
            start += b" " if pieces[0].kind == "space" else b""
        if not is_empty:
            (whole if group is None else group).append(_mailbox(_trimmed(pieces), domain, say))
        if end == b";":
            if group is None:
                raise _StrangeError
            whole.append(start + b", ".join(group) + b";")
            group = None
    if group is not None:
        raise _StrangeError
    return b", ".join(whole)


def _mailbox(pieces: Sequence[Token], domain: str, say: Say) -> bytes:
    angles = [at for at, token in enumerate(pieces) if token.kind == "angle"]
    if len(angles) > 1:
        raise _StrangeError
    if angles:
        at = angles[0]
        before, after = pieces[:at], pieces[at + 1 :]
        if any(token.kind not in {"space", "comment"} for token in after) or not pieces[at].raw.endswith(b">"):
            raise _StrangeError
        spaces = before[-1].raw if before and before[-1].kind == "space" else b""
        address = b"<" + _address(pieces[at].raw[1:-1], domain, say) + b">"
        return _name(_trimmed(before)) + spaces + address + joined(after)
    said = [at for at, token in enumerate(pieces) if token.kind not in {"space", "comment"}]
    if not said:
        raise _StrangeError
    before, core, after = pieces[: said[0]], pieces[said[0] : said[-1] + 1], pieces[said[-1] + 1 :]
    if any(token.kind == "comment" for token in core):
        raise _StrangeError
    start = joined(before) + (b" " if before and before[-1].kind == "comment" else b"")
    end = (b" " if after and after[0].kind == "comment" else b"") + joined(after)
    return start + _address(joined(core), domain, say) + end


def _address(raw: bytes, domain: str, say: Say) -> bytes:
    """The address without white space, route, unnecessary quotes and a last dot, and with a domain."""
    text = _ROUTE.sub(b"", raw.strip(b" \t"), count=1)
    if b'"' not in text:
        text = _AROUND.sub(rb"\1", text)
    local, at, host = text.rpartition(b"@")
    if not at:
        local, host = text, b""
    if not _LOCAL.fullmatch(local) or b"=?" in text or (at and not _DOMAIN.fullmatch(host)):
        raise _StrangeError
    said = _QUOTED.sub(lambda found: unquoted(found[0]), local)
    plain = said if _DOT_ATOM.fullmatch(said) else b'"' + re.sub(rb'["\\]', rb"\\\g<0>", said) + b'"'
    shown = said.decode("utf-8", "replace")
    if at:
        if host.strip(b".").isalnum():
            half = f"{shown}@{host.decode('utf-8', 'replace')}"
            say(f"{half} has half a domain: a server that completes it makes the stamp void")
        return plain + b"@" + host.removesuffix(b".")
    if re.search(rb"[!%]", said):
        raise MalformedAddress(f"the address {shown!r} has no domain, and servers differ in what it means")
    say(f"{shown!r} has no domain, and becomes {shown}@{domain}")
    return plain + b"@" + domain.encode("ascii")


def _name(pieces: Sequence[Token]) -> bytes:
    """The name with quotes around each character that some server would put in quotes."""
    mended = [Token(token.kind, _with_q_escapes(token.raw)) if token.kind == "text" else token for token in pieces]
    outside = b"".join(token.raw for token in mended if token.kind in {"text", "literal"})
    if _IN_NO_NAME.search(outside) or any(token.kind == "angle" for token in mended):
        raise _StrangeError
    if not _MUST_BE_QUOTED.search(outside):
        return joined(mended)
    if all(token.kind in {"text", "space", "literal"} for token in mended) and not ENCODED_WORD.search(outside):
        return _in_quotes(joined(mended))
    return b"".join(_in_quotes(raw) if must else raw for raw, must in _words(mended))


def _words(pieces: Sequence[Token]) -> list[tuple[bytes, bool]]:
    """The words, and what stands between them, each with a flag: must it be put in quotes?"""
    words: list[tuple[bytes, bool]] = []
    is_open = False
    for token in pieces:
        is_word = token.kind not in {"space", "comment"}
        must = token.kind in {"text", "literal"} and bool(_MUST_BE_QUOTED.search(token.raw))
        if is_word and is_open:
            before, was = words.pop()
            words.append((before + token.raw, was or must))
        else:
            words.append((token.raw, must))
        is_open = is_word
    return words


def _in_quotes(text: bytes) -> bytes:
    said = b"".join(unquoted(token.raw) if token.kind == "quoted" else token.raw for token in tokens(text))
    return b'"' + re.sub(rb'["\\]', rb"\\\g<0>", said) + b'"'


def _with_q_escapes(text: bytes) -> bytes:
    """Escape those characters inside encoded words that are not allowed there in a name (RFC 2047 section 5)."""

    def escape(found: re.Match[bytes]) -> bytes:
        if found[2] not in b"qQ":
            return found[0]
        said = _SPECIAL.sub(lambda one: b"=%02X" % one[0][0], found[3])
        return b"=?%s?%s?%s?=" % (found[1], found[2], said)

    return ENCODED_WORD.sub(escape, text)


def _trimmed(pieces: Sequence[Token]) -> Sequence[Token]:
    """The tokens without white space at both ends."""
    start, end = 0, len(pieces)
    while start < end and pieces[start].kind == "space":
        start += 1
    while end > start and pieces[end - 1].kind == "space":
        end -= 1
    return pieces[start:end]
