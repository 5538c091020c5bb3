"""Hold, settle, void, refund: read the rows the requests touch, let `batch` decide, write them back.

Requests of many callers in one transaction are answered together: their rows are read once and written once, and each
request sees what those before it have done. Functions of a connection inside a transaction.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import apsw

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Changes
from pennyred.office.ledger.chaining import Moved
from pennyred.office.ledger.protocol import EntryKind, receiver_account
from pennyred.office.ledger.requests import JudgedRequest, RefundRequest, Request, answer_all
from pennyred.office.ledger.sqlite import chain, journal, stamps
from pennyred.postage.ledger_rules import HoldOrder, RefundOutcome
from pennyred.postage.redemption import Settle, Void


def redeem(connection: apsw.Connection, requests: Sequence[Request]) -> list[list[Any]]:
    """Answer each request by the list its kind promises. The cap counts by day, so a batch is of one UTC day."""
    answers: list[list[Any]] = []
    for _, same_day in groupby(requests, key=lambda request: utc_day(request.now)):
        answers.extend(_redeem_same_day(connection, list(same_day)))
    return answers


def _redeem_same_day(connection: apsw.Connection, requests: Sequence[Request]) -> list[list[Any]]:
    now = max(request.now for request in requests)
    batch = _read(connection, [item for request in requests for item in request.items], now)
    receivers = {request.receiver for request in requests if isinstance(request, JudgedRequest)}
    domains = domains_of(connection, receivers) if receivers else {}
    floor_day = stamps.floor_day(connection) if receivers else 0
    answers = answer_all(batch, requests, domains, floor_day)
    write(connection, batch, EntryKind.SETTLE, now=now)
    return answers


def refund(connection: apsw.Connection, requests: Sequence[RefundRequest]) -> list[list[RefundOutcome]]:
    """Answer refunds, one request after the other, and pay back."""
    return [_refund(connection, request.receiver, request.items, request.now) for request in requests]


def _refund(connection: apsw.Connection, receiver: str, refunds: Sequence[Settle], now: int) -> list[RefundOutcome]:
    batch = _read(connection, refunds, now)
    row = connection.execute("SELECT balance FROM account WHERE id = ?", (receiver_account(receiver),)).fetchone()
    outcomes = batch.refund(receiver, refunds, row[0] if row else 0)
    write(connection, batch, EntryKind.REFUND, now=now)
    return outcomes


def write(connection: apsw.Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Store what a batch has changed; where it has changed nothing, write nothing."""
    if batch.changes.stamps:
        stamps.store(connection, batch.changes.stamps)
        journal.write_money(connection, batch, kind, now=now)
        journal.write_counts(connection, batch.changes, now=now)
        _seal(connection, batch.changes, now=now)


def _seal(connection: apsw.Connection, changes: Changes, *, now: int) -> None:
    """Put what was paid into the chain."""
    if changes.details:
        chain.append(connection, changes.details, Moved.by(changes), last_day=last_day(changes, now=now), now=now)


def last_day(changes: Changes, *, now: int) -> int:
    """How long the details of a batch are remembered: as long as the last of its stamps."""
    return max(*changes.settled, *changes.refunded, utc_day(now))


def _read(connection: apsw.Connection, items: Sequence[HoldOrder | Settle | Void], now: int) -> Batch:
    return Batch(
        stamps.load(connection, {item.key for item in items}),
        journal.figures(connection, {item.account for item in items}, today=utc_day(now)),
        today=utc_day(now),
        number=chain.next_number(connection),
    )


def domains_of(connection: apsw.Connection, receivers: Iterable[str]) -> dict[str, frozenset[str]]:
    """The domains of these receivers. One that is unknown or closed has none, so it is told `wrong-receiver`."""
    rows: Iterable[Any] = connection.executemany(
        "SELECT name, domains FROM receiver WHERE name = ? AND (SELECT is_open FROM account WHERE id = ?)",
        [(name, receiver_account(name)) for name in receivers],
    )
    return {name: frozenset(json.loads(domains)) for name, domains in rows}
