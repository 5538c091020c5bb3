"""What a PostgreSQL ledger keeps about accounts: senders, vouchers, and the licences that count no more.

Functions of a connection inside a transaction.
"""

from collections.abc import Sequence

import asyncpg
from asyncpg import Connection

from pennyred.office.ledger.postgresql import journal
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
from pennyred.postage.licence import Revocations, fingerprint

_TOKENS_FORGOTTEN_EACH = 8
_SELECT = SELECT_ACCOUNT.replace(
    "held,", "held + (SELECT coalesce(sum(price), 0) FROM open_hold WHERE open_hold.account = account.id)::bigint,"
)
"""An account as it stands, with what open holds keep."""


async def account(connection: Connection, account_id: str) -> Account | None:
    """An account by its id."""
    return account_or_none(await connection.fetchrow(_SELECT + " WHERE id = $1", account_id))


async def account_by_key(connection: Connection, public_key: bytes) -> Account | None:
    """A sender's account by its current key."""
    return account_or_none(await connection.fetchrow(_SELECT + " WHERE public_key = $1", public_key))


async def accounts(connection: Connection, after: str, limit: int) -> list[Account]:
    """A page of accounts, by id."""
    rows = await connection.fetch(_SELECT + " WHERE id > $1 ORDER BY id LIMIT $2", after, min(limit, PAGE_MAX))
    return [account_of(row) for row in rows]


async def entries(connection: Connection, account_id: str, after: int, limit: int) -> list[Entry]:
    """A page of a statement, oldest first."""
    rows = await connection.fetch(
        "SELECT number, at, kind, amount, balance, detail FROM posting"
        " WHERE account = $1 AND number > $2 ORDER BY number LIMIT $3",
        account_id, after, min(limit, PAGE_MAX),
    )  # fmt: skip
    return [
        Entry(number, at, EntryKind(kind), amount, balance, detail)
        for number, at, kind, amount, balance, detail in rows
    ]


async def open_account(
    connection: Connection, account_id: str, address: str, public_key: bytes, *, daily_cap: int, now: int
) -> OpenAnswer:
    """Open a sender's account, or find the one its key has."""
    if existing := await account_by_key(connection, public_key):
        return OpenAnswer(OpenOutcome.EXISTS, existing)
    await insert_account(connection, account_id, address, public_key, daily_cap=daily_cap, now=now)
    if existing := await account_by_key(connection, public_key):
        # Ours, or that of somebody who opened one for this key at this very moment.
        return OpenAnswer(OpenOutcome.OPENED if existing.id == account_id else OpenOutcome.EXISTS, existing)
    return OpenAnswer(OpenOutcome.ID_TAKEN, None)


async def close_account(connection: Connection, account_id: str) -> AccountOutcome:
    """Close an account."""
    if is_internal(account_id):
        return AccountOutcome.UNKNOWN_ACCOUNT
    key = await connection.fetchval(
        "UPDATE account SET is_open = false WHERE id = $1 RETURNING coalesce(public_key, '')", account_id
    )
    if key is None:
        return AccountOutcome.UNKNOWN_ACCOUNT
    await _revoke(connection, account_id, key)
    return AccountOutcome.DONE


async def replace_key(connection: Connection, account_id: str, public_key: bytes) -> AccountOutcome:
    """Give a sender's account another key."""
    before = await connection.fetchval("SELECT public_key FROM account WHERE id = $1 FOR UPDATE", account_id)
    try:
        async with connection.transaction():  # a savepoint: the transaction goes on when the key is somebody's
            done = await connection.execute(
                "UPDATE account SET public_key = $1 WHERE id = $2 AND public_key IS NOT NULL", public_key, account_id
            )
    except asyncpg.UniqueViolationError:
        return AccountOutcome.KEY_IN_USE
    if done == "UPDATE 1":
        if before != public_key:
            await _revoke(connection, account_id, before)
        return AccountOutcome.DONE
    is_used = await account_by_key(connection, public_key) is not None
    return AccountOutcome.KEY_IN_USE if is_used else AccountOutcome.UNKNOWN_ACCOUNT


