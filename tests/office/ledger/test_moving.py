"""A ledger moves from a file to PostgreSQL whole, provably, and for good."""

import asyncio

import apsw
import pytest
from tests.support.ledgerworld import (
    DAY,
    NOW,
    OTHER_SENDER,
    RECEIVER,
    SENDER,
    LedgerWorld,
    order,
    settle_of,
    some_bytes,
    void_of,
)
from tests.support.postgres import any_version

from pennyred.office.ledger.callers import KeptAnswer
from pennyred.office.ledger.moving import NotEmpty, NotTheSame, differences, move
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.sqlite import SqliteLedger
from pennyred.office.ledger.sqlite.moved import LedgerMoved
from pennyred.postage.errors import Unavailable
from pennyred.storage.database import open_database
from pennyred.storage.migrations import SchemaTooNew

LATER = NOW + 5 * DAY


async def a_life(world):
    """Everything that a ledger may have in it."""
    await world.prepare()
    await world.ledger.create_vouchers([some_bytes("v1", 32), some_bytes("v2", 32)], 5, now=NOW)
    await world.ledger.redeem_voucher(SENDER, some_bytes("v1", 32), now=NOW)
    settled = [order(f"s{n}", f"l{n}", f"t{n}", expiry_day=NOW // DAY + 1 + 2 * n) for n in range(5)]
    await world.hold_all(settled)
    await world.ledger.settle(RECEIVER, [settle_of(one) for one in settled], now=NOW)
    await world.ledger.refund(RECEIVER, [settle_of(settled[0])], now=NOW)
    voided, held = order("v", "lv", "tv"), order("h", "lh", "th", account=OTHER_SENDER)
    held = order("h", "lh", "th")
    await world.hold_all([voided, held])
    await world.ledger.void(RECEIVER, [void_of(voided)], now=NOW)
    await world.ledger.close_account(OTHER_SENDER)
    await world.ledger.remember_jti("jti", LATER + 60, now=LATER)
    await world.ledger.keep_answer(some_bytes("answer", 32), KeptAnswer(bytes(32), b"as before"), now=LATER)
    while (await world.ledger.sweep(now=LATER, until=LATER)).is_more:
        pass
    return settled, held


@pytest.fixture
def url(postgres_database):
    return postgres_database(any_version())


def told(tmp_path, story):
    async def whole_story():
        ledger = SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
        try:
            await story(LedgerWorld(ledger))
        finally:
            await ledger.close()

    asyncio.run(whole_story())


def test_all_that_was_known_is_known_after_the_move_and_the_books_go_on(tmp_path, url):
    async def story(world):
        settled, held = await a_life(world)
        keys = [one.key for one in (*settled, held)]
        uses, entries = await world.ledger.uses(keys), await world.ledger.entries(SENDER)
        parts = []
        await move(tmp_path / "ledger.db", url, now=LATER, note=parts.append)
        assert parts[-1] == 1

        there = await PostgresLedger.open(url, now=LATER)
        moved = LedgerWorld(there)
        assert await there.uses(keys) == uses
        assert await there.entries(SENDER) == entries
        assert (await there.receiver_by_token(some_bytes("token", 32))).name == RECEIVER
        assert not await there.remember_jti("jti", LATER + 60, now=LATER)
        assert (await there.kept_answer(some_bytes("answer", 32), now=LATER)).answer == b"as before"
        await there.redeem_voucher(SENDER, some_bytes("v1", 32), now=LATER)
        assert await there.entries(SENDER) == entries
        # A stamp that was spent is spent, and new ones are charged; the chain grows from where it was.
        number = (await there.head()).number
        again = order("s4", "another letter", "t9", expiry_day=settled[4].expiry_day)
        assert await moved.hold(again, after=LATER - NOW) == "spent"
        fresh = order("f", "lf", "tf", expiry_day=LATER // DAY + 3, lease_until=LATER + 60)
        assert await moved.hold(fresh, after=LATER - NOW) == "held"
        assert await moved.settle(fresh, after=LATER - NOW) == "settled"
        assert (await there.head()).number == number + 1
        audit = await there.audit()
        assert audit.balanced, audit.differences
        await there.close()

    told(tmp_path, story)


def test_a_ledger_that_has_moved_takes_nothing_more_even_from_those_who_have_it_open(tmp_path, url):
    async def story(world):
        await a_life(world)
        await move(tmp_path / "ledger.db", url, now=LATER, note=lambda _: None)

        with pytest.raises(Unavailable, match="moved to postgresql"):
            await world.hold(order("new", "ln", "tn", expiry_day=LATER // DAY + 1), after=LATER - NOW)
        with pytest.raises(Unavailable, match="moved to postgresql"):
            await world.ledger.credit(SENDER, 1, "late", now=LATER)
        for question in (world.ledger.account(SENDER), world.ledger.head(), world.ledger.audit()):
            with pytest.raises(Unavailable, match="moved to postgresql"):
                await question
        with pytest.raises(LedgerMoved, match="postgresql://127"):
            SqliteLedger.open(tmp_path / "ledger.db", now=LATER)

    told(tmp_path, story)


def test_a_trial_leaves_the_file_the_ledger(tmp_path, url):
    async def story(world):
        await a_life(world)
        await move(tmp_path / "ledger.db", url, now=LATER, note=lambda _: None, is_trial=True)
        await world.ledger.credit(SENDER, 1, "as ever", now=LATER)
        SqliteLedger.open(tmp_path / "ledger.db", now=LATER)

        there = await PostgresLedger.open(url, now=LATER)
        source = open_database(tmp_path / "ledger.db", is_reader=True)
        assert [one async for one in differences(source, there)]
        source.close()
        await there.close()

    told(tmp_path, story)


def test_a_database_that_is_somebodys_is_not_copied_over(tmp_path, url):
    async def story(world):
        await a_life(world)
        there = await PostgresLedger.open(url, now=NOW)
        await there.open_account("other", "o@example.com", bytes(32), 5, now=NOW)
        with pytest.raises(NotEmpty):
            await move(tmp_path / "ledger.db", url, now=LATER, note=lambda _: None)
        assert [one.id for one in await there.accounts() if not one.id.startswith("office:")] == ["other"]
        await there.close()
        await world.ledger.credit(SENDER, 1, "as ever", now=LATER)

    told(tmp_path, story)


def test_a_file_whose_books_do_not_balance_stays_the_ledger(tmp_path, url):
    async def story(world):
        await a_life(world)
        database = apsw.Connection(str(tmp_path / "ledger.db"))
        database.execute("UPDATE account SET spent = spent + 1 WHERE id = ?", (SENDER,))
        database.close()
        with pytest.raises(NotTheSame):
            await move(tmp_path / "ledger.db", url, now=LATER, note=lambda _: None)
        await world.ledger.credit(SENDER, 1, "as ever", now=LATER)

    told(tmp_path, story)


def test_a_table_that_this_program_does_not_know_is_not_left_behind_silently(tmp_path, url):
    async def story(world):
        await a_life(world)
        database = apsw.Connection(str(tmp_path / "ledger.db"))
        database.execute("CREATE TABLE later_invention (x)")
        database.close()
        with pytest.raises(SchemaTooNew, match="later_invention"):
            await move(tmp_path / "ledger.db", url, now=LATER, note=lambda _: None)

    told(tmp_path, story)
