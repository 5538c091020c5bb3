"""The office's HTTP API: what a sender's commands need (CONTRACT: HTTP), described by itself at /v1/openapi.json."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import Body, Parameter

from pennyred.ledger.protocol import PAGE_MAX, Account
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Malformed
from pennyred.services.office import Office
from pennyred.web import messages, tokens
from pennyred.web.limits import PerMinute
from pennyred.web.problems import TooOften, described, handlers

BODY_BYTES_MAX = 64 * 1024
OPENINGS_PER_MINUTE = 20
"""From one network: an account costs a row for ever."""
ENTRY_ID_MAX = 2**63 - 1
_SCHEME = "sender"

Asked = Request[Any, Any, State]
OpenBody = Annotated[messages.OpenRequest, Body()]
PurchaseBody = Annotated[messages.PurchaseRequest, Body()]


@get("/.well-known/pennyred", sync_to_thread=False)
def issuer(state: State) -> messages.Issuer:
    """Which office this is, its public keys by selector, and the price it announces."""
    office: Office = state.office
    keys = [
        messages.PublicKey(selector, encode_base64(key).decode()) for selector, key in office.keys.public_keys.items()
    ]
    return messages.Issuer(office.issuer, keys, office.price)


@get("/healthz", media_type="text/plain", responses=described())
async def health(state: State) -> str:
    """Whether the office can reach its ledger."""
    office: Office = state.office
    await office.ledger.account("office:sales")
    return "ok\n"


@post("/v1/accounts", responses=described(400, 401, 403, 429), security=[{_SCHEME: []}])
async def open_account(request: Asked, state: State, data: OpenBody) -> messages.Opened:
    """Open an account for the key that signs the request, or answer the one it has."""
    office: Office = state.office
    if not state.openings.take(request.client.host if request.client else "", now=office.now):
        raise TooOften(f"at most {OPENINGS_PER_MINUTE} accounts a minute are opened from one network")
    claimed = await _signed(request, office)
    if _decoded(data.key) != claimed.public_key:
        raise tokens.BadToken("the request is signed with another key than the one it opens an account for")
    await _once(claimed, office)
    account, licence = await office.open_account(data.address, claimed.public_key)
    return messages.Opened(account.id, account.address, licence.encoded.decode())


@get("/v1/accounts/me", responses=described(401), security=[{_SCHEME: []}])
async def own_account(request: Asked, state: State) -> messages.AccountView:
    """What the account has."""
    account = await _account(request, state.office)
    return messages.AccountView(account.id, account.address, account.available, account.held, account.spent)


@get("/v1/accounts/me/entries", responses=described(400, 401), security=[{_SCHEME: []}])
async def own_entries(
    request: Asked, state: State, after: int = Parameter(default=0, ge=0, le=ENTRY_ID_MAX)
) -> messages.Entries:
    """A page of the account's statement, oldest first; `next` is what to ask `after` for the following page."""
    account = await _account(request, state.office)
    entries = await state.office.ledger.entries(account.id, after=after, limit=PAGE_MAX)
    views = [
        messages.EntryView(_rfc3339(one.at), one.kind.value, one.stamps, one.balance, one.detail) for one in entries
    ]
    return messages.Entries(views, entries[-1].id if len(entries) == PAGE_MAX else None)


@post("/v1/accounts/me/licence", responses=described(401, 403), security=[{_SCHEME: []}])
async def renew_licence(request: Asked, state: State) -> messages.LicenceView:
    """A fresh licence."""
    account = await _account(request, state.office)
    return messages.LicenceView(state.office.licence(account).encoded.decode())


@post("/v1/purchases", responses=described(400, 401, 403), security=[{_SCHEME: []}])
async def purchase(request: Asked, state: State, data: PurchaseBody) -> messages.Purchase:
    """Buy postage with a voucher; repeated by the same account, it credits nothing more and answers the same."""
    office: Office = state.office
    account = await _account(request, office)
    if data.method != "voucher":
        raise Malformed("method: the only way to pay here is a voucher")
    bought = await office.redeem_voucher(account.id, data.code)
    return messages.Purchase(bought, (await office.account(account.id)).available)


def make_app(office: Office, log: Any = None) -> Litestar:
    """The application of one office; `log` hears of our own mistakes."""
    return Litestar.from_config(
        AppConfig(
            route_handlers=[issuer, health, open_account, own_account, own_entries, renew_licence, purchase],
            state=State({"office": office, "log": log, "openings": PerMinute(OPENINGS_PER_MINUTE)}),
            request_max_body_size=BODY_BYTES_MAX,
            openapi_config=OpenAPIConfig(
                title="Penny Red post office",
                version="1",
                path="/v1",
                render_plugins=[JsonRenderPlugin()],
                components=Components(security_schemes={_SCHEME: _security_scheme()}),
            ),
            exception_handlers=handlers(),
        )
    )


def _security_scheme() -> SecurityScheme:
    return SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="EdDSA JWT of the account's Ed25519 key, which is in its header's jwk: aud the issuer, htm the "
        "method, htu the path and query, bh the SHA-256 of the body in base64url, exp at most 60 s away, a new jti.",
    )


async def _signed(request: Asked, office: Office) -> tokens.Claimed:
    """Who signed this request; raises `BadToken`. Costs no row: any stranger can sign."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise tokens.BadToken("sign the request: Authorization: Bearer <EdDSA JWT of the account's key>")
    query = request.url.query
    target = f"{request.url.path}?{query}" if query else request.url.path
    return tokens.check_token(
        token, tokens.Request(office.issuer, request.method, target, await request.body()), now=office.now
    )


async def _once(claimed: tokens.Claimed, office: Office) -> None:
    """Raise `BadToken` where this very request has been made before."""
    if not await office.ledger.remember_jti(claimed.token_id, claimed.expires_at, now=office.now):
        raise tokens.BadToken("this very request has been made before")


async def _account(request: Asked, office: Office) -> Account:
    """The account whose key signed this request, for the first time; raises `BadToken`."""
    claimed = await _signed(request, office)
    account = await office.ledger.account_by_key(claimed.public_key)
    if account is None:
        raise tokens.BadToken("no account here has this key; open one")
    await _once(claimed, office)
    return account


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("key: not base64") from error


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
