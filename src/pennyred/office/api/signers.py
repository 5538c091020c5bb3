"""Who signs a request: a sender, by the key of the account (see `tokens`)."""

from typing import Any

from litestar import Request
from litestar.datastructures import State

from pennyred.http import tokens
from pennyred.office.ledger.protocol import Account
from pennyred.office.office import Office

SCHEME = "sender"
SIGNED: list[dict[str, list[str]]] = [{SCHEME: []}]
"""For the API's description."""

Asked = Request[Any, Any, State]


async def signer(request: Asked, office: Office) -> tokens.Claimed:
    """Who signed this request; raises `BadToken`. Costs no row: any stranger can sign."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise tokens.BadToken("sign the request: Authorization: Bearer <EdDSA JWT of the account's key>")
    query = request.url.query
    target = f"{request.url.path}?{query}" if query else request.url.path
    return tokens.check_token(
        token, tokens.Request(office.issuer, request.method, target, await request.body()), now=office.now
    )


async def require_first(claimed: tokens.Claimed, office: Office) -> None:
    """Raise `BadToken` where this very request has been made before."""
    if not await office.ledger.remember_jti(claimed.unique_id, claimed.expires_at, now=office.now):
        raise tokens.BadToken("this very request has been made before")


async def signing_account(request: Asked, office: Office) -> Account:
    """The account whose key signed this request, for the first time; raises `BadToken`."""
    claimed = await signer(request, office)
    account = await office.ledger.account_by_key(claimed.public_key)
    if account is None:
        raise tokens.BadToken("no account here has this key; open one")
    await require_first(claimed, office)
    return account
