"""Check the [[issuer]] tables (post offices elsewhere) together with the settings of gate and office."""

from collections.abc import Iterator

from pennyred.config import values
from pennyred.config.settings import GateSettings, IssuerSettings, OfficeSettings

RECIPIENTS_MAX = 1000
"""The highest `max_recipients` with an office over HTTP: it takes so many stamps in one request, as one group."""

Flaw = tuple[str, str, str]
"""A setting's key, what is wrong with it, and what was expected."""


def contradictions_of_issuers(
    gate: GateSettings, office: OfficeSettings | None, issuers: tuple[IssuerSettings, ...]
) -> Iterator[Flaw]:
    """Check that each office whose stamps count can be reached in exactly one way; yields what is wrong."""
    if not gate.issuers:
        yield "gate.issuers", "no post office whose stamps count", "its domain"
    known = {one.domain for one in issuers} | ({office.domain or None} if office is not None else set())
    for issuer in gate.issuers:
        if issuer not in known and None not in known:
            what = f"{issuer} is neither the [office] of this file nor an [[issuer]]"
            yield "gate.issuers", what, "an [[issuer]] table for it"
    for place, one in enumerate(issuers):
        if one.domain:
            yield from _of_one(f"issuer[{place}]", one, gate, office, issuers[:place])
    if issuers and gate.max_recipients > RECIPIENTS_MAX:
        yield "gate.max_recipients", f"{gate.max_recipients} with an [[issuer]]", f"at most {RECIPIENTS_MAX}"


def _of_one(
    name: str,
    issuer: IssuerSettings,
    gate: GateSettings,
    office: OfficeSettings | None,
    before: tuple[IssuerSettings, ...],
) -> Iterator[Flaw]:
    if office is not None and issuer.domain == office.domain:
        yield f"{name}.domain", f"{issuer.domain} is the [office] of this file", "no [[issuer]] table for it"
    elif issuer.domain in {one.domain for one in before}:
        yield f"{name}.domain", f"{issuer.domain} has a table already", "one table for each"
    elif issuer.retired and issuer.domain in gate.issuers:
        yield f"{name}.retired", f"{issuer.domain} is among gate.issuers", "it there, or retired"
    elif not issuer.retired and issuer.domain not in gate.issuers:
        yield f"{name}.domain", f"{issuer.domain} is not among gate.issuers", "it there, or no [[issuer]] table for it"
    if issuer.token_file is None:
        yield (
            f"{name}.token_file",
            "missing",
            "a file with the token that `pennyred receiver add` prints at that office",
        )
    if issuer.keys and issuer.dnssec:
        yield f"{name}.dnssec", "keys are pinned, so that DNS is not asked", "one of keys and dnssec"
    if not values.is_plain_http_safe(issuer.address, is_private_allowed=issuer.allow_http):
        what = "by http to another machine the token could be read by anybody between"
        yield f"{name}.url", what, "https, or allow_http = true in a private network"
