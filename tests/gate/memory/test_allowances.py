"""The counters of what came free."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.state_file import NOW, teller_of, time_passes

from pennyred.gate.memory.store import GateState
from pennyred.postage.errors import Unavailable
from pennyred.storage.database import open_database
from pennyred.storage.migrations import SchemaTooNew

TODAY = NOW // 86_400


@dataclass(frozen=True)
class Claim:
    key: str
    count: int = 1
    limit: int = 3


on = teller_of("allowances")


def test_an_allowance_may_be_used_up_and_not_passed(path):
    async def story(allowances):
        assert [await allowances.take(TODAY, [Claim("a")]) for _ in range(5)] == [True] * 3 + [False] * 2
        assert await allowances.take(TODAY, [Claim("b", count=3)])
        assert not await allowances.take(TODAY, [Claim("c", count=4)])
        assert await allowances.take(TODAY, [Claim("c", count=3)]), "what was refused was not counted"

    on(path, story)


def test_all_claims_are_counted_or_none(path):
    async def story(allowances):
        assert not await allowances.take(TODAY, [Claim("small"), Claim("full", limit=0), Claim("other")])
        assert await allowances.take(TODAY, [Claim("small", count=3), Claim("other", count=3)])

    on(path, story)


def test_the_same_key_twice_in_one_request_counts_twice(path):
    async def story(allowances):
        assert not await allowances.take(TODAY, [Claim("a", 2), Claim("a", 2)])
        assert await allowances.take(TODAY, [Claim("a", 2), Claim("a", 1)])
        assert not await allowances.take(TODAY, [Claim("a")])

    on(path, story)


def test_no_claims_are_always_granted(path):
    async def story(allowances):
        assert await allowances.take(TODAY, [])
        await allowances.give_back(TODAY, [])

    on(path, story)


def test_what_was_not_delivered_is_given_back_and_no_more_than_was_taken(path):
    async def story(allowances):
        await allowances.take(TODAY, [Claim("a", 3), Claim("b", 1)])
        await allowances.give_back(TODAY, [Claim("a", 2), Claim("b", 2), Claim("never taken", 5)])
        assert await allowances.take(TODAY, [Claim("a", 2), Claim("b", 3), Claim("never taken", 3)])
        assert not await allowances.take(TODAY, [Claim("a")])

    on(path, story)


def test_each_utc_day_begins_anew_and_yesterday_can_still_be_given_back_to(path):
    async def story(allowances):
        await allowances.take(TODAY, [Claim("a", 3)])
        assert await allowances.take(TODAY + 1, [Claim("a", 3)])
        await allowances.give_back(TODAY, [Claim("a", 1)])
        assert await allowances.take(TODAY, [Claim("a", 1)])
        assert not await allowances.take(TODAY + 1, [Claim("a")])

    on(path, story)


def test_older_days_are_forgotten(file):
    async def story(allowances):
        await allowances.take(TODAY, [Claim("a", 3), Claim("b", 3)])
        await time_passes(file, (TODAY + 2) * 86_400)
        await allowances.take(TODAY + 2, [Claim("a", 3)])
        await allowances.give_back(TODAY, [Claim("a", 3)])

    on(file, story)
    connection = open_database(file)
    assert connection.execute("SELECT day, used FROM counter").fetchall() == [(TODAY + 2, 3)]
    connection.close()


def test_counters_survive_a_restart_and_are_shared_by_workers(path):
    async def use(allowances):
        assert await allowances.take(TODAY, [Claim("a", 2)])

    async def other_worker(allowances):
        other = GateState.open(path, now=NOW)
        assert await allowances.take(TODAY, [Claim("a", 1)])
        assert not await other.allowances.take(TODAY, [Claim("a", 1)])
        await other.close()

    on(path, use)
    on(path, other_worker)


def test_of_many_at_once_as_many_pass_as_the_limit_says(path):
    async def story(allowances):
        told = await asyncio.gather(*(allowances.take(TODAY, [Claim("a", limit=7), Claim(f"{n}")]) for n in range(40)))
        assert sum(told) == 7

    on(path, story)


def test_nobodys_address_is_stored(file):
    async def story(allowances):
        await allowances.take(TODAY, [Claim("bounce 192.0.2.0/24 jane@example.org")])

    on(file, story)
    stored = b"".join(one.read_bytes() for one in file.parent.iterdir())
    assert b"jane" not in stored
    assert b"192.0.2" not in stored


@given(claims=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.booleans()), min_size=1, max_size=12))
def test_counting_agrees_with_a_plain_count(tmp_path_factory, claims):
    async def story(allowances):
        used = dict.fromkeys("abc", 0)
        for key, count, is_taking in claims:
            if is_taking:
                expected = used[key] + count <= 4
                assert await allowances.take(TODAY, [Claim(key, count, 4)]) == expected
                used[key] += count if expected else 0
            else:
                await allowances.give_back(TODAY, [Claim(key, count, 4)])
                used[key] = max(0, used[key] - count)

    on(tmp_path_factory.mktemp("state") / "gate.db", story)


def test_a_state_that_does_not_answer_is_later(tmp_path, file):
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable):
        GateState.open(file, now=NOW)
    with pytest.raises(Unavailable):
        GateState.open(tmp_path / "nowhere" / "gate.db", now=NOW)


def test_a_state_of_a_later_version_is_left_alone(file):
    async def nothing(_):
        return

    on(file, nothing)
    connection = open_database(file)
    connection.execute("INSERT INTO schema_migration VALUES (9999, 'future', 'x', 1)")
    connection.close()
    with pytest.raises(SchemaTooNew):
        GateState.open(file, now=NOW)
