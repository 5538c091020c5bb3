"""Accounts and the double entry beside them: every change of a balance is an entry whose postings sum to nothing.

Functions of a connection inside a transaction.
"""

from collections.abc import Iterable, Mapping

import apsw

from pennyred.ledger.batch import Batch, Changes, Pair
from pennyred.ledger.chaining import Moved
from pennyred.ledger.protocol import EntryKind, is_internal, receiver_account
from pennyred.ledger.sqlite import chain
from pennyred.postage.chain import credit_detail
from pennyred.postage.ledger_rules import AccountFigures, utc_day


def figures(connection: apsw.Connection, accounts: Iterable[str], *, today: int) -> dict[str, AccountFigures]:
    """What the rules need of these senders; an id that is no sender's is left out."""
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
    connection.execute("INSERT INTO entry (at, kind, detail) VALUES (?, ?, ?)", (now, kind.value, detail))
    entry_id = connection.last_insert_rowid()
    for account, amount in ((payer, -stamps), (payee, stamps)):
        before = _credit(connection, account, amount)
        connection.execute("INSERT INTO posting VALUES (?, ?, ?, ?)", (account, entry_id, amount, before + amount))
    detail_hash = credit_detail(kind.value.encode(), payee, payer, stamps, detail, now)
    moved = Moved(sold=stamps if is_internal(payer) else 0)
    chain.append(connection, [detail_hash], moved, last_day=utc_day(now), now=now)


def write_money(connection: apsw.Connection, batch: Batch, kind: EntryKind, *, now: int) -> None:
    """Write what a batch holds, gives back and pays: each account once, one entry for each sender and receiver."""
    paid = {pair: stamps for pair, stamps in batch.changes.paid.items() if stamps}
    held, by_sender = batch.changes.held, _sum_by(paid, 0)
    connection.executemany(
        "UPDATE account SET balance = balance - ?1, held = held + ?2, spent = spent + ?1 WHERE id = ?3",
        [(by_sender.get(account, 0), held.get(account, 0), account) for account in {**held, **by_sender}],
    )
    if paid:
        running = {account: batch.accounts[account].balance + stamps for account, stamps in by_sender.items()}
        for name, stamps in _sum_by(paid, 1).items():
            running[receiver_account(name)] = _credit(connection, receiver_account(name), stamps)
        _write_entries(connection, paid, running, kind, now=now)


def _credit(connection: apsw.Connection, account: str, stamps: int) -> int:
    """Raise a balance; answers what it was before."""
    ((balance,),) = connection.execute("SELECT balance FROM account WHERE id = ?", (account,))
    connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (stamps, account))
    return int(balance)


def _write_entries(
    connection: apsw.Connection, paid: Mapping[Pair, int], running: dict[str, int], kind: EntryKind, *, now: int
) -> None:
    """One entry for each sender and receiver; `running` are the balances before the first."""
    connection.executemany(
        "INSERT INTO entry (at, kind, detail) VALUES (?, ?, ?)", [(now, kind.value, name) for _, name in paid]
    )
    # Nobody else writes during our transaction, so SQLite has numbered them one after the other.
    entry_id = connection.last_insert_rowid() - len(paid)
    postings = []
    for (sender, name), stamps in paid.items():
        entry_id += 1
        for account, amount in ((sender, -stamps), (receiver_account(name), stamps)):
            running[account] += amount
            postings.append((account, entry_id, amount, running[account]))
    connection.executemany("INSERT INTO posting VALUES (?, ?, ?, ?)", postings)


def write_counts(connection: apsw.Connection, changes: Changes, *, now: int) -> None:
    """Write what the cap, the sweeper and the audit count by."""
    used = [(account, day, stamps) for (account, day), stamps in changes.used.items() if stamps]
    if used:
        connection.executemany(
            "INSERT INTO daily_use VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET stamps = stamps + excluded.stamps", used
        )
    pairs = [
        (*pair, utc_day(now), changes.holds.get(pair, 0), changes.in_doubt.get(pair, 0))
        for pair in {**changes.holds, **changes.in_doubt}
    ]
    if pairs:
        connection.executemany(
            "INSERT INTO pair_use VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " holds = holds + excluded.holds, in_doubt = in_doubt + excluded.in_doubt",
            pairs,
        )
    for column, sums in (("settled", changes.settled), ("refunded", changes.refunded)):
        if sums:
            connection.executemany(
                f"UPDATE stamp_day SET {column} = {column} + ? WHERE day = ?",  # noqa: S608 - a name of ours
                [(stamps, day) for day, stamps in sums.items()],
            )


def _sum_by(paid: Mapping[Pair, int], side: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for pair, stamps in paid.items():
        sums[pair[side]] = sums.get(pair[side], 0) + stamps
    return sums
