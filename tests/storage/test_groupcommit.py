"""Group commit: many callers, one transaction, nobody's mistake anybody else's trouble."""

import asyncio
import threading

import apsw
import pytest

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import groupcommit
from pennyred.storage.database import open_database
from pennyred.storage.groupcommit import GroupCommit


@pytest.fixture
def path(tmp_path):
    connection = open_database(tmp_path / "x.db")
    connection.execute("CREATE TABLE seen (x PRIMARY KEY)")
    connection.close()
    return tmp_path / "x.db"


def on(path, story):
    async def whole() -> None:
        commits = GroupCommit(open_database(path, busy_timeout_seconds=0.05), name="test", reason=Reason.INTERNAL)
        try:
            await story(commits)
        finally:
            await commits.close()

    asyncio.run(whole())


def seen(path):
    connection = open_database(path)
    rows = [x for (x,) in connection.execute("SELECT x FROM seen ORDER BY x")]
    connection.close()
    return rows


def insert(x):
    return lambda db: db.execute("INSERT INTO seen VALUES (?)", (x,)).fetchall()


def insert_all(calls):
    """A function that answers many, and notes how many it was given."""

    def function(db, requests):
        calls.append(len(requests))
        db.executemany("INSERT INTO seen VALUES (?)", [(request,) for request in requests])
        return [request * 2 for request in requests]

    return function


def hold_thread(commits):
    """Stops the thread inside a job until told to go on; gives back the event, and the waiting call."""
    started, go_on = threading.Event(), threading.Event()

    def work(_):
        started.set()
        go_on.wait()

    return started, go_on, asyncio.ensure_future(commits.run(work))


