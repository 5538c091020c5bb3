"""The office's routes for senders' commands, and what it tells everybody about itself."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import Body, Parameter

from pennyred.http import messages, tokens
from pennyred.office.api import examples
from pennyred.office.api.problems import TooOften, described
from pennyred.office.api.repeats import Caller, Key, answered_once
from pennyred.office.api.signers import SIGNED, require_first, signer, signing_account
from pennyred.office.ledger.protocol import PAGE_MAX
from pennyred.office.office import Office
from pennyred.postage.encoding import encode_base64
from pennyred.postage.errors import Malformed

OPENINGS_PER_MINUTE = 20
"""How many accounts a minute one network may open; each is a row in the ledger for ever."""
ENTRY_ID_MAX = 2**63 - 1

Asked = Request[Any, Any, State]
OpenBody = Annotated[messages.OpenRequest, Body(examples=examples.OPEN)]
PurchaseBody = Annotated[messages.PurchaseRequest, Body(examples=examples.PURCHASE)]


@get("/.well-known/pennyred", sync_to_thread=False, tags=["everybody"])
def issuer(state: State) -> messages.Issuer:
    """Which office this is, its public keys with their selectors, its price in stamps, and its mirror."""
    office: Office = state.office
    keys = [
        messages.PublicKey(selector, encode_base64(key).decode()) for selector, key in office.keys.public_keys.items()
    ]
    mirror = "" if office.probes is None else office.probes.mailbox
    return messages.Issuer(office.issuer, keys, office.price, list(messages.ABILITIES), mirror)


@get("/healthz", media_type="text/plain", responses=described(), tags=["everybody"])
async def health(state: State) -> str:
    """Whether the office can reach its ledger."""
    office: Office = state.office
    await office.ledger.account("office:sales")
    return "ok\n"


@post("/v1/accounts", responses=described(400, 401, 403, 422, 429), security=SIGNED, tags=["senders"])
async def open_account(request: Asked, state: State, data: OpenBody, idempotency_key: Key = None) -> messages.Opened:
    """Open an account for the key that signs the request. If the key has an account, that is the answer."""
    office: Office = state.office
    if not state.openings.take(request.client.host if request.client else "", now=office.now):
        raise TooOften(f"at most {OPENINGS_PER_MINUTE} accounts a minute are opened from one network")
    claimed = await signer(request, office)
    if _decoded(data.key) != claimed.public_key:
        raise tokens.BadToken("the request is signed with another key than the one it opens an account for")
    await require_first(claimed, office)

    async def opened() -> messages.Opened:
        account, licence = await office.open_account(data.address, claimed.public_key)
        return messages.Opened(account.id, account.address, licence.encoded.decode())

    return await answered_once(request, Caller(office, f"key {data.key}"), idempotency_key, messages.Opened, opened)


@get("/v1/accounts/me", responses=described(401), security=SIGNED, tags=["senders"])
async def own_account(request: Asked, state: State) -> messages.AccountView:
    """The account's state: stamps available, held for letters under way, and spent."""
    account = await signing_account(request, state.office)
    return messages.AccountView(account.id, account.address, account.available, account.held, account.spent)


@get("/v1/accounts/me/entries", responses=described(400, 401), security=SIGNED, tags=["senders"])
async def own_entries(
    request: Asked, state: State, after: int = Parameter(default=0, ge=0, le=ENTRY_ID_MAX)
) -> messages.Entries:
    """One page of the account's statement, oldest first; pass `next` as `after` to get the next page."""
    account = await signing_account(request, state.office)
    entries = await state.office.ledger.entries(account.id, after=after, limit=PAGE_MAX)
    views = [
        messages.EntryView(_rfc3339(one.at), one.kind.value, one.stamps, one.balance, one.detail) for one in entries
    ]
    return messages.Entries(views, entries[-1].id if len(entries) == PAGE_MAX else None)


@post("/v1/accounts/me/licence", responses=described(401, 403), security=SIGNED, tags=["senders"])
async def renew_licence(request: Asked, state: State) -> messages.LicenceView:
    """Make a fresh licence for the account."""
    account = await signing_account(request, state.office)
    return messages.LicenceView(state.office.licence(account).encoded.decode())


@post("/v1/purchases", responses=described(400, 401, 403, 422), security=SIGNED, tags=["senders"])
async def purchase(request: Asked, state: State, data: PurchaseBody, idempotency_key: Key = None) -> messages.Purchase:
    """Buy stamps with a voucher. Repeated by the same account, it credits nothing more and gives the same answer."""
    office: Office = state.office
    account = await signing_account(request, office)
    if data.method != "voucher":
        raise Malformed("method: the only way to pay here is a voucher")

    async def bought() -> messages.Purchase:
        stamps = await office.redeem_voucher(account.id, data.code)
        return messages.Purchase(stamps, (await office.account(account.id)).available)

    return await answered_once(
        request, Caller(office, f"account {account.id}"), idempotency_key, messages.Purchase, bought
    )


ROUTES = (issuer, health, open_account, own_account, own_entries, renew_licence, purchase)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("key: not base64") from error


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
