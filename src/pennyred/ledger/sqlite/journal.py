"""Accounts and the double entry beside them: every change of a balance is an entry whose postings sum to nothing.

Functions of a connection inside a transaction.
"""

from collections.abc import Iterable, Mapping

import apsw

from pennyred.ledger.batch import Changes, Pair
from pennyred.ledger.protocol import EntryKind, receiver_account
from pennyred.postage.ledger_rules import AccountFigures, utc_day


def figures(connection: apsw.Connection, accounts: Iterable[str], *, now: int) -> dict[str, AccountFigures]:
    """What the rules need of these senders; an id that is no sender's is left out."""
    today = utc_day(now)
    rows = connection.executemany(
        "SELECT id, is_open, public_key, daily_cap, balance, held, coalesce(daily_use.stamps, 0) FROM account"
        " LEFT JOIN daily_use ON daily_use.account = id AND daily_use.day = ?"
        " WHERE id = ? AND public_key IS NOT NULL",
        [(today, account) for account in set(accounts)],
    )
    return {
        account: AccountFigures(bool(is_open), key, cap, balance, held, used)
        for account, is_open, key, cap, balance, held, used in rows
    }


def post(
    connection: apsw.Connection, kind: EntryKind, detail: str, *, payer: str, payee: str, stamps: int, now: int
) -> None:
    """Move stamps between two accounts; the table's own check refuses an overdraft: it would be a mistake of ours."""
    entry_id = _add_entry(connection, kind, detail, now)
    for account, amount in ((payer, -stamps), (payee, stamps)):
        ((balance,),) = connection.execute(
            "UPDATE account SET balance = balance + ? WHERE id = ? RETURNING balance", (amount, account)
        )
        connection.execute("INSERT INTO posting VALUES (?, ?, ?, ?)", (account, entry_id, amount, balance))


def write_money(connection: apsw.Connection, changes: Changes, kind: EntryKind, *, now: int) -> None:
    """Write what a batch holds, gives back and pays: each account once, one entry for each sender and receiver."""
    paid = {pair: stamps for pair, stamps in changes.paid.items() if stamps}
    by_sender = _sum_by(paid, 0)
    running = {}
    for account in {**changes.held, **by_sender}:
        stamps = by_sender.get(account, 0)
        ((balance,),) = connection.execute(
            "UPDATE account SET balance = balance - ?1, held = held + ?2, spent = spent + ?1 WHERE id = ?3"
            " RETURNING balance",
            (stamps, changes.held.get(account, 0), account),
        )
        running[account] = balance + stamps
    for name, stamps in _sum_by(paid, 1).items():
        account = receiver_account(name)
        ((balance,),) = connection.execute(
            "UPDATE account SET balance = balance + ? WHERE id = ? RETURNING balance", (stamps, account)
        )
        running[account] = balance - stamps
    postings = []
    for (sender, name), stamps in paid.items():
        entry_id = _add_entry(connection, kind, name, now)
        for account, amount in ((sender, -stamps), (receiver_account(name), stamps)):
            running[account] += amount
            postings.append((account, entry_id, amount, running[account]))
    if postings:
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


def _add_entry(connection: apsw.Connection, kind: EntryKind, detail: str, now: int) -> int:
    connection.execute("INSERT INTO entry (at, kind, detail) VALUES (?, ?, ?)", (now, kind.value, detail))
    return connection.last_insert_rowid()


def _sum_by(paid: Mapping[Pair, int], side: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for pair, stamps in paid.items():
        sums[pair[side]] = sums.get(pair[side], 0) + stamps
    return sums
