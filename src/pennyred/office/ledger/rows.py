"""Rows of an SQL ledger as values: what both back ends read alike."""

from collections.abc import Sequence
from typing import Any

from pennyred.office.ledger.protocol import Account, AccountState

SELECT_ACCOUNT = "SELECT id, address, public_key, daily_cap, is_open, opened_at, balance, held, spent FROM account"


def account_of(row: Sequence[Any]) -> Account:
    """The account in a row of `SELECT_ACCOUNT`."""
    account_id, address, key, cap, is_open, opened_at, balance, held, spent = row
    state = AccountState.OPEN if is_open else AccountState.CLOSED
    return Account(account_id, address, key or b"", cap, state, opened_at, balance, held, spent)


def account_or_none(row: Sequence[Any] | None) -> Account | None:
    """The account in a row of `SELECT_ACCOUNT`, where there is one."""
    return None if row is None else account_of(row)
