"""A connection to PostgreSQL for a thread that waits: SQL of both databases, one writer at a time, lost and made anew."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.postgres import any_version

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import postgres
from pennyred.storage.blocking import READ, WRITE, BlockingConnection, translated
from pennyred.storage.groupcommit import GroupCommit


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT a FROM b WHERE c = ? AND d = ?", "SELECT a FROM b WHERE c = $1 AND d = $2"),
        ("UPDATE a SET b = ?1 + ?1 WHERE c = ?2", "UPDATE a SET b = $1 + $1 WHERE c = $2"),
        ("SELECT user FROM permit WHERE state IN ('user?')", "SELECT \"user\" FROM permit WHERE state IN ('user?')"),
        ("SELECT users", "SELECT users"),
    ],
)
def test_statements_are_said_as_postgresql_has_them(ours, theirs):
    assert translated(ours) == theirs


@given(st.text())
def test_any_text_is_translated_to_one_without_our_marks(text):
    assert "?" not in translated(text.replace("'", ""))


@pytest.fixture
def commits(postgres_database):
    made = []
    url = postgres_database(any_version())

    def make(begin=WRITE):
        connection = BlockingConnection(url, application="test")
        made.append(GroupCommit(connection, name="test", reason=Reason.INTERNAL, begin=begin,
                                is_world=postgres.is_world, patience_seconds=60))  # fmt: skip
        return made[-1]

    yield make
    for one in made:
        asyncio.run(one.close())


def create(connection):
    connection.execute("CREATE TABLE counter (one bigint PRIMARY KEY, used bigint NOT NULL)")
    connection.execute("INSERT INTO counter VALUES (?, ?)", (1, 0))


def add(connection):
    ((used,),) = connection.execute("SELECT used FROM counter WHERE one = ?", (1,))
    connection.execute("UPDATE counter SET used = ? WHERE one = 1", (used + 1,))
    return connection.total_changes()


def test_two_writers_that_read_before_they_write_lose_nothing(commits):
    async def story():
        one, other = commits(), commits()
        await one.run(create)
        await asyncio.gather(*(who.run(add) for _ in range(50) for who in (one, other)))
        [(used,)] = await commits(READ).run(lambda db: db.execute("SELECT sum(used) FROM counter").fetchall())
        assert (used, type(used)) == (100, int)

    asyncio.run(story())


def test_a_function_that_raises_undoes_its_own_work_only(commits):
    def wrong(connection):
        add(connection)
        raise ValueError("wrong")

    async def story():
        one = commits()
        await one.run(create)
        told = await asyncio.gather(one.run(add), one.run(wrong), one.run(add), return_exceptions=True)
        assert isinstance(told[1], ValueError)
        assert [row async for row in _rows(one)] == [(2,)]

    asyncio.run(story())


async def _rows(commits):
    for row in await commits.run(lambda db: db.execute("SELECT used FROM counter").fetchall()):
        yield row


def test_a_server_that_has_crashed_is_waited_for_and_reached_again(commits, postgres_servers):
    server = postgres_servers(any_version())

    async def story():
        one = commits()
        await one.run(create)
        await one.run(add)
        server.stop("immediate")
        waiting = asyncio.ensure_future(one.run(add))
        await asyncio.to_thread(server.start)
        await waiting
        assert [row async for row in _rows(one)] == [(2,)]

    asyncio.run(story())


def test_a_server_that_stays_away_is_for_later():
    async def story():
        away = BlockingConnection("postgresql://penny@127.0.0.1:1/away", application="test")
        commits = GroupCommit(away, name="test", reason=Reason.INTERNAL, begin=WRITE, is_world=postgres.is_world)
        with pytest.raises(Unavailable):
            await commits.run(add)
        await commits.close()

    asyncio.run(story())
