"""Accounts and the double entry beside them: every change of a balance is an entry whose postings sum to nothing.

Functions of a connection inside a transaction.
"""

from collections.abc import Iterable

import apsw

from pennyred.days import utc_day
from pennyred.office.ledger.batch import Batch, Changes
from pennyred.office.ledger.chaining import Moved
from pennyred.office.ledger.daily import daily_entry
from pennyred.office.ledger.protocol import EntryKind, is_internal, receiver_account
from pennyred.office.ledger.sqlite import chain
from pennyred.postage.ledger_rules import AccountFigures
from pennyred.postage.proofs.chain import credit_detail

_NEW_ENTRY = (
    "INSERT INTO entry (id, at, kind, detail)"
    " SELECT max(0, coalesce(max(id), 0)) + 1, ?, ?, ? FROM entry RETURNING id"  # below 0 are days
)
# The account's last posting grows where it is of this entry; any other entry is a new one.
_POST = """
INSERT INTO posting (account, number, entry_id, amount, balance) SELECT ?1, coalesce(
  (SELECT number + (entry_id <> ?2) FROM posting WHERE account = ?1 ORDER BY number DESC LIMIT 1), 1), ?2, ?3, ?4
WHERE true ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, balance = excluded.balance
"""


def figures(connection: apsw.Connection, accounts: Iterable[str], *, today: int) -> dict[str, AccountFigures]:
    """What the rules need of these senders. An id that is no sender's is left out."""
    rows = connection.executemany(
        "SELECT id, is_open, public_key, daily_cap, balance, held,"
        " coalesce((SELECT stamps FROM daily_use WHERE account = id AND day = ?), 0)"
        " FROM account WHERE id = ? AND public_key IS NOT NULL",
        [(today, account) for account in set(accounts)],
    )
    return {
        account: AccountFigures(bool(is_open), key, cap, balance, held, used)
        for account, is_open, key, cap, balance, held, used in rows
    }


def post(
    connection: apsw.Connection, kind: EntryKind, detail: str, *, payer: str, payee: str, stamps: int, now: int
) -> None:
    """Move stamps between two accounts, as a batch of its own in the chain.

    The table's own check refuses an overdraft: it would be a mistake of ours.
    """
    amounts = ((payer, -stamps), (payee, stamps))
    ((entry_id,),) = connection.execute(_NEW_ENTRY, (now, kind.value, detail))
    _post(connection, int(entry_id), [(one, amount, _credit(connection, one, amount)) for one, amount in amounts])
    detail_hash = credit_detail(kind.value.encode(), payee, payer, stamps, detail, now)
    moved = Moved(sold=stamps if is_internal(payer) else 0)
    chain.append(connection, [detail_hash], moved, last_day=utc_day(now), now=now)


def write_money(connection: apsw.Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Write what a batch holds, gives back and pays: each account once."""
    held, paid = batch.changes.held, batch.changes.paid
    connection.executemany(
        "UPDATE account SET balance = balance - ?1, held = held + ?2, spent = spent + ?1 WHERE id = ?3",
        [(paid.get(account, 0), held.get(account, 0), account) for account in {**held, **paid}],
    )
    postings = [(sender, -stamps, batch.accounts[sender].balance) for sender, stamps in paid.items() if stamps]
    for name, stamps in batch.changes.earned.items():
        receiver = receiver_account(name)
        postings.append((receiver, stamps, _credit(connection, receiver, stamps)))
    if postings:
        entry_id, at = daily_entry(kind, now=now)
        connection.execute(
            "INSERT OR IGNORE INTO entry (id, at, kind, detail) VALUES (?, ?, ?, '')", (entry_id, at, kind.value)
        )
        _post(connection, entry_id, postings)


def _credit(connection: apsw.Connection, account: str, stamps: int) -> int:
    """Raise a balance. Answers the new balance."""
    ((balance,),) = connection.execute(
        "UPDATE account SET balance = balance + ? WHERE id = ? RETURNING balance", (stamps, account)
    )
    return int(balance)


def _post(connection: apsw.Connection, entry_id: int, postings: Iterable[tuple[str, int, int]]) -> None:
    """Write accounts, what they gained and their balances after it, into an entry."""
    connection.executemany(_POST, [(account, entry_id, amount, balance) for account, amount, balance in postings])


def write_counts(connection: apsw.Connection, changes: Changes, *, now: int) -> None:
    """Write the counters that the cap, the sweeper and the audit go by."""
    used = [(account, day, stamps) for (account, day), stamps in changes.used.items() if stamps]
    if used:
        connection.executemany(
            "INSERT INTO daily_use (account, day, stamps) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET stamps = stamps + excluded.stamps",
            used,
        )
    pairs = [
        (*pair, utc_day(now), changes.holds.get(pair, 0), changes.in_doubt.get(pair, 0))
        for pair in {**changes.holds, **changes.in_doubt}
    ]
    if pairs:
        connection.executemany(
            "INSERT INTO pair_use (account, receiver, day, holds, in_doubt) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET"
            " holds = holds + excluded.holds, in_doubt = in_doubt + excluded.in_doubt",
            pairs,
        )
    for column, sums in (("settled", changes.settled), ("refunded", changes.refunded)):
        if sums:
            connection.executemany(
                f"UPDATE stamp_day SET {column} = {column} + ? WHERE day = ?",  # noqa: S608 - a name of ours
                [(stamps, day) for day, stamps in sums.items()],
            )
