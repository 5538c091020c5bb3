"""Hints of `pennyred check`: settings that are not wrong, but that an admin should think about."""

import asyncio
from itertools import islice
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.resolver

from pennyred.config import Complaint, GateSettings, Settings
from pennyred.gate.issuers.discovery import resolver_of
from pennyred.gate.memory.leftbehind import knows_anybody
from pennyred.gate.quarantine.folder import LETTER_SHARE
from pennyred.postage.errors import Unavailable
from pennyred.programs.checks.completing import SETTING, completing_listeners
from pennyred.programs.policy import gate_aliases, gate_hostname
from pennyred.storage.postgres import shown

OLD_STATE = "gate.db"
"""What a state is called that no setting names."""
DOMAINS_MAX = 20
NAMED_MAX = 5
_LIFETIME_SECONDS = 5.0


async def all_hints(settings: Settings, resolver: dns.asyncresolver.Resolver | None = None) -> list[Complaint]:
    """All hints about settings that fit together only in some cases."""
    gate = settings.gate
    if gate is None:
        return []
    hints = (
        *_fronts(gate),
        *_shares(gate),
        *_wanted(gate),
        *_aliases(gate),
        *_left_behind(settings, gate),
        *await _completing(gate),
        *await _other_mxs(gate, resolver),
    )
    return [Complaint(str(settings.file), *hint) for hint in hints]


def _fronts(gate: GateSettings) -> list[tuple[str, str, str]]:
    if not gate.trusted_fronts or gate.mixed != "split" or gate.fronts_speak == "proxy":
        return []  # a PROXY front passes bytes on, and takes no letter itself
    what = 'mixed is "split" behind trusted_fronts'
    those = "Haraka's smtp_forward, Postfix with speed_adjust; the log names it: smtp.split_given_up"
    return [("gate.mixed", what, f'"reject" if a front takes whole letters first ({those})')]


def _shares(gate: GateSettings) -> list[tuple[str, str, str]]:
    """Hint if workers share too few connections to a mail server: with a single one, half cannot be left free."""
    enough = 2 * gate.workers
    if gate.workers == 1 or gate.upstream_connections >= enough:
        return []
    what = "less than two for each worker, so clients of one network may use them all"
    return [("gate.upstream_connections", what, f"at least {enough}, or fewer workers")]


def _wanted(gate: GateSettings) -> list[tuple[str, str, str]]:
    """Hint at settings that a gate which refuses mail should have, so that no wanted mail is lost."""
    found = []
    if gate.mode != "monitor" and gate.quarantine is None:
        found.append(("gate.quarantine", "what is refused is gone", "[gate.quarantine], for the first months at least"))
    if gate.quarantine is not None and gate.quarantine.max_size // LETTER_SHARE < gate.max_size:
        what = f"letters of more than a part of it in {LETTER_SHARE} are not refused but told to come again"
        found.append(("gate.quarantine.max_size", what, f"{LETTER_SHARE} times gate.max_size at least"))
    if gate.mode != "monitor" and gate.outgoing is None:
        what = "whom your users write to is not learned"
        found.append(("gate.outgoing", what, "[gate.outgoing], or `pennyred correspondents import` from time to time"))
    return found


def _aliases(gate: GateSettings) -> list[tuple[str, str, str]]:
    """Hint at aliases that lead nowhere, or to more recipients than a stamp pays for."""
    aliases = gate_aliases(gate)
    circles = (" leads to ".join([*one, one[0]]) for one in aliases.circles())
    found = [("gate.alias_maps", one, "no circle: its mail arrives nowhere") for one in islice(circles, NAMED_MAX)]
    divided = list(islice(aliases.divided(), NAMED_MAX + 1))
    if divided:
        names = ", ".join(divided[:NAMED_MAX]) + (" and others" if len(divided) > NAMED_MAX else "")
        what = f"{names} stand for several addresses, and a stamp pays one recipient"
        found.append(("gate.alias_maps", what, "an alias that is resolved behind the gate, and is not in its maps"))
    return found


def _left_behind(settings: Settings, gate: GateSettings) -> list[tuple[str, str, str]]:
    """A state that gates share begins empty, and then nobody is known whose mail was wanted the day before."""
    old, new = settings.file.parent / OLD_STATE, gate.state
    if isinstance(new, Path):
        return []
    try:
        if not knows_anybody(old) or knows_anybody(new):
            return []
    except Unavailable:  # of the new one the probes say so
        return []
    what = f"{shown(new)} knows nobody, and {old} beside it knows whose mail is wanted"
    return [("gate.state", what, f"`pennyred state copy sqlite:///{old} {shown(new)}`, with the gate stopped")]


async def _completing(gate: GateSettings) -> list[tuple[str, str, str]]:
    """Hint at a mail server that changes letters: signatures break, and nobody would look for the cause there."""
    ways = [("gate.upstream", gate.upstream)]
    if gate.outgoing is not None:
        ways.append(("gate.outgoing.upstream", gate.outgoing.upstream))
    found = []
    for key, urls in ways:
        for listener in await completing_listeners(urls):
            what = f"Postfix's listener {listener} completes letters (Date, Message-ID, domains), which breaks DKIM"
            found.append((key, what, f"-o {SETTING}= on that listener (config/postfix)"))
    return found


async def _other_mxs(gate: GateSettings, resolver: dns.asyncresolver.Resolver | None) -> list[tuple[str, str, str]]:
    """Hint at other MX hosts: spam uses one without a gate, and which have a gate cannot be seen from here."""
    hostname = gate_hostname(gate).lower()
    domains = gate.domains[:DOMAINS_MAX]
    if not domains:
        return []
    try:
        resolver = resolver or resolver_of(gate.nameservers) or dns.asyncresolver.Resolver()
    except dns.exception.DNSException:  # no name server: the probes report that
        return []
    of_all = await asyncio.gather(*(_mail_exchangers(domain, resolver) for domain in domains))
    found = []
    for domain, hosts in zip(domains, of_all, strict=True):
        if not hosts:
            continue
        others = sorted(set(hosts) - {hostname})
        if hostname not in hosts:
            found.append(("gate.hostname", f"{hostname} is no MX of {domain}", f"one of {', '.join(others)}"))
        elif others:
            what = f"{', '.join(others)} receives for {domain} too"
            found.append(("gate.domains", what, "a gate there as well, with the same pass_key"))
    return found


async def _mail_exchangers(domain: str, resolver: dns.asyncresolver.Resolver) -> list[str]:
    """The names of a domain's mail servers; empty if the DNS does not tell."""
    try:
        answer = await resolver.resolve(domain, "MX", lifetime=_LIFETIME_SECONDS)
    except (dns.exception.DNSException, OSError, ValueError):
        return []
    return [str(record.exchange).rstrip(".").lower() for record in answer]
