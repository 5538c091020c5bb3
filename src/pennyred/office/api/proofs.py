"""Routes by which others can check the office: published totals, receipts for a sender's stamps, revoked licences."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import Body, QueryParameter

from pennyred.http import messages
from pennyred.office.api import examples
from pennyred.office.api.problems import described
from pennyred.office.api.signers import SIGNED, signing_account
from pennyred.office.office import Office
from pennyred.postage.encoding import INTEGER_MAX, decode_base64, encode_base64
from pennyred.postage.proofs.chain import GENESIS, BatchHead, Totals

Asked = Request[Any, Any, State]
ReceiptsBody = Annotated[messages.ReceiptsRequest, Body(examples=examples.RECEIPTS)]


@get("/v1/totals", responses=described(), tags=["everybody"])
async def totals(state: State) -> messages.TotalsView:
    """How many stamps were ever sold, settled and refunded, and how many are outstanding.

    The totals are in the newest head of the journal's chain, signed as receipts are (STAMP.md 13). Whoever keeps them
    can show later if the office has changed its past.
    """
    office: Office = state.office
    head = await office.ledger.head() or BatchHead(0, 0, Totals(), 0, GENESIS, GENESIS)
    selector, signature = office.receipts.signature(head)
    sums = head.totals
    return messages.TotalsView(
        office.issuer, sums.sold, sums.settled, sums.refunded, sums.outstanding, head.number, head.at,
        _text(head.hash), selector, _text(signature),
        [messages.EpochView(_text(one.id), one.follows, one.at) for one in head.epochs],
    )  # fmt: skip


@post("/v1/accounts/me/receipts", status_code=200, responses=described(400, 401), security=SIGNED, tags=["senders"])
async def own_receipts(request: Asked, state: State, data: ReceiptsBody) -> messages.ReceiptsView:
    """Receipts for stamps of the account: one for each that was settled and is not forgotten yet."""
    account = await signing_account(request, state.office)
    keys = [(account.id, one.expiry_day, decode_base64(one.serial.encode(), length=16)) for one in data.stamps]
    return messages.ReceiptsView(await state.office.receipts.of(keys))


@get("/v1/revocations", responses=described(400), tags=["everybody"])
async def revocations(
    state: State, after: Annotated[int, QueryParameter(ge=0, le=INTEGER_MAX)] = 0
) -> messages.RevocationsView:
    """Licences revoked before their time is over: of closed accounts, and of keys that were replaced.

    Each is named by a SHA-256 of account and key (STAMP.md 6.4). They come in the order in which they were revoked.
    """
    office: Office = state.office
    page = await office.ledger.revocations(after=after)
    return messages.RevocationsView([_text(one) for one in page.fingerprints], page.last)


ROUTES = (totals, own_receipts, revocations)


def _text(value: bytes) -> str:
    return encode_base64(value).decode()
