"""Hold, settle, void, refund: lock the senders, read the rows the requests touch, let `batch` decide, write them back.

Requests of many callers in one transaction are answered together: their rows are read once and written once, and each
request sees what those before it have done. Functions of a connection inside a transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

from asyncpg import Connection

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch
from pennyred.office.ledger.postgresql import days, journal, stamps
from pennyred.office.ledger.protocol import EntryKind, receiver_account
from pennyred.office.ledger.requests import HoldRequest, RefundRequest, Request, answer_all
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome, StampState
from pennyred.postage.redemption import Settle, Void

_DOMAINS = """
SELECT receiver.name, receiver.domains FROM receiver JOIN account ON account.id = 'receiver:' || receiver.name
WHERE receiver.name = ANY($1::text[]) AND account.is_open
"""


async def redeem(connection: Connection, requests: Sequence[Request], known_days: Collection[int]) -> list[list[Any]]:
    """Answer each request by the list its kind promises. The cap counts by day, so a batch is of one UTC day.

    Raises `DayMissing` where a partition is needed that is not among `known_days`.
    """
    days_of_requests = [list(same_day) for _, same_day in groupby(requests, key=lambda request: utc_day(request.now))]
    if len(days_of_requests) > 1:
        # All senders at once: batch after batch, two transactions could each have what the other one waits for.
        await journal.locked_figures(connection, _accounts(requests))
    answers: list[list[Any]] = []
    for same_day in days_of_requests:
        answers.extend(await _redeem_same_day(connection, same_day, known_days))
    return answers


async def _redeem_same_day(
    connection: Connection, requests: Sequence[Request], known_days: Collection[int]
) -> list[list[Any]]:
    now = max(request.now for request in requests)
    batch = await _read(connection, [item for request in requests for item in request.items], now)
    receivers = {request.receiver for request in requests if isinstance(request, HoldRequest)}
    domains = await _domains(connection, receivers) if receivers else {}
    floor_day = await days.floor_day(connection) if receivers else 0
    answers = answer_all(batch, requests, domains, floor_day)
    await write(connection, batch, EntryKind.SETTLE, known_days, now=now)
    return answers


async def refund(
    connection: Connection, requests: Sequence[RefundRequest], known_days: Collection[int]
) -> list[list[RefundOutcome]]:
    """Answer refunds, one request after the other, and pay back."""
    if len(requests) > 1:  # as in `redeem`
        await journal.locked_figures(connection, _accounts(requests))
    answers = []
    for request in requests:
        batch = await _read(connection, request.items, request.now)
        receiver = receiver_account(request.receiver)
        balances = await journal.locked_balances(connection, [receiver])
        answers.append(batch.refund(request.receiver, request.items, balances.get(receiver, 0)))
        await write(connection, batch, EntryKind.REFUND, known_days, now=request.now)
    return answers


async def write(
    connection: Connection, batch: Batch, kind: EntryKind, known_days: Collection[int], *, now: int
) -> None:
    """Store what a batch has changed; where it has changed nothing, write nothing."""
    changed = batch.changes.stamps
    if not changed:
        return
    needed = {key[1] for key, record in changed.items() if record.state != StampState.HELD}
    if missing := needed.difference(known_days).difference(await _present(connection, needed, known_days)):
        raise days.DayMissing(missing)
    await stamps.store(connection, changed)
    await journal.write(connection, batch, kind, now=now)


async def _present(connection: Connection, needed: set[int], known_days: Collection[int]) -> list[int]:
    return await days.present(connection) if not needed <= set(known_days) else []


async def _read(connection: Connection, items: Sequence[HoldOrder | Settle | Void], now: int) -> Batch:
    accounts = {item.account for item in items}
    figures = await journal.locked_figures(connection, accounts)
    if any(isinstance(item, HoldOrder) for item in items):
        await journal.add_used(connection, figures, today=utc_day(now))
    found = await stamps.load(connection, {item.key for item in items})
    return Batch(found, figures, today=utc_day(now), number=await journal.new_batch_id(connection))


async def _domains(connection: Connection, receivers: Iterable[str]) -> dict[str, frozenset[str]]:
    """The domains of these receivers. One that is unknown or closed has none, so it is told `wrong-receiver`."""
    rows = await connection.fetch(_DOMAINS, sorted(receivers))
    return {row["name"]: frozenset(row["domains"]) for row in rows}


def _accounts(requests: Sequence[Request | RefundRequest]) -> set[str]:
    return {item.account for request in requests for item in request.items}
