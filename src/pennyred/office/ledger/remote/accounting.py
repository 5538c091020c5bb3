"""What is asked of the ledger about accounts and what is in them. See `asks`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from pennyred.office.ledger.protocol import (
    Account,
    AccountOutcome,
    CreditOutcome,
    Entry,
    OpenAnswer,
    VoucherAnswer,
)
from pennyred.office.ledger.remote.asks import Ask, Books

_Reader = msgspec.msgpack.Decoder


class OpenAccount(Ask, tag="open_account"):
    """Asks for `Ledger.open_account`."""

    answer: ClassVar[Any] = _Reader(OpenAnswer)
    account: str
    address: str
    public_key: bytes
    daily_cap: int
    now: int

    async def of(self, books: Books) -> OpenAnswer:
        """Do what is asked for."""
        return await books.ledger.open_account(
            self.account, self.address, self.public_key, self.daily_cap, now=self.now
        )


class CloseAccount(Ask, tag="close_account"):
    """Asks for `Ledger.close_account`."""

    answer: ClassVar[Any] = _Reader(AccountOutcome)
    account: str

    async def of(self, books: Books) -> AccountOutcome:
        """Do what is asked for."""
        return await books.ledger.close_account(self.account)


class ReplaceKey(Ask, tag="replace_key"):
    """Asks for `Ledger.replace_key`."""

    answer: ClassVar[Any] = _Reader(AccountOutcome)
    account: str
    public_key: bytes

    async def of(self, books: Books) -> AccountOutcome:
        """Do what is asked for."""
        return await books.ledger.replace_key(self.account, self.public_key)


class FindAccount(Ask, tag="account"):
    """Asks for `Ledger.account`."""

    answer: ClassVar[Any] = _Reader(Account | None)
    account: str

    async def of(self, books: Books) -> Account | None:
        """Do what is asked for."""
        return await books.ledger.account(self.account)


class FindAccountByKey(Ask, tag="account_by_key"):
    """Asks for `Ledger.account_by_key`."""

    answer: ClassVar[Any] = _Reader(Account | None)
    public_key: bytes

    async def of(self, books: Books) -> Account | None:
        """Do what is asked for."""
        return await books.ledger.account_by_key(self.public_key)


class ListAccounts(Ask, tag="accounts"):
    """Asks for `Ledger.accounts`."""

    answer: ClassVar[Any] = _Reader(list[Account])
    after: str
    limit: int

    async def of(self, books: Books) -> list[Account]:
        """Do what is asked for."""
        return await books.ledger.accounts(after=self.after, limit=self.limit)


class ListEntries(Ask, tag="entries"):
    """Asks for `Ledger.entries`."""

    answer: ClassVar[Any] = _Reader(list[Entry])
    account: str
    after: int
    limit: int

    async def of(self, books: Books) -> list[Entry]:
        """Do what is asked for."""
        return await books.ledger.entries(self.account, after=self.after, limit=self.limit)


class Credit(Ask, tag="credit"):
    """Asks for `Ledger.credit`."""

    answer: ClassVar[Any] = _Reader(CreditOutcome)
    is_repeatable: ClassVar[bool] = False
    account: str
    stamps: int
    reason: str
    now: int
    source: str

    async def of(self, books: Books) -> CreditOutcome:
        """Do what is asked for."""
        return await books.ledger.credit(self.account, self.stamps, self.reason, now=self.now, source=self.source)


class CreateVouchers(Ask, tag="create_vouchers"):
    """Asks for `Ledger.create_vouchers`."""

    answer: ClassVar[Any] = _Reader(None)
    is_repeatable: ClassVar[bool] = False
    hashes: Sequence[bytes]
    stamps: int
    now: int

    async def of(self, books: Books) -> None:
        """Do what is asked for."""
        await books.ledger.create_vouchers(self.hashes, self.stamps, now=self.now)


class RedeemVoucher(Ask, tag="redeem_voucher"):
    """Asks for `Ledger.redeem_voucher`."""

    answer: ClassVar[Any] = _Reader(VoucherAnswer)
    account: str
    voucher_hash: bytes
    now: int

    async def of(self, books: Books) -> VoucherAnswer:
        """Do what is asked for."""
        return await books.ledger.redeem_voucher(self.account, self.voucher_hash, now=self.now)
