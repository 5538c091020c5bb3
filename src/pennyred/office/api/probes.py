"""Routes of the mirror: a sender opens a probe; whoever has its token reads what was found, as JSON or as a page."""

from html import escape
from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from pennyred.http.probes import Arrival, ProbeOpened, ProbeView
from pennyred.office.api.problems import TooOften, described
from pennyred.office.api.signers import SIGNED, signing_account
from pennyred.office.office import Office, Refusal, Refused
from pennyred.office.probes import Probes

PROBES_PER_MINUTE = 20
"""How many probes a minute one network may open."""
_CLOSED = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The page shows what strangers have written, and whoever has its address may read it."""

Asked = Request[Any, Any, State]


@post("/v1/probes", responses=described(400, 401, 403, 429), security=SIGNED, tags=["senders"])
async def open_probe(request: Asked, state: State) -> ProbeOpened:
    """Open a probe: send a letter with a stamp for its address there by your usual path, and ask what arrived.

    Nothing is spent by it. It is open for an hour, for its first letters.
    """
    office: Office = state.office
    if not state.probes.take(request.client.host if request.client else "", now=office.now):
        raise TooOften(f"at most {PROBES_PER_MINUTE} probes a minute are opened from one network")
    probes = _probes(office)
    account = await signing_account(request, office)
    opened = await probes.open(account.id)
    if opened is None:
        raise TooOften("this account has as many probes open as it may have; each is over after an hour")
    return opened


@get("/v1/probes/{token:str}", responses=described(400, 404), tags=["everybody"])
async def probe(state: State, token: FromPath[str]) -> Response[ProbeView]:
    """What the mirror has found of the letters of a probe. Until one arrives, `arrivals` is empty."""
    return Response(await _found(state.office, token), headers={"Cache-Control": "no-store"})


@get("/probes/{token:str}", media_type=MediaType.HTML, responses=described(400, 404), tags=["everybody"])
async def probe_page(state: State, token: FromPath[str]) -> Response[str]:
    """The same as a plain page, for people."""
    return Response(page_of(await _found(state.office, token)), media_type=MediaType.HTML, headers=_CLOSED)


ROUTES = (open_probe, probe, probe_page)


def _probes(office: Office) -> Probes:
    if office.probes is None:
        raise Refused(Refusal.NO_MIRROR, "this office has no mirror ([office] mirror)")
    return office.probes


async def _found(office: Office, token: str) -> ProbeView:
    found = await office.probes.find(token) if office.probes is not None else None
    if found is None:
        raise NotFoundException("no such probe; each is over after an hour")
    return found


def page_of(view: ProbeView) -> str:
    """The page: what was found of each letter, and what to do."""
    waiting = "" if view.arrivals else "<p>No letter has arrived yet. Load this page again in a while.</p>"
    letters = "".join(_letter(number, one) for number, one in enumerate(view.arrivals, 1))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Penny Red probe</title>'
        "<style>body{font-family:sans-serif;max-width:50em;margin:2em auto}pre{overflow:auto;background:#eee}</style>"
        f"<h1>What arrived at {escape(view.address)}</h1>{waiting}{letters}"
        f"<p>This page is there until {escape(view.expires_at)}. Nothing was delivered or charged.</p></html>"
    )


def _letter(number: int, one: Arrival) -> str:
    taken = {"paid": "takes this letter", "later": "lets this letter wait"}.get(one.verdict, "refuses this letter")
    seen = one.stamp
    facts = {
        "arrived": f"{one.at} from {one.host or one.helo} [{one.source}], {one.size:,} octets",
        "a gate": f"{taken}: {one.sentence} ({one.reason})",
        "a strict gate": one.strict,
        "altered": ", ".join(one.altered) or ("nothing" if seen.stamps else "not known, as there is no stamp"),
        "stamp field": f"{seen.fields} ({seen.form}), stamps: {seen.stamps}" if seen.fields else "gone",
        "author proven": f"{one.proven}: {'; '.join(one.proofs) or 'nothing was looked at'}",
    }
    rows = "".join(f"<tr><th align=left>{escape(name)}<td>{escape(text)}" for name, text in facts.items())
    what = "".join(f"<li>{escape(f'{item.about}: ' if item.about else '')}{escape(item.text)}" for item in one.advice)
    cut = " (its beginning)" if one.is_header_cut else ""
    shown = escape(one.header.encode("latin-1").decode("utf-8", "replace"))
    return (
        f"<h2>Letter {number}</h2><table>{rows}</table><h3>What to do</h3><ul>{what}</ul>"
        f"<h3>Header as received{cut}</h3><pre>{shown}</pre>"
    )
