"""The journal, which is kept for ever: what was paid and earned on a day, and never by whom to whom."""

import asyncio

import apsw
import asyncpg
from tests.support.ledgerworld import (
    DAY,
    NOW,
    OTHER_RECEIVER,
    OTHER_SENDER,
    RECEIVER,
    SENDER,
    TODAY,
    LedgerWorld,
    key_of,
    order,
    settle_of,
)
from tests.support.postgres import any_version

from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import EntryKind, receiver_account
from pennyred.office.ledger.sqlite import SqliteLedger, migrate_ledger
from pennyred.postage.ledger_rules import DAYS_KEPT_AFTER_EXPIRY, IN_DOUBT_DAYS
from pennyred.storage.migrations import load_migrations, migrate

MIDNIGHT = TODAY * DAY
FIRST_WITH_DAYS = 5
"""The migration that folds what was paid before."""


async def pay(world, name, *, after=0, by=RECEIVER, account=SENDER):
    """One stamp, held and settled."""
    one = order(name, name, account=account, public_key=key_of(account), expiry_day=TODAY + 3)
    assert await world.hold(one, after=after, by=by) == "held"
    assert await world.settle(one, after=after, by=by) == "settled"
    return one


async def statement(world, account):
    return [(one.kind, one.at, one.stamps, one.balance, one.detail) for one in await world.ledger.entries(account)]


def test_what_is_paid_and_earned_on_a_day_is_one_entry(tell):
    async def story(world):
        await pay(world, "s1")
        await pay(world, "s2", after=60, by=OTHER_RECEIVER)
        await pay(world, "o1", after=90, account=OTHER_SENDER)
        assert await statement(world, SENDER) == [
            (EntryKind.CREDIT, NOW, 10, 10, "for the test"),
            (EntryKind.SETTLE, MIDNIGHT, -2, 8, ""),
        ]
        assert await statement(world, receiver_account(RECEIVER)) == [(EntryKind.SETTLE, MIDNIGHT, 2, 2, "")]
        assert await statement(world, receiver_account(OTHER_RECEIVER)) == [(EntryKind.SETTLE, MIDNIGHT, 1, 1, "")]

    tell(story)


def test_the_next_day_has_an_entry_of_its_own(tell):
    async def story(world):
        await pay(world, "s1")
        await pay(world, "s2", after=DAY)
        assert (await statement(world, SENDER))[1:] == [
            (EntryKind.SETTLE, MIDNIGHT, -1, 9, ""),
            (EntryKind.SETTLE, MIDNIGHT + DAY, -1, 8, ""),
        ]

    tell(story)


def test_a_clock_that_goes_back_over_midnight_leaves_the_books_in_order(tell):
    async def story(world):
        await pay(world, "s1", after=DAY)
        await pay(world, "s2")
        assert [(at, balance) for _, at, _, balance, _ in await statement(world, SENDER)][1:] == [
            (MIDNIGHT + DAY, 9),
            (MIDNIGHT, 8),
        ]

    tell(story)


def test_a_balance_is_that_of_its_place_in_the_statement(tell):
    """A purchase between two payments of one day stands between them."""

    async def story(world):
        await pay(world, "s1")
        await world.ledger.credit(SENDER, 5, "bought", now=NOW + 1)
        await pay(world, "s2", after=2)
        paid = await pay(world, "s3", after=3)
        await world.refund(paid, after=4)
        assert [(kind, stamps, balance) for kind, _, stamps, balance, _ in await statement(world, SENDER)] == [
            (EntryKind.CREDIT, 10, 10),
            (EntryKind.SETTLE, -1, 9),
            (EntryKind.CREDIT, 5, 14),
            (EntryKind.SETTLE, -2, 12),
            (EntryKind.REFUND, 1, 13),
        ]
        assert [one.id for one in await world.ledger.entries(SENDER)] == [1, 2, 3, 4, 5]

    tell(story)


def names_both(row, one, other):
    texts = [column for column in row if isinstance(column, str)]
    texts += [column.decode("latin-1") for column in row if isinstance(column, bytes)]
    return all(any(name in text for text in texts) for name in (one, other))


def all_rows(path):
    """Of every table of a ledger's file, by table."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {table: list(connection.execute(f"SELECT * FROM {table}")) for table in tables}
    connection.close()
    return rows


async def all_rows_of(url):
    """Of every table of a ledger in PostgreSQL, by table."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = {table: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for (table,) in tables}
    await connection.close()
    return rows


def tables_that_tell(rows):
    """Those with a row that names a sender and a receiver of its stamps."""
    return {table for table, some in rows.items() if any(names_both(row, SENDER, RECEIVER) for row in some)}


async def until_all_is_forgotten(world):
    """The sweeps of the weeks that follow."""
    for day in range(DAYS_KEPT_AFTER_EXPIRY + IN_DOUBT_DAYS + 5):
        while (await world.ledger.sweep(now=NOW + day * DAY, until=NOW + day * DAY)).is_more:
            pass