async def some_turns():
    """Lets callers ask, and what they ask be handed over."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_calls_of_one_turn_share_a_call_and_a_transaction(path):
    async def story(commits):
        calls = []
        function = insert_all(calls)
        assert await asyncio.gather(*(commits.answer(function, n) for n in range(50))) == [n * 2 for n in range(50)]
        assert calls == [50]

    on(path, story)
    assert seen(path) == list(range(50))


def test_what_gathers_during_a_transaction_goes_into_the_next(path):
    async def story(commits):
        calls = []
        function = insert_all(calls)
        started, go_on, first = hold_thread(commits)
        await asyncio.to_thread(started.wait)
        waiting = []
        for n in range(5):
            waiting.append(asyncio.ensure_future(commits.answer(function, n)))
            await some_turns()
        go_on.set()
        await asyncio.gather(first, *waiting)
        assert calls == [5]

    on(path, story)


def test_a_batch_is_bounded(path, monkeypatch):
    monkeypatch.setattr(groupcommit, "WEIGHT_PER_BATCH_MAX", 10)

    async def story(commits):
        calls = []
        function = insert_all(calls)
        started, go_on, first = hold_thread(commits)
        await asyncio.to_thread(started.wait)
        waiting = []
        for n in range(4):
            waiting.append(asyncio.ensure_future(commits.answer(function, n, weight=6)))
        await some_turns()
        go_on.set()
        await asyncio.gather(first, *waiting)
        assert calls == [2, 2]

    on(path, story)


def test_one_that_raises_does_not_fail_the_others(path):
    async def story(commits):
        told = await asyncio.gather(
            commits.run(insert(1)),
            commits.run(lambda _: 1 // 0),
            commits.run(insert(2)),
            commits.run(insert(1)),
            return_exceptions=True,
        )
        assert [type(answer) for answer in told] == [list, ZeroDivisionError, list, apsw.ConstraintError]

    on(path, story)
    assert seen(path) == [1, 2]


def test_one_that_raises_among_requests_of_one_function_does_not_fail_the_others(path):
    async def story(commits):
        function = insert_all([])
        told = await asyncio.gather(*(commits.answer(function, n) for n in (1, 2, 1)), return_exceptions=True)
        assert told[:2] == [2, 4]
        assert isinstance(told[2], apsw.ConstraintError)

    on(path, story)
    assert seen(path) == [1, 2]


def test_a_caller_that_is_cancelled_harms_nothing(path):
    async def story(commits):
        started, go_on, first = hold_thread(commits)
        await asyncio.to_thread(started.wait)
        leaving = asyncio.ensure_future(commits.run(insert(1)))
        staying = asyncio.ensure_future(commits.run(insert(2)))
        await asyncio.sleep(0)
        leaving.cancel()
        first.cancel()
        go_on.set()
        await staying
        assert leaving.cancelled()

    on(path, story)
    assert seen(path) == [1, 2]


def test_an_event_loop_that_ends_before_its_answer_harms_nothing(path):
    commits = GroupCommit(open_database(path), name="test", reason=Reason.INTERNAL)
    started, go_on = threading.Event(), threading.Event()

    def slow(db):
        started.set()
        go_on.wait()
        db.execute("INSERT INTO seen VALUES (1)")

    async def leave() -> None:
        asking = asyncio.ensure_future(commits.run(slow))
        await asyncio.to_thread(started.wait)
        asking.cancel()

    async def stay() -> None:
        go_on.set()
        await commits.run(insert(2))
        await commits.close()

    asyncio.run(leave())
    asyncio.run(stay())
    assert seen(path) == [1, 2]


def test_closing_finishes_what_was_asked_and_takes_nothing_more(path):
    async def story(commits):
        asked = [asyncio.ensure_future(commits.run(insert(n))) for n in range(20)]
        await asyncio.sleep(0)
        await commits.close()
        await asyncio.gather(*asked)
        with pytest.raises(Unavailable, match="closed"):
            await commits.run(insert(99))

    on(path, story)
    assert seen(path) == list(range(20))


def test_a_busy_database_is_later_for_the_whole_batch_and_not_for_ever(path):
    async def story(commits):
        blocker = open_database(path)
        blocker.execute("BEGIN IMMEDIATE")
        told = await asyncio.gather(*(commits.run(insert(n)) for n in range(3)), return_exceptions=True)
        assert all(isinstance(answer, Unavailable) and answer.reason is Reason.INTERNAL for answer in told)
        blocker.execute("ROLLBACK")
        blocker.close()
        await commits.run(insert(1))

    on(path, story)
    assert seen(path) == [1]


def test_too_many_waiting_is_later(path, monkeypatch):
    monkeypatch.setattr(groupcommit, "JOBS_WAITING_MAX", 3)

    async def story(commits):
        started, go_on, first = hold_thread(commits)
        await asyncio.to_thread(started.wait)
        waiting = [asyncio.ensure_future(commits.run(insert(n))) for n in range(2)]
        await some_turns()
        with pytest.raises(Unavailable, match="too many"):
            await commits.run(insert(99))
        go_on.set()
        await asyncio.gather(first, *waiting)
        await commits.run(insert(3))

    on(path, story)
    assert seen(path) == [0, 1, 3]


def test_many_event_loops_share_one_writer(path):
    commits = GroupCommit(open_database(path), name="test", reason=Reason.INTERNAL)

    def caller(first: int) -> None:
        async def ask() -> None:
            await asyncio.gather(*(commits.run(insert(n)) for n in range(first, first + 20)))

        asyncio.run(ask())

    threads = [threading.Thread(target=caller, args=(100 * number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(commits.close())
    assert len(seen(path)) == 100


def test_a_disk_that_fails_in_the_middle_is_later_and_nothing_is_half_done(path):
    async def story(commits):
        def fill(db):
            db.execute("INSERT INTO seen VALUES ('begun')")
            raise apsw.FullError

        told = await asyncio.gather(commits.run(insert(1)), commits.run(fill), return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in told)
        await commits.run(insert(2))

    on(path, story)
    assert seen(path) == [2]
