"""What `pennyred check` asks offices elsewhere: whether they are there, know this gate, and are who they should be."""

import asyncio
from collections.abc import Mapping

from dns.asyncresolver import Resolver

from pennyred.config import Complaint, IssuerSettings, Settings
from pennyred.discovery import find_key_record, key_name, resolver_of
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.programs.log import make_log
from pennyred.programs.office import clock
from pennyred.programs.offices import read_token
from pennyred.web.asking import Asker, Patience
from pennyred.web.client import OfficeClient
from pennyred.web.redeemer import PATH, read_held

PROBE = Patience(deadline_seconds=10, attempt_seconds=10)
KEYS_MAX = 10
"""Of an office, the newest, that are looked up."""
NOTHING = b'{"holds":[]}'
"""A question that changes nothing, and that only a receiver of the office may ask."""

Flaw = tuple[str, str, str]
"""The key in its table, what is wrong, what was expected."""


async def issuer_complaints(settings: Settings) -> list[Complaint]:
    """Each office is asked at the same time as the others."""
    if settings.gate is None:
        return []
    resolver = resolver_of(settings.gate.nameservers)
    found = await asyncio.gather(*(_flaws(issuer, resolver) for issuer in settings.issuer))
    return [
        Complaint(str(settings.file), f"issuer[{place}].{key}", what, expected)
        for place, flaws in enumerate(found)
        for key, what, expected in flaws
    ]


async def _flaws(issuer: IssuerSettings, resolver: Resolver | None) -> list[Flaw]:
    if issuer.token_file is None:
        return []  # said where the settings are read
    try:
        token = read_token(issuer.token_file)
    except (OSError, ValueError) as error:
        text = f"{error.filename} {error.strerror}" if isinstance(error, OSError) else str(error)
        return [("token_file", text, "a file that only the gate's user can read, with the token from that office")]
    flaws = await _redeeming(issuer, token)
    return flaws or await _identity(issuer, resolver)


async def _published(issuer: IssuerSettings, keys: Mapping[str, bytes], resolver: Resolver | None) -> list[Flaw]:
    """Whether DNS has what the office signs with."""
    flaws: list[Flaw] = []
    for selector, key in list(keys.items())[-KEYS_MAX:]:
        name = key_name(issuer.domain, selector)
        try:
            found = await find_key_record(issuer.domain, selector, resolver)
        except Unavailable as error:
            flaws.append(("domain", str(error), f"an answer for {name}, later"))
            continue
        if found.key != key:
            what = "another key is published" if found.key else "no key is published"
            flaws.append(("domain", f"{what} at {name}", "the one that the office says it has, or keys pinned here"))
        elif issuer.dnssec and not found.is_authenticated:
            flaws.append(
                ("dnssec", f"nobody vouches for {name}", "a validating resolver on this machine, a signed zone")
            )
    return flaws


async def _redeeming(issuer: IssuerSettings, token: str) -> list[Flaw]:
    """Whether it redeems for this gate."""
    asker = Asker(issuer.address, token, make_log(), patience=PROBE)
    asker.start()
    try:
        status, answer = await asker.once(PATH + "hold", NOTHING)
    except Unavailable as error:
        return [("url", str(error), "the address of a post office that answers")]
    finally:
        await asker.close()
    if status in (401, 403):
        what = f"{issuer.domain} does not know this token ({status})"
        return [("token_file", what, "the one that `pennyred receiver add` printed there")]
    if status == 429 or status >= 500:
        return [("url", f"{issuer.address} answers {status}", "an answer, later")]
    try:
        is_office = status == 200 and read_held(answer) == []
    except Malformed:
        is_office = False
    return [] if is_office else [("url", f"{issuer.address} answers {status}, as no post office would", "its address")]


async def _identity(issuer: IssuerSettings, resolver: Resolver | None) -> list[Flaw]:
    """Whether it is who the settings say: stamps of another would all be refused."""
    try:
        async with OfficeClient(issuer.address, None, clock=clock, random_bytes=bytes) as client:
            said = await client.info()
    except PennyRedError:
        return []  # it redeems; what it says of itself cannot be asked from here
    if said.issuer != issuer.domain:
        return [("domain", f"{issuer.address} is the post office {said.issuer}", f"{said.issuer}, or another url")]
    if not issuer.keys:
        return await _published(issuer, said.keys, resolver)
    return [
        ("keys", f"{issuer.domain} says that {selector} is another key", "what `pennyred dns` prints there")
        for selector, key in issuer.keys.items()
        if said.keys.get(selector, key) != key
    ]