def test_who_paid_whom_is_forgotten(tmp_path):
    path = tmp_path / "ledger.db"

    async def story():
        await forget_who_paid_whom(SqliteLedger.open(path, now=NOW), lambda: asyncio.to_thread(all_rows, path))

    asyncio.run(story())


def test_who_paid_whom_is_forgotten_in_postgresql(postgres_database):
    url = postgres_database(any_version())

    async def story():
        await forget_who_paid_whom(await PostgresLedger.open(url, now=NOW), lambda: all_rows_of(url))

    asyncio.run(story())


async def forget_who_paid_whom(ledger, rows):
    world = LedgerWorld(ledger)
    await world.prepare()
    await pay(world, "s1")
    await pay(world, "o1", by=OTHER_RECEIVER, account=OTHER_SENDER)
    refunded = await pay(world, "s2")
    await world.refund(refunded)
    await world.hold(order("left in doubt", "left in doubt"))
    assert tables_that_tell(await rows()), "while the day is remembered"

    await until_all_is_forgotten(world)

    assert tables_that_tell(await rows()) == set()
    assert (await world.ledger.audit()).balanced
    await world.ledger.close()


def of_before(path):
    """A ledger of the version before, with payments that name both."""
    connection = apsw.Connection(str(path))
    migrate(connection, load_migrations("pennyred.office.ledger", "migrations/sqlite")[: FIRST_WITH_DAYS - 1], now=NOW)
    accounts = ((SENDER, 5, 3), ("receiver:mx", 3, 0))
    for account, balance, spent in accounts:
        key = key_of(account) if account == SENDER else None
        connection.execute("INSERT INTO account VALUES (?, '', ?, 9, 1, 1, ?, 0, ?)", (account, key, balance, spent))
    connection.execute("UPDATE account SET balance = -8 WHERE id = 'office:sales'")
    moves = [
        ("credit", NOW, "office:sales", SENDER, 5),
        ("settle", NOW + 1, SENDER, "receiver:mx", 1),
        ("settle", NOW + 2, SENDER, "receiver:mx", 2),
        ("credit", NOW + 3, "office:sales", SENDER, 3),
        ("settle", NOW + 4, SENDER, "receiver:mx", 1),
        ("refund", NOW + 5, "receiver:mx", SENDER, 2),
        ("settle", NOW + DAY, SENDER, "receiver:mx", 1),
    ]
    balances = dict.fromkeys((SENDER, "receiver:mx", "office:sales"), 0)
    for number, (kind, at, payer, payee, stamps) in enumerate(moves, 1):
        connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (number, at, kind, "mx"))
        for account, amount in ((payer, -stamps), (payee, stamps)):
            balances[account] += amount
            connection.execute("INSERT INTO posting VALUES (?, ?, ?, ?)", (account, number, amount, balances[account]))
    connection.execute("UPDATE floor SET settled = 5, refunded = 2")
    connection.close()


def test_payments_of_before_are_folded_into_their_days(tmp_path):
    of_before(tmp_path / "ledger.db")
    assert migrate_ledger(tmp_path / "ledger.db", now=NOW)[0] == FIRST_WITH_DAYS
    asyncio.run(find_them_folded(tmp_path / "ledger.db"))


async def find_them_folded(path):
    world = LedgerWorld(SqliteLedger.open(path, now=NOW))
    audit = await world.ledger.audit()
    assert audit.balanced, audit.differences
    assert (audit.sold, audit.settled, audit.refunded) == (8, 5, 2)
    assert [(kind, at, stamps, balance) for kind, at, stamps, balance, _ in await statement(world, SENDER)] == [
        ("credit", NOW, 5, 5),
        ("settle", MIDNIGHT, -3, 2),
        ("credit", NOW + 3, 3, 5),
        ("settle", MIDNIGHT, -1, 4),
        ("refund", MIDNIGHT, 2, 6),
        ("settle", MIDNIGHT + DAY, -1, 5),
    ]
    assert {detail for kind, *_, detail in await statement(world, SENDER) if kind != "credit"} == {""}
    assert await world.ledger.credit(SENDER, 1, "goes on", now=NOW + DAY) == "credited"
    assert (await world.ledger.audit()).balanced
    await world.ledger.close()


def test_a_batch_is_posted_whole_whoever_is_in_it(tell):
    async def story(world):
        mine = [order(f"s{number}", group=number) for number in range(3)]
        theirs = [
            order(f"o{number}", group=10 + number, account=OTHER_SENDER, public_key=key_of(OTHER_SENDER))
            for number in range(2)
        ]
        await world.hold_all(mine + theirs)
        await world.ledger.settle(RECEIVER, [settle_of(one) for one in mine + theirs], now=NOW + 1)
        assert [(await statement(world, account))[-1][2:4] for account in (SENDER, OTHER_SENDER)] == [(-3, 7), (-2, 8)]
        assert (await statement(world, receiver_account(RECEIVER)))[-1][2:4] == (5, 5)

    tell(story)
