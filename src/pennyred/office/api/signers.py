"""Find out which sender signed a request with the key of the account (see `tokens`)."""

from typing import Any

from litestar import Request
from litestar.datastructures import State

from pennyred.http import tokens
from pennyred.office.ledger.protocol import Account
from pennyred.office.office import Office

SCHEME = "sender"
SIGNED: list[dict[str, list[str]]] = [{SCHEME: []}]
"""Marks a route as signed, in the API's description."""

Asked = Request[Any, Any, State]


async def signer(request: Asked, office: Office) -> tokens.Claimed:
    """Check who signed this request; raises `BadToken`. Nothing is stored, as any stranger can sign with some key."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise tokens.BadToken("sign the request: Authorization: Bearer <EdDSA JWT of the account's key>")
    query = request.url.query
    target = f"{request.url.path}?{query}" if query else request.url.path
    return tokens.check_token(
        token, tokens.Request(office.issuer, request.method, target, await request.body()), now=office.now
    )


async def require_first(claimed: tokens.Claimed, office: Office) -> None:
    """Raise `BadToken` if this token was used before."""
    if not await office.ledger.remember_jti(claimed.unique_id, claimed.expires_at, now=office.now):
        raise tokens.BadToken("this very request has been made before")


async def signing_account(request: Asked, office: Office) -> Account:
    """The account whose key signed this request; raises `BadToken` if there is none, or the token was used before."""
    claimed = await signer(request, office)
    account = await office.ledger.account_by_key(claimed.public_key)
    if account is None:
        raise tokens.BadToken("no account here has this key; open one")
    await require_first(claimed, office)
    return account
