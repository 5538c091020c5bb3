"""Hold, settle, void, refund: lock the senders, read the rows the requests touch, let `batch` decide, write them back.

Requests of many callers in one transaction are answered together: their rows are read once and written once, and each
request sees what those before it have done. Functions of a connection inside a transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

from asyncpg import Connection

from pennyred.days import DAY_SECONDS, utc_day
from pennyred.office.ledger.batch import Batch
from pennyred.office.ledger.postgresql import days, journal, lookup, stamps
from pennyred.office.ledger.postgresql.lookup import Found
from pennyred.office.ledger.postgresql.openholds import leave_open
from pennyred.office.ledger.protocol import EntryKind, receiver_account
from pennyred.office.ledger.requests import (
    HoldRequest,
    JudgedRequest,
    RefundRequest,
    Request,
    VoidRequest,
    answer_all,
)
from pennyred.postage.ledger_rules import RefundOutcome, StampState
from pennyred.postage.redemption import HoldAnswer, HoldOutcome
from pennyred.postage.stamp import StampKey

_ON_PAYMENTS = (HoldOutcome.ALREADY_SETTLED, HoldOutcome.SPENT)
_DOMAINS = """
SELECT receiver.name, receiver.domains FROM receiver JOIN account ON account.id = 'receiver:' || receiver.name
WHERE receiver.name = ANY($1::text[]) AND account.is_open
"""


async def redeem(connection: Connection, requests: Sequence[Request], known_days: Collection[int]) -> list[list[Any]]:
    """Answer each request by the list its kind promises. The cap counts by day, so a batch is of one UTC day.

    Raises `DayMissing` where a partition is needed that is not among `known_days`, or one of them is gone.
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
    batch, found = await _read(connection, requests, now, known_days)
    receivers = {request.receiver for request in requests if isinstance(request, JudgedRequest)}
    domains = await _domains(connection, receivers) if receivers else {}
    floor_day = await days.floor_day(connection) if receivers else 0
    answers = answer_all(batch, requests, domains, floor_day)
    lasting = {
        order.key
        for request in requests
        if isinstance(request, HoldRequest) and request.is_lasting
        for order in request.items
    }
    await write(connection, batch, found, EntryKind.SETTLE, known_days, now=now, lasting=lasting)
    return answers


async def refund(
    connection: Connection, requests: Sequence[RefundRequest], known_days: Collection[int]
) -> list[list[RefundOutcome]]:
    """Answer refunds, one request after the other, and pay back."""
    if len(requests) > 1:  # as in `redeem`
        await journal.locked_figures(connection, _accounts(requests))
    answers = []
    for request in requests:
        batch, found = await _read(connection, [request], request.now)
        receiver = receiver_account(request.receiver)
        balances = await journal.locked_balances(connection, [receiver])
        answers.append(batch.refund(request.receiver, request.items, balances.get(receiver, 0)))
        await write(connection, batch, found, EntryKind.REFUND, known_days, now=request.now)
    return answers


async def ease(connection: Connection, answers: Iterable[Sequence[HoldAnswer]]) -> None:
    """Let a transaction of holds that need not last not wait for its flush.

    Not where an answer rests on a payment: if its own commit was broken off while it waited for a standby, it is seen
    here though a failover would lose it; so this transaction waits in its place.
    """
    if not any(one.outcome in _ON_PAYMENTS for each in answers for one in each):
        await connection.execute("SET LOCAL synchronous_commit = off")


async def write_open_holds(connection: Connection, keys: Collection[StampKey]) -> None:
    """Write these holds, as far as they are still open, where a crash does not forget them."""
    figures = await journal.locked_figures(connection, {key[0] for key in keys})
    found = await lookup.load(connection, keys)
    if held := found.open_records:
        today = max(record.cap_day for record in held.values())
        batch = Batch(found.records, figures, today=today, number=0)
        batch.changes.stamps.update(held)
        await write(connection, batch, found, EntryKind.SETTLE, (), now=today * DAY_SECONDS)


async def write(
    connection: Connection,
    batch: Batch,
    found: Found,
    kind: EntryKind,
    known_days: Collection[int],
    *,
    now: int,
    lasting: Collection[StampKey] | None = None,
) -> None:
    """Store what a batch has changed; where it has changed nothing, write nothing.

    Holds of stamps that are not among `lasting` stay open or are made so; None: none.
    """
    if not batch.changes.stamps:
        return
    left = leave_open(batch.changes, found.open_records, found.written, lasting)
    changed = batch.changes.stamps
    needed = {key[1] for key, record in changed.items() if record.state != StampState.HELD}
    if missing := needed.difference(known_days).difference(await _present(connection, needed, known_days)):
        raise days.DayMissing(missing)
    await stamps.store(connection, found, changed, left)
    await journal.write(connection, batch, kind, now=now)


async def _present(connection: Connection, needed: set[int], known_days: Collection[int]) -> list[int]:
    return await days.present(connection) if not needed <= set(known_days) else []


async def _read(
    connection: Connection, requests: Sequence[Request | RefundRequest], now: int, known_days: Collection[int] = ()
) -> tuple[Batch, Found]:
    """Lock the senders, and read what the rules may look at. Raises `DayMissing` as `lookup.load` does."""
    figures = await journal.locked_figures(connection, _accounts(requests))
    keys = {item.key for request in requests for item in request.items}
    found = await lookup.load(connection, keys, known_days)
    # What is held is settled or given back without a look at how much the account has left.
    if any(isinstance(request, JudgedRequest) for request in requests) or found.has_voided:
        await journal.add_used(connection, figures, today=utc_day(now))
    is_paying = not all(isinstance(request, HoldRequest | VoidRequest) for request in requests)
    number = await journal.new_batch_id(connection) if is_paying else 0
    return Batch(found.records, figures, today=utc_day(now), number=number), found


async def _domains(connection: Connection, receivers: Iterable[str]) -> dict[str, frozenset[str]]:
    """The domains of these receivers. One that is unknown or closed has none, so it is told `wrong-receiver`."""
    rows = await connection.fetch(_DOMAINS, sorted(receivers))
    return {row["name"]: frozenset(row["domains"]) for row in rows}


def _accounts(requests: Sequence[Request | RefundRequest]) -> set[str]:
    return {item.account for request in requests for item in request.items}