async def _revoke(connection: Connection, account_id: str, public_key: bytes) -> None:
    """Note that licences with this key count no more. One transaction at a time, so that no gate misses one."""
    if public_key:
        await connection.execute("LOCK TABLE revocation IN SHARE ROW EXCLUSIVE MODE")
        await connection.execute(
            "INSERT INTO revocation (number, fingerprint)"
            " SELECT coalesce(max(number), 0) + 1, $1 FROM revocation ON CONFLICT DO NOTHING",
            fingerprint(account_id, public_key),
        )


async def revocations(connection: Connection, after: int) -> Revocations:
    """A page of the licences that count no more."""
    rows = await connection.fetch(
        "SELECT number, fingerprint FROM revocation WHERE number > $1 ORDER BY number LIMIT $2", after, PAGE_MAX
    )
    return Revocations(tuple(row["fingerprint"] for row in rows), rows[-1]["number"] if rows else after)


async def credit(
    connection: Connection, account_id: str, stamps: int, reason: str, *, source: str, now: int
) -> CreditOutcome:
    """Move stamps into an account."""
    target, payer = await _locked(connection, [account_id, source])
    if target is None or payer is None or is_internal(account_id):
        return CreditOutcome.UNKNOWN_ACCOUNT
    if target.state is AccountState.CLOSED:
        return CreditOutcome.ACCOUNT_CLOSED
    if not is_internal(source) and payer.available < stamps:
        return CreditOutcome.NO_FUNDS
    await journal.post(connection, EntryKind.CREDIT, reason, payer=source, payee=account_id, stamps=stamps, now=now)
    return CreditOutcome.CREDITED


async def create_vouchers(connection: Connection, hashes: Sequence[bytes], stamps: int, now: int) -> None:
    """Add vouchers. Raises ValueError where one exists."""
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO voucher (hash, stamps, created_at)"
                " SELECT hash, $2, $3 FROM unnest($1::bytea[]) AS one (hash)",
                list(hashes), stamps, now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise ValueError("a voucher with this code exists") from error


async def redeem_voucher(connection: Connection, account_id: str, voucher_hash: bytes, now: int) -> VoucherAnswer:
    """Credit a voucher, once."""
    row = await connection.fetchrow("SELECT stamps, account FROM voucher WHERE hash = $1 FOR UPDATE", voucher_hash)
    if row is None:
        return VoucherAnswer(VoucherOutcome.UNKNOWN_VOUCHER)
    stamps, owner = row
    if owner == account_id:
        return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)
    if owner is not None:
        return VoucherAnswer(VoucherOutcome.ALREADY_USED)
    target, _ = await _locked(connection, [account_id, OFFICE_VOUCHERS])
    if target is None:
        return VoucherAnswer(VoucherOutcome.UNKNOWN_ACCOUNT)
    if target.state is AccountState.CLOSED:
        return VoucherAnswer(VoucherOutcome.ACCOUNT_CLOSED)
    await connection.execute(
        "UPDATE voucher SET account = $1, redeemed_at = $2 WHERE hash = $3", account_id, now, voucher_hash
    )
    await journal.post(
        connection, EntryKind.VOUCHER, "", payer=OFFICE_VOUCHERS, payee=account_id, stamps=stamps, now=now
    )
    return VoucherAnswer(VoucherOutcome.REDEEMED, stamps)


async def _locked(connection: Connection, ids: Sequence[str]) -> list[Account | None]:
    """Lock these accounts in the order of their ids, as every transaction does: senders first, then the others."""
    order = sorted(set(ids), key=lambda one: (":" in one, one))
    found = {
        one: account_or_none(await connection.fetchrow(_SELECT + " WHERE id = $1 FOR UPDATE", one)) for one in order
    }
    return [found[one] for one in ids]


async def insert_account(
    connection: Connection, account_id: str, address: str, public_key: bytes | None, *, daily_cap: int, now: int
) -> None:
    """Write a new, empty account."""
    await connection.execute(
        "INSERT INTO account (id, address, public_key, daily_cap, is_open, opened_at, balance, held, spent)"
        " VALUES ($1, $2, $3, $4, true, $5, 0, 0, 0) ON CONFLICT DO NOTHING",
        account_id, address, public_key, daily_cap, now,
    )  # fmt: skip
