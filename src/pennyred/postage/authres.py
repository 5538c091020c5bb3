"""The `Authentication-Results` field of RFC 8601: ours to write, and others' claims to be ours to recognise."""

import re
from collections.abc import Iterator, Sequence

from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field
from pennyred.postage.reasons import Kind, Reason

KEY = b"authentication-results"
_WORDS = {Kind.PAID: "pass", Kind.EXEMPT: "none", Kind.DUE: "fail", Kind.LATER: "fail"}

_LEXEME = re.compile(rb'\\.?|"|\(|\)|[^\\"()]+', re.DOTALL)
_ID_END = re.compile(rb"[\s;/:=,\x00]")


def authentication_results_field(hostname: str, reasons: Sequence[Reason]) -> bytes:
    """The whole field: one result for each distinct reason, in the order of the list of reasons; no addresses."""
    distinct = [reason for reason in Reason if reason in reasons]
    results = "".join(f";\r\n x-postage={_WORDS[reason.kind]} reason={reason}" for reason in distinct)
    return f"Authentication-Results: {hostname}{results or '; none'}\r\n".encode("ascii", "replace")


def claims_to_be_ours(field: Field, hostname: str) -> bool:
    """Whether a field says it was written by `hostname`, however it is spelled (RFC 8601 section 5).

    Case, folding, comments, quoting, a final dot, U-labels and a version behind the name are seen through, and so are
    spellings that only a sloppy reader would take for ours: a field too many taken out harms nobody, one left in does.
    """
    if field.key != KEY:
        return False
    ours = hostname.lower().rstrip(".")
    return any(_same_host(word, ours) for word in _authserv_ids(field.value))


def _same_host(word: bytes, ours: str) -> bool:
    text = word.decode("utf-8", "replace").lower().rstrip(".")
    if text == ours or text.isascii():
        return text == ours
    try:
        return canonical_domain(text) == ours
    except MalformedAddress:
        return False


def _authserv_ids(value: bytes) -> Iterator[bytes]:
    """What readers may take for the name of the writer: strict ones, and those that glue or drop what is between."""
    unfolded = value.replace(b"\r", b"").replace(b"\n", b"")
    for text in (_plain(unfolded, b" "), _plain(unfolded, b""), unfolded.replace(b'"', b"")):
        yield _ID_END.split(text.strip(), maxsplit=1)[0]
        glued = b"".join(text.partition(b";")[0].split())
        yield glued


def _plain(text: bytes, for_comment: bytes) -> bytes:
    """The text with quotes and quoted pairs resolved and comments replaced, which nest (RFC 5322 section 3.2.2).

    An unclosed comment or quote ends with the text.
    """
    out: list[bytes] = []
    depth = 0
    is_quoted = False
    for match in _LEXEME.finditer(text):
        lexeme = match[0]
        if lexeme == b"(" and not is_quoted:
            depth += 1
        elif lexeme == b")" and depth:
            depth -= 1
            if not depth:
                out.append(for_comment)
        elif depth:
            continue
        elif lexeme == b'"':
            is_quoted = not is_quoted
        else:
            out.append(lexeme[1:] if lexeme.startswith(b"\\") else lexeme)
    return b"".join(out)
