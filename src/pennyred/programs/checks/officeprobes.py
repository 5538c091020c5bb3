"""Checks offices on other machines: whether they answer, know this gate, and are the ones that the settings name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dns.asyncresolver import Resolver

from pennyred.config import Complaint, IssuerSettings, Settings
from pennyred.failures import lasts, told
from pennyred.gate.issuers.asking import Asker, Patience
from pennyred.gate.issuers.discovery import find_key_record, key_name, resolver_of
from pennyred.gate.issuers.http import PATH, read_held
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.programs.clock import clock
from pennyred.programs.issuer_ways import read_token
from pennyred.programs.log import make_log
from pennyred.sender.client import OfficeClient

PROBE = Patience(deadline_seconds=10, attempt_seconds=10)
KEYS_MAX = 10
"""The most keys of an office that are looked up, the newest first."""
NOTHING = b'{"holds":[]}'
"""A question that changes nothing, but that only a known receiver may ask."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with one `[[issuer]]` table."""

    key: str
    what: str
    expected: str
    is_later: bool = False
    """Whether it is only that something does not answer now."""


async def issuer_complaints(settings: Settings) -> list[Complaint]:
    """Complaints about all offices, which are asked in parallel."""
    if settings.gate is None:
        return []
    resolver = resolver_of(settings.gate.nameservers)
    found = await asyncio.gather(*(_flaws(issuer, resolver) for issuer in settings.issuer))
    return [
        Complaint(str(settings.file), f"issuer[{place}].{flaw.key}", flaw.what, flaw.expected, flaw.is_later)
        for place, flaws in enumerate(found)
        for flaw in flaws
    ]


async def _flaws(issuer: IssuerSettings, resolver: Resolver | None) -> list[Flaw]:
    if issuer.token_file is None:
        return []  # reported when the settings are read
    try:
        token = read_token(issuer.token_file)
    except (OSError, ValueError) as error:
        text = told(error).partition("; ")[0] if isinstance(error, OSError) else str(error)
        return [Flaw("token_file", text, "a file that only the gate's user can read, with the token from that office")]
    flaws = await _redeeming(issuer, token)
    return flaws or await _identity(issuer, resolver)


async def _published(issuer: IssuerSettings, keys: Mapping[str, bytes], resolver: Resolver | None) -> list[Flaw]:
    """Flaws of the DNS: whether it has the keys that the office signs with."""
    newest = list(keys.items())[-KEYS_MAX:]
    found = await asyncio.gather(*(_flaw_of(issuer, selector, key, resolver) for selector, key in newest))
    return [flaw for flaw in found if flaw is not None]


async def _flaw_of(issuer: IssuerSettings, selector: str, key: bytes, resolver: Resolver | None) -> Flaw | None:
    name = key_name(issuer.domain, selector)
    try:
        found = await find_key_record(issuer.domain, selector, resolver)
    except Unavailable as error:
        return Flaw("domain", _text(error), f"an answer for {name}, later", is_later=True)
    if found.key != key:
        what = "another key is published" if found.key else "no key is published"
        return Flaw("domain", f"{what} at {name}", "the one that the office says it has, or keys pinned here")
    if issuer.dnssec and not found.is_authenticated:
        return Flaw("dnssec", f"nobody vouches for {name}", "a validating resolver on this machine, a signed zone")
    return None


async def _redeeming(issuer: IssuerSettings, token: str) -> list[Flaw]:
    """Flaws of redeeming: whether the office redeems for this gate."""
    asker = Asker(issuer.address, token, make_log(), patience=PROBE)
    asker.start()
    try:
        status, answer = await asker.once(PATH + "hold", NOTHING)
    except Unavailable as error:
        return [Flaw("url", _text(error), "the address of a post office that answers", is_later=not lasts(error))]
    finally:
        await asker.close()
    if status in (401, 403):
        what = f"{issuer.domain} does not know this token ({status})"
        return [Flaw("token_file", what, "the one that `pennyred receiver add` printed there")]
    if status == 429 or status >= 500:
        return [Flaw("url", f"{issuer.address} answers {status}", "an answer, later", is_later=True)]
    try:
        is_office = status == 200 and read_held(answer) == []
    except Malformed:
        is_office = False
    what = f"{issuer.address} answers {status}, as no post office would"
    return [] if is_office else [Flaw("url", what, "its address")]


async def _identity(issuer: IssuerSettings, resolver: Resolver | None) -> list[Flaw]:
    """Flaws of identity: if the office is not the one in the settings, all its stamps would be refused."""
    try:
        client = OfficeClient(issuer.address, None, clock=clock, random_bytes=bytes, allow_http=issuer.allow_http)
        async with client:
            said = await client.info()
    except PennyRedError as error:
        expected = "/.well-known/pennyred there, as the office's API has it"
        return [Flaw("url", f"who it is cannot be asked: {_text(error)}", expected, is_later=not lasts(error))]
    if said.issuer != issuer.domain:
        return [Flaw("domain", f"{issuer.address} is the post office {said.issuer}", f"{said.issuer}, or another url")]
    if not issuer.keys:
        return await _published(issuer, said.keys, resolver)
    return [
        Flaw("keys", f"{issuer.domain} says that {selector} is another key", "what `pennyred dns` prints there")
        for selector, key in issuer.keys.items()
        if said.keys.get(selector, key) != key
    ]


def _text(error: Exception) -> str:
    """The text of an error, without its advice: the complaint says what is expected."""
    return str(error).partition("; ")[0]
