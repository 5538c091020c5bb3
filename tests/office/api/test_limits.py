"""So many a minute from each network, in bounded memory."""

from pennyred.gate.door.tally import Tally
from pennyred.office.api import limits
from pennyred.office.api.limits import PerMinute
from pennyred.programs.office_worker import SharedMinute


def test_a_network_has_its_share_and_no_more():
    limit = PerMinute(2)

    assert [limit.take("192.0.2.1", now=0), limit.take("192.0.2.99", now=59), limit.take("192.0.2.7", now=59)] == [
        True,
        True,
        False,
    ]
    assert limit.take("198.51.100.1", now=59)


def test_the_next_minute_is_a_new_one():
    limit = PerMinute(1)
    limit.take("192.0.2.1", now=0)

    assert limit.take("192.0.2.1", now=60)


def test_changing_the_64_buys_nothing_within_one_48():
    limit = PerMinute(1)

    assert limit.take("2001:db8:1:1::1", now=0)
    assert not limit.take("2001:db8:1:2::1", now=0)
    assert limit.take("2001:db8:2::1", now=0)


def test_who_cannot_be_told_apart_shares_one_count():
    limit = PerMinute(1)

    assert limit.take("", now=0)
    assert not limit.take("a unix socket", now=0)


def test_memory_is_bounded_however_many_networks_there_are(monkeypatch):
    monkeypatch.setattr(limits, "NETWORKS_MAX", 3)
    limit = PerMinute(2)
    taken = [limit.take(f"192.0.{number}.1", now=0) for number in range(9)]

    assert taken == [True] * 5 + [False] * 4
    assert len(limit._taken) <= 4


def test_all_workers_count_together_and_each_thing_by_itself():
    now = [0.0]
    tally = Tally(2, 1, clock=lambda: now[0])
    openings = [PerMinute(2, SharedMinute(tally.of(worker), b"opening ")) for worker in (0, 1)]
    proof = PerMinute(2, SharedMinute(tally.of(0), b"proof "))
    assert [openings[n % 2].take("192.0.2.1", now=0) for n in range(4)] == [True, True, False, False]
    assert openings[1].take("198.51.100.1", now=0)
    assert proof.take("192.0.2.1", now=0)
    now[0] += 60
    assert openings[1].take("192.0.2.1", now=0)
    tally.clear(1)
    assert openings[0].take("192.0.2.1", now=0)
