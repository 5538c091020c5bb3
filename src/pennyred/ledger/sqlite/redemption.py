"""Hold, settle, void, refund: read the rows a list touches, let `batch` decide, write them back.

Functions of a connection inside a transaction.
"""

import json
from collections.abc import Sequence

import apsw

from pennyred.ledger.batch import Batch
from pennyred.ledger.protocol import EntryKind, receiver_account
from pennyred.ledger.sqlite import journal, stamps
from pennyred.postage.ledger_rules import HoldFacts, HoldOrder, RefundOutcome
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome


def hold(connection: apsw.Connection, receiver: str, orders: Sequence[HoldOrder], now: int) -> list[HoldAnswer]:
    """Answer holds, and reserve."""
    batch = _read(connection, orders, now)
    answers = batch.hold(orders, _hold_facts(connection, receiver, now))
    write(connection, batch, EntryKind.SETTLE, now=now)
    return answers


def settle(connection: apsw.Connection, receiver: str, settles: Sequence[Settle], now: int) -> list[SettleOutcome]:
    """Answer settles, and take."""
    batch = _read(connection, settles, now)
    outcomes = batch.settle(receiver, settles, now=now)
    write(connection, batch, EntryKind.SETTLE, now=now)
    return outcomes


def void(connection: apsw.Connection, receiver: str, voids: Sequence[Void], now: int) -> list[VoidOutcome]:
    """Answer voids, and give back."""
    batch = _read(connection, voids, now)
    outcomes = batch.void(receiver, voids)
    write(connection, batch, EntryKind.SETTLE, now=now)
    return outcomes


def refund(connection: apsw.Connection, receiver: str, refunds: Sequence[Settle], now: int) -> list[RefundOutcome]:
    """Answer refunds, and pay back."""
    batch = _read(connection, refunds, now)
    row = connection.execute("SELECT balance FROM account WHERE id = ?", (receiver_account(receiver),)).fetchone()
    outcomes = batch.refund(receiver, refunds, row[0] if row else 0)
    write(connection, batch, EntryKind.REFUND, now=now)
    return outcomes


def write(connection: apsw.Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Store what a batch has changed; nothing where it has changed nothing."""
    changes = batch.changes
    if changes.stamps:
        stamps.store(connection, changes.stamps)
        journal.write_money(connection, changes, kind, now=now)
        journal.write_counts(connection, changes, now=now)


def _read(connection: apsw.Connection, items: Sequence[HoldOrder | Settle | Void], now: int) -> Batch:
    return Batch(
        stamps.load(connection, {(item.account, item.expiry_day, item.serial) for item in items}),
        journal.figures(connection, {item.account for item in items}, now=now),
    )


def _hold_facts(connection: apsw.Connection, receiver: str, now: int) -> HoldFacts:
    """What is known of the receiver: one that is unknown or closed has no domain, so it is told `wrong-receiver`."""
    ((floor_day,),) = connection.execute("SELECT day FROM floor")
    row = connection.execute(
        "SELECT domains FROM receiver JOIN account ON id = ? WHERE name = ? AND is_open",
        (receiver_account(receiver), receiver),
    ).fetchone()
    return HoldFacts(receiver, frozenset(json.loads(row[0]) if row else ()), floor_day, now)
