"""Counts that several processes keep together: each is what was counted, whoever dies, and nobody's is another's."""

import os
import signal
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.door.tally import COUNT_MAX, Table, Tally

NAMES = [b"192.0.2.%d" % number for number in range(6)]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(NAMES), st.sampled_from(["in", "out", "dies"]))))
def test_all_workers_see_what_each_has_counted_and_nothing_of_the_dead(events):
    tally = Tally(3, 100)
    workers = [tally.of(number) for number in range(3)]
    inside: list[tuple[int, bytes, int]] = []
    for number, name, event in events:
        if event == "in":
            inside.append((number, name, workers[number].enter(workers[number].network(name)[0])))
        elif event == "dies":
            tally.clear(number)
            inside = [one for one in inside if one[0] != number]
        elif found := next((one for one in inside if one[:2] == (number, name)), None):
            inside.remove(found)
            workers[number].leave(found[2])
    counted = Counter(name for _, name, _ in inside)
    for worker in workers:
        assert worker.connections == len(inside)
        assert [worker.network(name)[1] for name in NAMES] == [counted[name] for name in NAMES]


def test_a_killed_process_leaves_only_what_is_cleared_then():
    tally = Tally(2, 100)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        child = tally.of(1)
        child.enter(child.network(b"192.0.2.1")[0])
        os.write(tell, b"x")
        signal.pause()
        os._exit(0)
    os.read(told, 1)
    parent = tally.of(0)
    assert (parent.connections, parent.network(b"192.0.2.1")[1]) == (1, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    tally.clear(1)
    assert (parent.connections, parent.network(b"192.0.2.1")[1]) == (0, 0)
    for end in (told, tell):
        os.close(end)


def test_however_many_others_there_are_nobody_is_counted_for_them():
    """Whoever has a /32 of IPv6 cannot make anybody else look busy."""
    tally = Tally(2, 50)
    worker = tally.of(0)
    for number in range(20_000):
        worker.enter(worker.network(b"%d" % number)[0])
        worker.add_bad_stamps(b"%d" % number, 1000)
    assert [tally.of(1).network(name)[1] for name in NAMES] == [0] * len(NAMES)
    assert [tally.of(1).bad_stamps(name) for name in NAMES] == [0] * len(NAMES)


def test_one_that_found_no_room_takes_nobody_elses_count_away():
    tally = Tally(1, 1)
    worker = tally.of(0)
    tickets = [worker.enter(worker.network(b"%d" % number)[0]) for number in range(5000)]
    assert 0 in tickets
    name = b"%d" % tickets.index(0)
    for number, ticket in enumerate(tickets):
        if b"%d" % number != name and ticket:
            worker.leave(ticket)
    key, _ = worker.network(name)
    ticket = worker.enter(key)
    worker.leave(0)
    assert worker.network(name)[1] == 1
    worker.leave(ticket)
    assert worker.network(name)[1] == 0


def test_all_that_may_be_connected_are_counted_but_for_a_few():
    tally = Tally(2, 2000)
    worker = tally.of(0)
    tickets = [worker.enter(worker.network(b"%d" % number)[0]) for number in range(2000)]
    assert tickets.count(0) < 100


def test_bad_stamps_are_counted_by_the_minute():
    now = 100.0
    tally = Tally(2, 10, clock=lambda: now)
    tally.of(0).add_bad_stamps(NAMES[0], 2)
    tally.of(1).add_bad_stamps(NAMES[0], 3)
    assert tally.of(0).bad_stamps(NAMES[0]) == 5
    assert tally.of(0).bad_stamps(NAMES[1]) == 0
    now = 130.0
    assert tally.of(0).bad_stamps(NAMES[0]) == 0
    tally.of(0).add_bad_stamps(NAMES[0], 1)
    assert tally.of(0).bad_stamps(NAMES[0]) == 1


def test_a_count_does_not_run_over():
    table = Table(1, 10)
    for _ in range(3):
        table.add(0, 12345 << 16, COUNT_MAX)
    assert table.count(12345 << 16) == COUNT_MAX
