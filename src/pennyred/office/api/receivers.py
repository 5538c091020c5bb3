"""The office's routes for gates elsewhere: hold, settle, void, with a receiver's token.

Whoever has the token is the receiver: it may redeem for its domains, and settle or void its own holds. The ledger
enforces both. A receiver is no sender and no administrator. Every stamp is verified here, as gates are not trusted.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Request, Router, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.params import Body

from pennyred.http import messages, redemptions
from pennyred.http.admission import GUEST, Guest
from pennyred.http.tokens import BadToken
from pennyred.office.api import examples
from pennyred.office.api.problems import TooOften, described
from pennyred.office.api.repeats import Caller, Key, require_same
from pennyred.office.ledger.callers import Receiver
from pennyred.office.office import Office
from pennyred.office.redeeming import LedgerRedeemer
from pennyred.postage.redemption import HoldOutcome
from pennyred.postage.stamp import StampKey

SCHEME = "receiver"
PROOFS_PER_MINUTE = 20
"""How many domains a minute one network may prove; for each, this office asks the DNS."""
_OK = 200

Asked = Request[Any, Any, State]
HoldBody = Annotated[redemptions.HoldRequest, Body(examples=examples.HOLD)]
DomainBody = Annotated[messages.DomainRequest, Body(examples=examples.DOMAIN)]
SettleBody = Annotated[redemptions.SettleRequest, Body(examples=examples.SETTLE)]
VoidBody = Annotated[redemptions.VoidRequest, Body(examples=examples.VOID)]


async def require_receiver(connection: ASGIConnection[Any, Any, Any, State], handler: BaseRouteHandler) -> None:  # noqa: ARG001 - a guard's shape
    """Find the receiver whose token the request has, as `state.receiver`; raises `BadToken`.

    It is a guard, so it runs before a stranger's body is read.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadToken("say who you are: Authorization: Bearer <the token that `pennyred receiver add` printed>")
    receiver = await connection.app.state.office.receiver(token)
    if receiver is None:
        raise BadToken("no receiver here has this token")
    connection.state.receiver = receiver
    guest: Guest | None = connection.scope.get("state", {}).get(GUEST)
    if guest is not None and connection.client is not None:
        guest.vouch(connection.client.host)


@post("/hold", status_code=_OK, responses=described(400, 401, 422))
async def hold(request: Asked, state: State, data: HoldBody, idempotency_key: Key = None) -> redemptions.HoldResponse:
    """Reserve the price of stamps. Those of one group are held together or not at all.

    Repeated with the same `tx`, it gives the same answer. For a spent stamp the answer says what it was used for first,
    with the office's receipt.
    """
    redeemer = await _redeemer(request, idempotency_key, are_holds_lasting=data.lasting)
    holds = [redemptions.read_hold(item) for item in data.holds]
    answers = await redeemer.hold(holds, lease_seconds=data.lease_seconds)
    spent = [one.stamp.key for one, answer in zip(holds, answers, strict=True) if answer.outcome is HoldOutcome.SPENT]
    receipts = dict(zip(spent, await _receipts(state.office, spent), strict=True))
    return redemptions.HoldResponse(
        [
            redemptions.write_hold_answer(answer, receipts.get(one.stamp.key, ""))
            for one, answer in zip(holds, answers, strict=True)
        ]
    )


@post("/settle", status_code=_OK, responses=described(400, 401, 422))
async def settle(
    request: Asked, state: State, data: SettleBody, idempotency_key: Key = None
) -> redemptions.SettleResponse:
    """Take the price of held stamps, because the mail server has said 250. It may be repeated without harm.

    A settlement that comes with its stamp is paid by it where no hold is found: a crash may have forgotten it. For each
    settled stamp the answer has the office's receipt.
    """
    redeemer = await _redeemer(request, idempotency_key)
    settles = [redemptions.read_settle(item) for item in data.settles]
    outcomes = await redeemer.settle(settles)
    done = [one.key for one, outcome in zip(settles, outcomes, strict=True) if outcome.is_paid]
    receipts = iter(await _receipts(state.office, done))
    return redemptions.SettleResponse(
        [redemptions.SettleResult(outcome, next(receipts) if outcome.is_paid else "") for outcome in outcomes]
    )


@post("/void", status_code=_OK, responses=described(400, 401, 422))
async def void(request: Asked, data: VoidBody, idempotency_key: Key = None) -> redemptions.VoidResponse:
    """Give back the price of stamps held under this `tx`, because the letter was not delivered. It may be repeated."""
    redeemer = await _redeemer(request, idempotency_key)
    outcomes = await redeemer.void([redemptions.read_void(item) for item in data.voids])
    return redemptions.VoidResponse([redemptions.VoidResult(outcome) for outcome in outcomes])


@post(
    "/v1/receivers/me/domains",
    status_code=_OK,
    responses=described(400, 401, 403, 429),
    security=[{SCHEME: []}],
    tags=["gates"],
    guards=[require_receiver],
)
async def prove_domain(request: Asked, state: State, data: DomainBody) -> messages.ReceiverView:
    """Let this receiver redeem for one more domain, if the TXT record at `_postage.<domain>` allows it.

    Without that record, the refusal says what to publish.
    """
    office: Office = state.office
    receiver: Receiver = request.state.receiver
    if not state.proofs.take(request.client.host if request.client else "", now=office.now):
        raise TooOften(f"at most {PROOFS_PER_MINUTE} domains a minute are looked up for one network")
    domains = await office.prove_domain(receiver, data.domain)
    return messages.ReceiverView(receiver.name, list(domains))


def redemption_routes() -> Router:
    """The routes hold, settle and void, below `/v1/redemptions`."""
    return Router(
        "/v1/redemptions",
        route_handlers=[hold, settle, void],
        security=[{SCHEME: []}],
        request_max_body_size=redemptions.BODY_BYTES_MAX,
        tags=["gates"],
        guards=[require_receiver],
    )


async def _redeemer(request: Asked, key: str | None, *, are_holds_lasting: bool = True) -> LedgerRedeemer:
    """The redeemer for the receiver whose token the request has; raises `KeyReused` and `Malformed`."""
    office: Office = request.app.state.office
    receiver: Receiver = request.state.receiver
    await require_same(request, Caller(office, f"receiver {receiver.name}"), key)
    return office.redeemer(receiver, are_holds_lasting=are_holds_lasting)


async def _receipts(office: Office, stamps: Sequence[StampKey]) -> list[str]:
    return await office.receipts.of(stamps) if stamps else []
