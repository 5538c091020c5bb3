"""Checks the DNS for `pennyred check`: asks each name server for each key that stamped mail may need."""

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver

from pennyred.config import Complaint, Settings
from pennyred.failures import place_name, what
from pennyred.gate.issuers.discovery import key_name, look_up
from pennyred.postage.errors import Unavailable

ANSWER_SECONDS = 6.0
"""The time for one answer: a good resolver needs less, even for a zone that it does not know yet."""
NAMES_MAX = 20
NAMES_SHOWN = 3
NO_NAME_SERVER = "this machine has no name server"
FIRST_SELECTOR = "s1"
"""A selector to ask for. It need not exist: "no such name" is an answer too."""

Server = tuple[str, int]


async def dns_complaints(settings: Settings) -> list[Complaint]:
    """Complaints about name servers that do not answer: letters would be answered "later", and nobody would know why.

    A dead server beside good ones is a complaint too, because each question waits for it first.
    """
    asked: list[tuple[str, tuple[Server, ...], list[str]]] = []
    issuers = [issuer.domain for issuer in settings.issuer]
    if settings.gate is not None:
        names = [key_name(domain, FIRST_SELECTOR) for domain in dict.fromkeys((*settings.gate.issuers, *issuers))]
        asked.append(("gate.nameservers", settings.gate.nameservers, names))
    if settings.office is not None and (settings.gate is None or settings.office.nameservers):
        names = [key_name(settings.office.domain, FIRST_SELECTOR)]
        asked.append(("office.nameservers", settings.office.nameservers, names))
    found: list[Complaint] = []
    for key, nameservers, names in asked:
        flaws = await _flaws(nameservers, names[:NAMES_MAX])
        found += [Complaint(str(settings.file), key, *flaw, is_later=True) for flaw in flaws]
    return found


async def _flaws(nameservers: Sequence[Server], names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of what is wrong with a server, and what was expected."""
    try:
        servers, where = (nameservers, "") if nameservers else (_of_this_machine(), " (/etc/resolv.conf)")
    except dns.exception.DNSException as error:
        return [(what(error), "one in /etc/resolv.conf, or here")]
    if not servers:
        return [(NO_NAME_SERVER, "one in /etc/resolv.conf, or here")]
    answers = await asyncio.gather(*(_unanswered(server, names) for server in servers))
    return [
        (f"the name server {_shown(server)}{where} {text}", "an answer: without it letters are told to come again")
        for server, text in zip(servers, answers, strict=True)
        if text
    ]


def _of_this_machine() -> list[Server]:
    resolver = dns.asyncresolver.Resolver()
    return [(str(getattr(one, "address", one)), getattr(one, "port", resolver.port)) for one in resolver.nameservers]


async def _unanswered(server: Server, names: Sequence[str]) -> str:
    """What the server does not answer, in words; empty if it answers everything.

    TCP is tried too: long answers (twenty TXT records, for SPF) come only so, and those senders would be answered
    "later" for ever.
    """
    failed = [text for text in await asyncio.gather(*(_ask(server, name) for name in names)) if text]
    if names and not failed and (text := await _ask(server, names[0], is_tcp=True)):
        return f"{text}, when asked by TCP, as it is for long answers"
    more = f"; nor for {len(failed) - NAMES_SHOWN} names more" if len(failed) > NAMES_SHOWN else ""
    return "; ".join(failed[:NAMES_SHOWN]) + more


async def _ask(server: Server, name: str, *, is_tcp: bool = False) -> str:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(*server)]
    try:
        await look_up(name, resolver, lifetime_seconds=ANSWER_SECONDS, is_tcp=is_tcp)
    except Unavailable as error:
        why = f": {what(error.__cause__)}" if error.__cause__ else ""
        return f"does not answer for {name}{why}"
    return ""


def _shown(server: Server) -> str:
    host, port = server
    return host if port == 53 else place_name(host, port)
