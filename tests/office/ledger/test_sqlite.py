"""What only the SQLite back end has: a file that can be old, broken, locked or full, and an audit that finds what is wrong."""

import asyncio
from pathlib import Path

import apsw
import pytest
from tests.support.ledgerworld import NOW, RECEIVER, SENDER, TODAY, LedgerWorld, order, settle_of

from pennyred.office.ledger.sqlite import SqliteLedger, migrate_ledger
from pennyred.postage.errors import Unavailable
from pennyred.storage.database import open_database
from pennyred.storage.migrations import SchemaTooNew, SchemaTooOld, load_migrations


def run_on(path: Path, story, **opened_with):
    async def whole() -> None:
        ledger = SqliteLedger.open(path, now=NOW, **opened_with)
        try:
            await story(LedgerWorld(ledger))
        finally:
            await ledger.close()

    asyncio.run(whole())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger in which one stamp is held, one settled, one refunded and one voided."""

    async def prepare(world: LedgerWorld) -> None:
        await world.prepare()
        await world.hold_all(
            [order(name, name, group=n) for n, name in enumerate(("held", "settled", "refunded", "voided"))]
        )
        await world.ledger.settle(RECEIVER, [settle_of(order(n, n)) for n in ("settled", "refunded")], now=NOW)
        await world.refund(order("refunded", "refunded"))
        await world.void(order("voided", "voided"))

    run_on(tmp_path / "ledger.db", prepare)
    return tmp_path / "ledger.db"


def test_what_was_answered_is_there_when_the_file_is_opened_again(path):
    async def story(world):
        audit = await world.ledger.audit()
        assert (audit.balanced, audit.sold, audit.settled, audit.refunded, audit.held) == (True, 20, 2, 1, 1)
        assert await world.hold(order("held", "held")) == "renewed"
        assert await world.hold(order("settled", "settled")) == "already-settled"
        assert await world.hold(order("voided", "another")) == "held"

    run_on(path, story)


DAY_TABLE = f"stamp_{TODAY + 3}"
TAMPERINGS = [
    ("UPDATE posting SET amount = amount + 1 WHERE account = 'office:sales' AND entry_id = 1", "sum to 1, not 0"),
    ("UPDATE posting SET balance = 5 WHERE account = 'office:sales' AND entry_id = 1", "noted balance 5"),
    (f"UPDATE account SET balance = balance + 1 WHERE id = '{SENDER}'", f"{SENDER}: its balance is 10, its postings sum to 9"),
    (f"UPDATE account SET held = 0 WHERE id = '{SENDER}'", "0 noted as held, its open holds sum to 1"),
    ("UPDATE account SET held = 1 WHERE id = 'receiver:mx'", "1 noted as held, its open holds sum to 0"),
    (f"UPDATE account SET spent = 9 WHERE id = '{SENDER}'", "has spent 9, its entries say 1"),
    ("DELETE FROM hold", "1 noted as held, its open holds sum to 0"),
    ("DELETE FROM entry WHERE id = 1", "belongs to no entry"),
    ("DELETE FROM posting WHERE entry_id = 1", "entry 1 has no postings"),
    (f"DELETE FROM account WHERE id = '{SENDER}'", "has postings but does not exist"),
    (f"UPDATE {DAY_TABLE} SET state = 2", "its stamps have 0 settled and 0 refunded, its totals say 2 and 1"),
    ("UPDATE stamp_day SET settled = 3", "the journal has 2 settled and 1 refunded, the stamps 3 and 1"),
    ("UPDATE floor SET refunded = 7", "the stamps 2 and 8"),
    ("INSERT INTO voucher VALUES (x'00', 5, 1, 'somebody', 1)", "vouchers redeemed are worth 5, their account has paid 0"),
    (
        f"PRAGMA ignore_check_constraints=1; UPDATE account SET held = 11 WHERE id = '{SENDER}'",
        f"{SENDER} holds 11 of a balance of 9",
    ),
    (
        f"PRAGMA ignore_check_constraints=1; UPDATE account SET balance = -1 WHERE id = '{SENDER}'",
        f"{SENDER} is below zero: -1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tampering", "sentence"), TAMPERINGS, ids=[row[1] for row in TAMPERINGS])
def test_the_audit_names_whatever_was_tampered_with(path, tampering, sentence):
    connection = open_database(path)
    connection.execute(tampering)
    connection.close()

    async def story(world):
        audit = await world.ledger.audit()
        assert not audit.balanced
        assert any(sentence in difference for difference in audit.differences), audit.differences

    run_on(path, story)


def test_the_tables_themselves_refuse_an_overdraft(path):
    connection = open_database(path)

    with pytest.raises(apsw.ConstraintError):
        connection.execute("UPDATE account SET balance = 0 WHERE id = ?", (SENDER,))

    connection.close()


def test_a_ledger_locked_by_another_process_is_later_and_serves_again_when_it_is_free(path):
    async def story(world):
        blocker = open_database(path)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            await world.hold(order("new", "new"))
        assert caught.value.reason == "ledger-unavailable"
        assert await world.ledger.account(SENDER), "reading goes on"
        blocker.execute("ROLLBACK")
        blocker.close()
        assert await world.hold(order("new", "new")) == "held"

    run_on(path, story, busy_timeout_seconds=0.05)


def test_a_full_disk_is_later_and_loses_nothing(path):
    async def story(world):
        writer = world.ledger._writer
        await writer.run(lambda db: db.execute(f"PRAGMA max_page_count = {db.pragma('page_count')}"))
        told = []

        async def hold_until_it_is_full():
            for number in range(500):
                told.append(await world.hold(order(f"n{number}", f"n{number}")))

        with pytest.raises(Unavailable) as caught:
            await hold_until_it_is_full()
        assert caught.value.reason == "ledger-unavailable"
        assert (await world.ledger.audit()).held == 1 + len(told)
        await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
        assert await world.hold(order("after", "after")) == "held"
        assert (await world.ledger.audit()).balanced

    async def richer(world):
        await world.ledger.credit(SENDER, 1000, "", now=NOW)
        await world.ledger._writer.run(lambda db: db.execute("UPDATE account SET daily_cap = 1000"))

    run_on(path, richer)
    run_on(path, story)


def test_a_file_that_is_no_database_is_later(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 1000)

    with pytest.raises(Unavailable):
        SqliteLedger.open(tmp_path / "ledger.db", now=NOW)
    with pytest.raises(Unavailable):
        migrate_ledger(tmp_path / "ledger.db", now=NOW)


def test_a_folder_that_is_not_there_is_later(tmp_path):
    with pytest.raises(Unavailable):
        SqliteLedger.open(tmp_path / "nowhere" / "ledger.db", now=NOW)


def test_a_mistake_of_ours_is_no_outage_and_disturbs_nobody(path):
    async def story(world):
        told = await asyncio.gather(
            world.hold(order("a", "a")),
            world.ledger.credit(SENDER, 1, None, now=NOW),
            world.hold(order("b", "b")),
            return_exceptions=True,
        )
        assert [told[0], told[2]] == ["held", "held"]
        assert isinstance(told[1], apsw.ConstraintError | apsw.SQLError)

    run_on(path, story)


def test_an_old_schema_is_not_worked_on_until_it_is_migrated(tmp_path):
    path = tmp_path / "ledger.db"
    connection = open_database(path)
    connection.execute("CREATE TABLE something_else (x)")
    connection.close()

    with pytest.raises(SchemaTooOld, match="pennyred ledger migrate"):
        SqliteLedger.open(path, now=NOW)
    everything = load_migrations("pennyred.office.ledger", "migrations/sqlite")
    assert migrate_ledger(path, now=NOW) == [migration.number for migration in everything]
    assert migrate_ledger(path, now=NOW) == []
    asyncio.run(SqliteLedger.open(path, now=NOW).close())


def test_a_schema_of_a_later_version_is_refused(path):
    connection = open_database(path)
    connection.execute("INSERT INTO schema_migration VALUES (9999, 'future', 'x', 1)")
    connection.close()

    with pytest.raises(SchemaTooNew, match="9999"):
        SqliteLedger.open(path, now=NOW)
