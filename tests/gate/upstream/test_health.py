"""When a mail server that could not be reached is asked again: a clock and chance by script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.upstream.health import RETRY_SECONDS_MAX, Health


def test_it_is_up_until_it_has_failed_and_news_is_told_once():
    health = Health()
    assert health.is_up
    assert not health.is_due(10.0)
    assert health.failed(10.0, lambda: 0.0)
    assert not health.is_up
    assert not health.failed(11.0, lambda: 0.0)
    assert health.down_since == 10.0
    assert health.succeeded()
    assert not health.succeeded()
    assert health.is_up


def test_the_wait_doubles_from_one_second_to_sixty():
    health, now, waits = Health(), 0.0, []
    for _ in range(9):
        health.failed(now, lambda: 0.0)
        waits.append(health.retry_at - now)
        assert not health.is_due(health.retry_at - 0.001)
        assert health.is_due(health.retry_at)
        now = health.retry_at
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    health.succeeded()
    health.failed(now, lambda: 0.0)
    assert health.retry_at == now + 1, "once it was back, all is forgotten"


def test_a_hundred_letters_that_fail_at_once_count_as_one():
    health = Health()
    for _ in range(100):
        health.failed(5.0, lambda: 0.0)
    assert (health.failures, health.retry_at) == (1, 6.0)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 2000))
def test_chance_shortens_the_wait_by_up_to_half_and_no_number_of_failures_breaks_it(chance, failures):
    health = Health(failures=failures - 1)
    health.failed(100.0, lambda: chance)
    whole = min(RETRY_SECONDS_MAX, 2.0 ** min(failures - 1, 10))
    assert 100.0 + whole / 2 <= health.retry_at <= 100.0 + whole
    assert health.retry_at == pytest.approx(100.0 + whole * (1 - chance / 2))
