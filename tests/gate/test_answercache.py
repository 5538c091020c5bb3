"""Bounded memory for answers: what is found, used and missing do not push each other out."""

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.answercache import AnswerCache


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_an_answer_holds_for_its_time_and_the_last_one_counts():
    clock = Clock()
    cache = AnswerCache(clock, entries_max=10)
    cache.put("a", 1, 60, is_found=True)
    clock.now = 59.9
    assert cache.get("a") == 1
    clock.now = 60
    assert cache.get("a") is None
    cache.put("a", 2, 60, is_found=False)
    assert cache.get("a") == 2
    assert len(cache) == 1


def test_what_is_missing_takes_a_quarter_of_the_room_and_nothing_of_what_was_found():
    cache = AnswerCache(Clock(), entries_max=40)
    for number in range(40):
        cache.put(number, "found", 60, is_found=True)
    for number in range(1000, 2000):
        cache.put(number, "missing", 60, is_found=False)
    assert all(cache.get(number) for number in range(40))
    assert len(cache) == 50


def test_what_was_asked_for_again_outlasts_what_was_asked_for_once_after_its_time_as_well():
    clock = Clock()
    cache = AnswerCache(clock, entries_max=40)
    cache.put("good", 1, 60, is_found=True)
    assert cache.get("good") == 1
    for minute in range(10):
        clock.now = 60.0 * (minute + 1)
        assert cache.get("good") is None
        for number in range(100):
            cache.put((minute, number), 1, 6000, is_found=True)
        cache.put("good", 1, 60, is_found=True)
        for number in range(100, 200):
            cache.put((minute, number), 1, 6000, is_found=True)
        assert cache.get("good") == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans(), st.integers(0, 60)), max_size=200))
def test_whatever_is_asked_the_bounds_hold_and_an_answer_is_the_last_one_given(steps):
    cache = AnswerCache(Clock(), entries_max=12, bytes_max=100)
    last = {}
    for key, is_putting, is_found, size in steps:
        if is_putting:
            last[key] = (key, is_found, size)
            cache.put(key, last[key], 60, is_found=is_found, size=size)
        else:
            assert cache.get(key) in (None, last.get(key))
        rooms = (cache._new, cache._used, cache._missing)
        for room in rooms:
            assert room.bytes == sum(entry.size for entry in room.entries.values())
        assert len(cache._new.entries) + len(cache._used.entries) <= 12
        assert len(cache._missing.entries) <= 3
        assert cache._new.bytes + cache._used.bytes <= 100
        assert len({key for room in rooms for key in room.entries}) == len(cache)
