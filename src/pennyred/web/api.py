"""The office's HTTP API: what a sender's commands need, described by itself at /v1/openapi.json."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

from pennyred.ledger.protocol import Account
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.services.office import Office, Refused
from pennyred.web import messages, tokens

BODY_BYTES_MAX = 64 * 1024
OPENINGS_PER_MINUTE = 20
"""From one address: an account costs a row for ever."""

T = TypeVar("T")
Asked = Request[Any, Any, State]


@get("/.well-known/pennyred", sync_to_thread=False)
def issuer(state: State) -> messages.Issuer:
    """Which office this is, its public keys by selector, and the price it announces."""
    office: Office = state.office
    keys = [
        messages.PublicKey(selector, encode_base64(key).decode()) for selector, key in office.keys.public_keys.items()
    ]
    return messages.Issuer(office.issuer, keys, office.price)


@get("/healthz", media_type="text/plain")
async def health(state: State) -> str:
    """Whether the office can reach its ledger."""
    office: Office = state.office
    await office.ledger.account("office:sales")
    return "ok\n"


@post("/v1/accounts", middleware=[RateLimitConfig(rate_limit=("minute", OPENINGS_PER_MINUTE)).middleware])
async def open_account(request: Asked, state: State) -> messages.Opened:
    """Open an account for the key that signs the request, or answer the one it has."""
    office: Office = state.office
    claimed = await _authenticated(request, office)
    asked = await _body(request, messages.OpenRequest)
    if _decoded(asked.key) != claimed.public_key:
        raise tokens.BadToken("the request is signed with another key than the one it opens an account for")
    account, licence = await office.open_account(asked.address, claimed.public_key)
    return messages.Opened(account.id, account.address, licence.encoded.decode())


@get("/v1/accounts/me")
async def own_account(request: Asked, state: State) -> messages.AccountView:
    """What the account has."""
    account = await _account(request, state.office)
    return messages.AccountView(account.id, account.address, account.available, account.held, account.spent)


@get("/v1/accounts/me/entries")
async def own_entries(request: Asked, state: State) -> messages.Entries:
    """The account's statement, oldest first."""
    account = await _account(request, state.office)
    entries = await state.office.entries(account.id)
    return messages.Entries(
        [messages.EntryView(_rfc3339(one.at), one.kind.value, one.stamps, one.balance, one.detail) for one in entries]
    )


@post("/v1/accounts/me/licence")
async def renew_licence(request: Asked, state: State) -> messages.LicenceView:
    """A fresh licence."""
    account = await _account(request, state.office)
    return messages.LicenceView(state.office.licence(account).encoded.decode())


@post("/v1/purchases")
async def purchase(request: Asked, state: State) -> messages.Purchase:
    """Buy postage with a voucher; repeated by the same account, it credits nothing more and answers the same."""
    office: Office = state.office
    account = await _account(request, office)
    asked = await _body(request, messages.PurchaseRequest)
    if asked.method != "voucher":
        raise Malformed("method: the only way to pay here is a voucher")
    bought = await office.redeem_voucher(account.id, asked.code)
    return messages.Purchase(bought, (await office.account(account.id)).available)


def make_app(office: Office) -> Litestar:
    """The application of one office."""
    handlers: Sequence[ControllerRouterHandler] = (
        issuer,
        health,
        open_account,
        own_account,
        own_entries,
        renew_licence,
        purchase,
    )
    return Litestar.from_config(
        AppConfig(
            route_handlers=list(handlers),
            state=State({"office": office}),
            request_max_body_size=BODY_BYTES_MAX,
            openapi_config=OpenAPIConfig(
                title="Penny Red post office", version="1", path="/v1", render_plugins=[JsonRenderPlugin()]
            ),
            exception_handlers={
                Refused: _refused,
                tokens.BadToken: _bad_token,
                Malformed: _malformed,
                Unavailable: _unavailable,
                HTTPException: _http,
                Exception: _internal,
            },
        )
    )


async def _authenticated(request: Asked, office: Office) -> tokens.Claimed:
    """Who signed this request, for the first time; raises `BadToken`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise tokens.BadToken("sign the request: Authorization: Bearer <EdDSA JWT of the account's key>")
    for_this = tokens.Request(office.issuer, request.method, request.url.path, await request.body())
    claimed = tokens.check_token(token, for_this, now=office.now)
    if not await office.ledger.remember_jti(claimed.token_id, claimed.expires_at, now=office.now):
        raise tokens.BadToken("this very request has been made before")
    return claimed


async def _account(request: Asked, office: Office) -> Account:
    claimed = await _authenticated(request, office)
    account = await office.ledger.account_by_key(claimed.public_key)
    if account is None:
        raise tokens.BadToken("no account here has this key; open one")
    return account


async def _body(request: Asked, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=kind, strict=True)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"body: {error}") from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("key: not base64") from error


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _problem(status: int, reason: str, title: str, detail: str) -> Response[Any]:
    problem = messages.Problem("about:blank", title, status, reason, detail)
    return Response(problem, status_code=status, media_type="application/problem+json")


def _refused(_: Asked, error: Refused) -> Response[Any]:
    return _problem(403, error.reason.value, "Refused", str(error))


def _bad_token(_: Asked, error: tokens.BadToken) -> Response[Any]:
    return _problem(401, "bad-token", "Not signed as it must be", str(error))


def _malformed(_: Asked, error: Malformed) -> Response[Any]:
    return _problem(400, "malformed", "Malformed request", str(error))


def _unavailable(_: Asked, error: Unavailable) -> Response[Any]:
    response = _problem(503, error.reason.value, "Try again later", error.reason.sentence)
    response.headers["Retry-After"] = "10"
    return response


def _http(_: Asked, error: HTTPException) -> Response[Any]:
    reason = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 429: "too-many-requests"}
    name = reason.get(error.status_code, "malformed")
    response = _problem(error.status_code, name, name.replace("-", " ").capitalize(), error.detail[:500])
    response.headers.update(error.headers or {})
    return response


def _internal(request: Asked, error: Exception) -> Response[Any]:
    """Our own mistake: its text goes to the log, never to a stranger."""
    log = getattr(request.app.state, "log", None)
    if log is not None:
        log.error("internal error", path=request.url.path, error=repr(error))
    return _problem(500, "internal", "Internal error", "something broke here; it has been written down")
