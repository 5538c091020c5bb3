"""The `Authentication-Results` field of RFC 8601: ours to write, and others' claims to be ours to recognise."""

import re
from collections.abc import Sequence

from pennyred.postage.letter import Field
from pennyred.postage.reasons import Kind, Reason

KEY = b"authentication-results"
_WORDS = {Kind.PAID: "pass", Kind.EXEMPT: "none", Kind.DUE: "fail", Kind.LATER: "fail"}
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_ID_BYTES_MAX = 4096


def authentication_results_field(hostname: str, reasons: Sequence[Reason]) -> bytes:
    """The whole field: one result for each distinct reason, in the order of the list of reasons; no addresses."""
    distinct = [reason for reason in Reason if reason in reasons]
    results = "".join(f";\r\n x-postage={_WORDS[reason.kind]} reason={reason}" for reason in distinct)
    return f"Authentication-Results: {hostname}{results or '; none'}\r\n".encode("ascii", "replace")


def claims_to_be_ours(field: Field, hostname: str) -> bool:
    """Whether a field says it was written by `hostname`, however it is spelled (RFC 8601 section 5).

    Case, folding, comments, quoting and a version behind the name are seen through.
    """
    return field.key == KEY and _authserv_id(field.value[:_ID_BYTES_MAX]) == hostname.lower().encode()


def _authserv_id(value: bytes) -> bytes:
    """The first word outside comments, lower case; of a quoted string, what is quoted."""
    text = _without_comments(value.replace(b"\r", b"").replace(b"\n", b"")).lstrip(b" \t")
    if text.startswith(b'"'):
        end = _closing_quote(text)
        word = _QUOTED_PAIR.sub(rb"\1", text[1:end])
    else:
        word = re.split(rb"[ \t;]", text, maxsplit=1)[0]
    return word.strip().removesuffix(b".").lower()


def _without_comments(text: bytes) -> bytes:
    """RFC 5322 section 3.2.2: comments nest; each counts as white space."""
    out = bytearray()
    depth = 0
    is_quoted = False
    characters = iter(text)
    for character in characters:
        if character == 0x5C:  # a quoted pair
            following = next(characters, None)
            if not depth and following is not None:
                out += bytes((character, following))
        elif character == 0x22 and not depth:
            is_quoted = not is_quoted
            out.append(character)
        elif character == 0x28 and not is_quoted:
            depth += 1
        elif character == 0x29 and depth:
            depth -= 1
            out.append(0x20)
        elif not depth:
            out.append(character)
    return bytes(out)


def _closing_quote(text: bytes) -> int:
    position = 1
    while position < len(text) and text[position] != 0x22:
        position += 2 if text[position] == 0x5C else 1
    return position
