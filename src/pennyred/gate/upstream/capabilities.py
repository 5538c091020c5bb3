"""What several mail servers offer together, and what an envelope needs of a mail server."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pennyred.gate.upstream.endpoint import Capabilities

_PARAMETERS = re.compile(
    rb" (?:(?P<SIZE>SIZE=(?P<bytes>[0-9]{1,20}))|(?P<_8BITMIME>BODY=8BITMIME)|(?P<SMTPUTF8>SMTPUTF8)|"
    rb"(?P<DSN>RET=|ENVID=|NOTIFY=|ORCPT=)|(?P<REQUIRETLS>REQUIRETLS)|(?P<MT_PRIORITY>MT-PRIORITY=))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the parameters of MAIL and RCPT need (RFC 1870, 3461, 6152, 6531, 6710, 8689)."""

    keywords: frozenset[str] = frozenset()
    size: int = 0

    def are_met_by(self, offered: Capabilities) -> bool:
        """Whether a mail server that offers this can take such an envelope."""
        return self.keywords <= offered.keywords and (not offered.size_max or self.size <= offered.size_max)


NO_NEEDS = Needs()


def needs_of(lines: Iterable[bytes]) -> Needs:
    """What these MAIL and RCPT lines need. A quoted mailbox that looks like a parameter only adds a need."""
    keywords = set()
    size = 0
    for line in lines:
        for found in _PARAMETERS.finditer(line):
            if found["bytes"] is not None:
                size = int(found["bytes"])
            else:
                keywords.add((found.lastgroup or "").lstrip("_").replace("_", "-"))
    return Needs(frozenset(keywords), size) if keywords or size else NO_NEEDS


def meeting(offers: Sequence[Capabilities]) -> Capabilities:
    """What all of them offer. Before MAIL it is not known which one gets the letter."""
    first, *others = offers
    keywords, xclient, xforward = first.keywords, first.xclient, first.xforward
    for one in others:
        keywords &= one.keywords
        xclient &= one.xclient
        xforward &= one.xforward
    policies = {one.priorities for one in offers}
    limits = [one.size_max for one in offers if one.size_max]
    return Capabilities(
        keywords, min(limits, default=0), xclient, xforward, policies.pop() if len(policies) == 1 else ""
    )
