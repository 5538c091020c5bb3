"""What was found out about a letter's origin, as words of `Authentication-Results` (RFC 8601 section 2.2).

Values come from strangers: nothing but printable ASCII gets through, quoted where it is no plain word, and bounded.
"""

import re
from collections.abc import Iterator, Sequence

from pennyred.gate.rules.origin import Finding

FINDINGS_MAX = 20
PROPERTIES_MAX = 6
VALUE_CHARACTERS_MAX = 253
_LINE_OCTETS = 78

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,40}")
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]+(?:@[A-Za-z0-9_.-]+)?")
_UNSAFE = re.compile(r'[^ -~]|["\\]')


def resinfos(findings: Sequence[Finding]) -> list[str]:
    """One text a finding, like `spf=pass smtp.mailfrom=example.org`: to stand behind `;` and CRLF SP in the field.

    Longer than a line they are folded, with CRLF and two spaces, between properties; no line has more than 300 octets.
    """
    return [_resinfo(finding) for finding in findings[:FINDINGS_MAX] if _NAME.fullmatch(finding.method)]


def _resinfo(finding: Finding) -> str:
    lines = [f"{finding.method}={finding.result}"]
    for item in _properties(finding):
        if len(lines[-1]) + len(item) + 2 > _LINE_OCTETS:
            lines.append(" " + item)
        else:
            lines[-1] += " " + item
    return "\r\n ".join(lines)


def _properties(finding: Finding) -> Iterator[str]:
    for name, value in finding.properties[:PROPERTIES_MAX]:
        safe = _UNSAFE.sub("?", value[:VALUE_CHARACTERS_MAX])
        if safe and _NAME.fullmatch(name):
            yield f"{name}={safe}" if _PLAIN.fullmatch(safe) else f'{name}="{safe}"'
