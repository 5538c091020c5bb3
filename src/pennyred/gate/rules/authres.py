"""The `Authentication-Results` field of RFC 8601: ours to write, and others' claims to be ours to recognise."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from pennyred.gate.rules.origin import Finding
from pennyred.postage.address import canonical_domain
from pennyred.postage.errors import MalformedAddress
from pennyred.postage.letter import Field
from pennyred.postage.reasons import Kind, Reason

KEY = b"authentication-results"
_ORDER = {reason: place for place, reason in enumerate(Reason)}
_WORDS = {Kind.PAID: "pass", Kind.EXEMPT: "none", Kind.DUE: "fail", Kind.LATER: "fail"}

LEXEMES_MAX = 64
"""Quotes, brackets, quoted pairs and what is between them: an honest field has a handful in front of its results."""

FIELDS_READ_MAX = 100
"""The most fields read of one letter, which has a few. 20,000 with names in other alphabets would take seconds."""

FINDINGS_MAX = 20
RESULTS_MAX = 40
"""The most results of x-postage: a letter of many stamps may have been altered in many ways."""
PROPERTIES_MAX = 6
VALUE_CHARACTERS_MAX = 253
_LINE_OCTETS = 78

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,40}")
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]+(?:@[A-Za-z0-9_.-]+)?")
_UNSAFE = re.compile(r'[^ -~]|["\\]')

_LEXEME = re.compile(rb'\\.?|"|\(|\)|[^\\"()]+', re.DOTALL)
_COMMENT = b"\0"
_ID_END = re.compile(rb"[\s;/:=,\x00]")


Result = tuple[Reason, tuple[str, ...]]
"""A recipient's reason, and what was altered on the letter's way, by the names of `postage.alteration`."""


def authentication_results_field(hostname: str, results: Collection[Result], findings: Sequence[Finding] = ()) -> bytes:
    """The whole field: each distinct result, in the order of `Reason`; then what was found out of the sender. No
    addresses of recipients.

    What was altered is a property of our own policy (RFC 8601 section 2.4). Only `RESULTS_MAX` are told.
    """
    found = "".join(f";\r\n {one}" for one in resinfos(findings)).encode("ascii", "replace")
    return (
        _postage_results(hostname, frozenset(results)).replace(b"; none", b"" if found else b"; none") + found + b"\r\n"
    )


@lru_cache(maxsize=1000)
def _postage_results(hostname: str, results: frozenset[Result]) -> bytes:
    distinct = sorted(results, key=lambda result: (_ORDER[result[0]], result[1]))[:RESULTS_MAX]
    told = "".join(f";\r\n {_postage_result(*result)}" for result in distinct)
    return f"Authentication-Results: {hostname}{told or '; none'}".encode("ascii", "replace")


def _postage_result(reason: Reason, altered: tuple[str, ...]) -> str:
    what = [f'policy.altered="{",".join(altered)}"'] if altered else []
    return _folded(f"x-postage={_WORDS[reason.kind]} reason={reason}", what)


def to_take_out(fields: Sequence[Field], hostnames: Sequence[str]) -> frozenset[Field]:
    """The `Authentication-Results` fields of a letter that a reader might believe were written by one of these hosts.

    Only `FIELDS_READ_MAX` are read; all fields beyond that are taken out too.
    """
    looked_at, others = fields[:FIELDS_READ_MAX], fields[FIELDS_READ_MAX:]
    return frozenset(one for one in looked_at if any(claims_to_be_ours(one, host) for host in hostnames)).union(others)


def claims_to_be_ours(field: Field, hostname: str) -> bool:
    """Whether a field says it was written by `hostname`, however it is spelled (RFC 8601 section 5).

    Case, folding, comments, quoting, a final dot, U-labels and a version behind the name are seen through, and so are
    spellings that only a sloppy reader would take for ours: a field too many taken out harms nobody, one left in does.
    For the same reason a field that hides its writer behind more than `LEXEMES_MAX` comments and quotes counts as ours.
    """
    if field.key != KEY:
        return False
    unfolded = field.value.replace(b"\r", b"").replace(b"\n", b"")
    beginning = _plain_beginning(unfolded)
    if beginning is None:
        return True
    ours = hostname.lower().rstrip(".")
    readings = beginning.replace(_COMMENT, b" "), beginning.replace(_COMMENT, b""), unfolded.replace(b'"', b"")
    return any(_same_host(word, ours) for word in {word for reading in readings for word in _authserv_ids(reading)})


def _same_host(word: bytes, ours: str) -> bool:
    text = word.decode("utf-8", "replace").lower().rstrip(".")
    if text == ours or text.isascii() or "xn--" not in ours:  # the mapping is slow, and no ASCII name of ours needs it
        return text == ours
    try:
        return canonical_domain(text) == ours
    except MalformedAddress:
        return False


def _authserv_ids(text: bytes) -> Iterator[bytes]:
    """What readers may take for the name of the writer: the first word, or all up to the semicolon glued together."""
    yield _ID_END.split(text.strip(), maxsplit=1)[0]
    yield b"".join(text.partition(b";")[0].split())


def _plain_beginning(text: bytes) -> bytes | None:
    """The text up to its first semicolon at least, quotes and quoted pairs resolved, each comment one `_COMMENT`.

    Comments nest (RFC 5322 section 3.2.2); an unclosed comment or quote ends with the text. None where there are too
    many of them.
    """
    out: list[bytes] = []
    depth = 0
    is_quoted = False
    for number, match in enumerate(_LEXEME.finditer(text)):
        lexeme = match[0]
        if number >= LEXEMES_MAX:
            return None
        if lexeme == b"(" and not is_quoted:
            depth += 1
        elif lexeme == b")" and depth:
            depth -= 1
            if not depth:
                out.append(_COMMENT)
        elif depth:
            continue
        elif lexeme == b'"':
            is_quoted = not is_quoted
        else:
            out.append(lexeme[1:] if lexeme.startswith(b"\\") else lexeme)
            if b";" in lexeme and not is_quoted:
                break
    return b"".join(out)


def resinfos(findings: Sequence[Finding]) -> list[str]:
    """One text for each finding, like `spf=pass smtp.mailfrom=example.org`, to stand behind `;` and CRLF SP in the
    field.

    Values come from strangers: only printable ASCII gets through. Values are quoted where they are no plain word, and
    their length is bounded. Texts longer than a line are folded between properties, with CRLF and two spaces; no line
    has more than 300 octets.
    """
    return [_resinfo(finding) for finding in findings[:FINDINGS_MAX] if _NAME.fullmatch(finding.method)]


def _resinfo(finding: Finding) -> str:
    return _folded(f"{finding.method}={finding.result}", _properties(finding))


def _folded(result: str, properties: Iterable[str]) -> str:
    lines = [result]
    for item in properties:
        if len(lines[-1]) + len(item) + 3 > _LINE_OCTETS:
            lines.append(" " + item)
        else:
            lines[-1] += " " + item
    return "\r\n ".join(lines)


def _properties(finding: Finding) -> Iterator[str]:
    for name, value in finding.properties[:PROPERTIES_MAX]:
        safe = _UNSAFE.sub("?", value[:VALUE_CHARACTERS_MAX])
        if safe and _NAME.fullmatch(name):
            yield f"{name}={safe}" if _PLAIN.fullmatch(safe) else f'{name}="{safe}"'
