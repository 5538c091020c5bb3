"""What an SQLite ledger keeps about accounts: senders, vouchers, and the licences that count no more.

Functions of a connection inside a transaction.
"""

from collections.abc import Sequence
from typing import Any

import apsw

from pennyred.office.ledger.protocol import (
    OFFICE_VOUCHERS,
    PAGE_MAX,
    Account,
    AccountOutcome,
    AccountState,
    CreditOutcome,
    Entry,
    EntryKind,
    OpenAnswer,
    OpenOutcome,
    VoucherAnswer,
    VoucherOutcome,
    is_internal,
)
from pennyred.office.ledger.rows import SELECT_ACCOUNT, account_of, account_or_none
from pennyred.office.ledger.sqlite import journal
from pennyred.postage.licence import Revocations, fingerprint

_TOKENS_FORGOTTEN_EACH = 8


def account(connection: apsw.Connection, account_id: str) -> Account | None:
    """An account by its id."""
    return account_or_none(connection.execute(SELECT_ACCOUNT + " WHERE id = ?", (account_id,)).fetchone())


def account_by_key(connection: apsw.Connection, public_key: bytes) -> Account | None:
    """A sender's account by its current key."""
    return account_or_none(connection.execute(SELECT_ACCOUNT + " WHERE public_key = ?", (public_key,)).fetchone())


def accounts(connection: apsw.Connection, after: str, limit: int) -> list[Account]:
    """A page of accounts, by id."""
    rows = connection.execute(SELECT_ACCOUNT + " WHERE id > ? ORDER BY id LIMIT ?", (after, min(limit, PAGE_MAX)))
    return [account_of(row) for row in rows]


def entries(connection: apsw.Connection, account_id: str, after: int, limit: int) -> list[Entry]:
    """A page of a statement, oldest first."""
    rows = connection.execute(
        "SELECT number, at, kind, amount, balance, detail FROM posting JOIN entry ON entry.id = entry_id"
        " WHERE account = ? AND number > ? ORDER BY number LIMIT ?",
        (account_id, after, min(limit, PAGE_MAX)),
    )
    return [
        Entry(number, at, EntryKind(kind), amount, balance, detail)
        for number, at, kind, amount, balance, detail in rows
    ]


def open_account(
    connection: apsw.Connection, account_id: str, address: str, public_key: bytes, *, daily_cap: int, now: int
) -> OpenAnswer:
    """Open a sender's account, or find the one its key has."""
    if existing := account_by_key(connection, public_key):
        return OpenAnswer(OpenOutcome.EXISTS, existing)
    if account(connection, account_id):
        return OpenAnswer(OpenOutcome.ID_TAKEN, None)
    insert_account(connection, account_id, address, public_key, daily_cap=daily_cap, now=now)
    return OpenAnswer(OpenOutcome.OPENED, account(connection, account_id))


def close_account(connection: apsw.Connection, account_id: str) -> AccountOutcome:
    """Close an account."""
    current = account(connection, account_id)
    if current is None or is_internal(account_id):
        return AccountOutcome.UNKNOWN_ACCOUNT
    revoke(connection, current)
    connection.execute("UPDATE account SET is_open = 0 WHERE id = ?", (account_id,))
    return AccountOutcome.DONE if connection.changes() else AccountOutcome.UNKNOWN_ACCOUNT


def replace_key(connection: apsw.Connection, account_id: str, public_key: bytes) -> AccountOutcome:
    """Give a sender's account another key."""
    owner = account_by_key(connection, public_key)
    if owner is not None and owner.id != account_id:
        return AccountOutcome.KEY_IN_USE
    if owner is None and (current := account(connection, account_id)):
        revoke(connection, current)
    connection.execute(
        "UPDATE account SET public_key = ? WHERE id = ? AND public_key IS NOT NULL", (public_key, account_id)
    )
    return AccountOutcome.DONE if connection.changes() else AccountOutcome.UNKNOWN_ACCOUNT


def revoke(connection: apsw.Connection, current: Account) -> None:
    """Note that licences of the account, as it is now, count no more."""
    if current.public_key:
        name = fingerprint(current.id, current.public_key)
        connection.execute("INSERT OR IGNORE INTO revocation (fingerprint) VALUES (?)", (name,))


def revocations(connection: apsw.Connection, after: int) -> Revocations:
    """A page of the licences that count no more."""
    rows: Any = connection.execute(
        "SELECT number, fingerprint FROM revocation WHERE number > ? ORDER BY number LIMIT ?", (after, PAGE_MAX)
    ).fetchall()
    return Revocations(tuple(name for _, name in rows), rows[-1][0] if rows else after)


def credit(
    connection: apsw.Connection, account_id: str, stamps: int, reason: str, *, source: str, now: int
) -> CreditOutcome:
    """Move stamps into an account."""
    target, payer = account(connection, account_id), account(connection, source)
    if target is None or payer is None or is_internal(account_id):
        return CreditOutcome.UNKNOWN_ACCOUNT
    if target.state is AccountState.CLOSED:
        return CreditOutcome.ACCOUNT_CLOSED
    if not is_internal(source) and payer.available < stamps:
        return CreditOutcome.NO_FUNDS
    journal.post(connection, EntryKind.CREDIT, reason, payer=source, payee=account_id, stamps=stamps, now=now)
    return CreditOutcome.CREDITED


def create_vouchers(connection: apsw.Connection, hashes: Sequence[bytes], stamps: int, now: int) -> None:
    """Add vouchers. Raises ValueError where one exists."""
    try:
        connection.executemany(
            "INSERT INTO voucher (hash, stamps, created_at) VALUES (?, ?, ?)",
            [(voucher_hash, stamps, now) for voucher_hash in hashes],
        )
    except apsw.ConstraintError as error:
        raise ValueError("a voucher with this code exists") from error


def redeem_voucher(connection: apsw.Connection, account_id: str, voucher_hash: bytes, now: int) -> VoucherAnswer:
    """Credit a voucher, once."""
    row = connection.execute("SELECT stamps, account FROM voucher WHERE hash = ?", (voucher_hash,)).fetchone()
    if row is None:
        return VoucherAnswer(VoucherOutcome.UNKNOWN_VOUCHER)
    stamps, owner = row
    if owner == account_id:
        return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)
    if owner is not None:
        return VoucherAnswer(VoucherOutcome.ALREADY_USED)
    target = account(connection, account_id)
    if target is None:
        return VoucherAnswer(VoucherOutcome.UNKNOWN_ACCOUNT)
    if target.state is AccountState.CLOSED:
        return VoucherAnswer(VoucherOutcome.ACCOUNT_CLOSED)
    connection.execute(
        "UPDATE voucher SET account = ?, redeemed_at = ? WHERE hash = ?", (account_id, now, voucher_hash)
    )
    journal.post(connection, EntryKind.VOUCHER, "", payer=OFFICE_VOUCHERS, payee=account_id, stamps=stamps, now=now)
    return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)


def insert_account(
    connection: apsw.Connection, account_id: str, address: str, public_key: bytes | None, *, daily_cap: int, now: int
) -> None:
    """Write a new, empty account."""
    connection.execute(
        "INSERT INTO account (id, address, public_key, daily_cap, is_open, opened_at, balance, held, spent)"
        " VALUES (?, ?, ?, ?, 1, ?, 0, 0, 0)",
        (account_id, address, public_key, daily_cap, now),
    )
