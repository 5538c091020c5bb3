"""A ledger with one receiver and one sender, and short words to tell stories about it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pennyred.office.ledger.protocol import Ledger
from pennyred.postage.ledger_rules import HoldOrder
from pennyred.postage.redemption import HoldAnswer, Settle, SettleOutcome, Void, VoidOutcome
from tests.support.replacing import replace

NOW = 1_790_000_000
DAY = 86_400
TODAY = NOW // DAY
ISSUER = "post.example.org"
SENDER = "sender0000000000"
OTHER_SENDER = "sender1111111111"
RECEIVER = "mx"
OTHER_RECEIVER = "far"
DOMAIN = "example.org"
OTHER_DOMAIN = "example.net"
LEASE = 1320


def some_bytes(name: str, length: int) -> bytes:
    """Bytes that differ for different names."""
    return hashlib.sha256(name.encode()).digest()[:length]


def key_of(account: str) -> bytes:
    return some_bytes(f"key of {account}", 32)


def order(serial: str = "s1", letter: str = "letter", tx: str = "t1", **changes: object) -> HoldOrder:
    """A hold of a valid stamp of SENDER for a letter; `changes` are fields of HoldOrder."""
    plain = HoldOrder(
        tx=some_bytes(tx, 16),
        group=0,
        account=SENDER,
        serial=some_bytes(serial, 16),
        expiry_day=TODAY + 3,
        price=1,
        public_key=key_of(SENDER),
        domain=DOMAIN,
        letter=some_bytes(letter, 32),
        lease_until=NOW + LEASE,
    )
    return replace(plain, **changes)


def settle_of(held: HoldOrder) -> Settle:
    return Settle(ISSUER, *held.key, held.letter)


def void_of(held: HoldOrder) -> Void:
    return Void(ISSUER, *held.key, held.letter, held.tx)


@dataclass
class LedgerWorld:
    """The ledger of a story; times are given in seconds after NOW."""

    ledger: Ledger

    async def prepare(self, *, balance: int = 10, daily_cap: int = 100) -> None:
        await self.ledger.add_receiver(RECEIVER, [DOMAIN], some_bytes("token", 32), now=NOW)
        await self.ledger.add_receiver(OTHER_RECEIVER, ["*"], some_bytes("other token", 32), now=NOW)
        for account in (SENDER, OTHER_SENDER):
            await self.ledger.open_account(account, f"{account}@example.com", key_of(account), daily_cap, now=NOW)
            if balance:
                await self.ledger.credit(account, balance, "for the test", now=NOW)

    async def hold_all(self, orders: Sequence[HoldOrder], *, after: int = 0, by: str = RECEIVER) -> list[HoldAnswer]:
        return await self.ledger.hold(by, orders, now=NOW + after)

    async def hold(self, one: HoldOrder, *, after: int = 0, by: str = RECEIVER) -> str:
        (answer,) = await self.hold_all([one], after=after, by=by)
        return answer.outcome.value

    async def settle(self, one: HoldOrder, *, after: int = 0, by: str = RECEIVER) -> str:
        (outcome,) = await self.ledger.settle(by, [settle_of(one)], now=NOW + after)
        assert isinstance(outcome, SettleOutcome)
        return outcome.value

    async def settle_stamp(self, one: HoldOrder, *, after: int = 0, by: str = RECEIVER) -> str:
        (outcome,) = await self.ledger.settle_stamps(by, [one], now=NOW + after)
        assert isinstance(outcome, SettleOutcome)
        return outcome.value

    async def void(self, one: HoldOrder, *, after: int = 0, by: str = RECEIVER) -> str:
        (outcome,) = await self.ledger.void(by, [void_of(one)], now=NOW + after)
        assert isinstance(outcome, VoidOutcome)
        return outcome.value

    async def refund(self, one: HoldOrder, *, after: int = 0, by: str = RECEIVER) -> str:
        (outcome,) = await self.ledger.refund(by, [settle_of(one)], now=NOW + after)
        return outcome.value

    async def figures(self, account: str = SENDER) -> tuple[int, int]:
        """Available and held."""
        found = await self.ledger.account(account)
        assert found is not None
        return found.available, found.held
