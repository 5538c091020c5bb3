"""Time that has really passed: what clocks say, set ahead, behind, or differing, against what may be forgotten."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.memory.store import GateState
from pennyred.storage import passing
from pennyred.storage.passing import JUMP_SECONDS, SILENT_SECONDS, UNSEEN_SECONDS, Looker, believe

NOW = 1_790_000_000
HOUR, DAY = 3600, 86_400


class Database:
    """What a database keeps between looks."""

    def __init__(self):
        self.clocks = {}
        self.believed = self.clock = 0


class World:
    """Time as it really is, and machines whose clocks may say something else."""

    def __init__(self):
        self.now = NOW
        self.database = Database()
        self.machines = []

    def machine(self, error=0):
        machine = Machine(self, error)
        self.machines.append(machine)
        return machine

    def live(self, seconds, *machines, every=60):
        """Let time pass, in which these look."""
        for _ in range(seconds // every):
            self.now += every
            for machine in machines:
                machine.look()

    @property
    def until(self):
        """What may be forgotten, seen from now: below 0 it is of the past."""
        return self.found.until - self.now


class Machine:
    def __init__(self, world, error):
        self.world = world
        self.error = error
        self.start()

    def start(self):
        """A new process."""
        self.looker = Looker(lambda: self.world.now + self.error, monotonic=lambda: float(self.world.now))
        return self.look()

    def look(self):
        database = self.world.database
        own = database.clocks[self.looker.name] = self.looker.clock()
        clocks = list(database.clocks.items())
        found, memory, gone = self.looker.weigh(clocks, database.believed, database.clock, own)
        for name in gone:
            database.clocks.pop(name, None)
        database.believed, database.clock = found.believed, found.clock
        self.looker.keep(memory)
        self.world.found = found
        return found


def test_while_all_is_well_it_goes_with_the_clock():
    world = World()
    machine = world.machine()
    world.live(DAY, machine)
    assert world.until == 0
    world.now += 600  # a restart
    machine.start()
    assert -600 <= world.until < 0
    world.live(HOUR, machine)
    assert world.until == 0


@pytest.mark.parametrize("error", [15 * DAY, 400 * DAY, 100 * 365 * DAY])
def test_a_clock_that_is_set_ahead_moves_it_by_no_more_than_passes_while_it_is(error):
    world = World()
    machine = world.machine()
    world.live(DAY, machine)
    machine.error = error
    assert machine.look().jumped_seconds == error
    world.live(6 * HOUR, machine)
    assert 0 <= world.until <= 6 * HOUR
    machine.start()
    assert world.until <= 6 * HOUR
    machine.error = 0
    assert machine.start().unseen_seconds == -error
    assert world.until == 0


@pytest.mark.parametrize("error", [-15 * DAY, -20 * 365 * DAY])
def test_a_clock_that_is_set_back_stops_it_and_costs_nothing_later(error):
    world = World()
    machine = world.machine()
    world.live(DAY, machine)
    machine.error = error
    assert machine.look().jumped_seconds == error
    assert world.until == error
    world.live(6 * HOUR, machine)
    machine.error = 0
    machine.look()
    assert -13 * HOUR <= world.until <= 0
    world.live(14 * HOUR, machine)
    assert world.until == 0


def test_a_machine_that_was_off_for_three_weeks_makes_up_for_them_in_three_weeks():
    world = World()
    machine = world.machine()
    world.live(DAY, machine)
    world.now += 21 * DAY
    assert machine.start().unseen_seconds == 21 * DAY
    for days in range(21):
        assert -(21 - days) * DAY - 2 * SILENT_SECONDS <= world.until <= -(21 - days) * DAY + 120
        world.live(DAY, machine, every=600)
    world.live(HOUR, machine)
    assert world.until == 0


def test_one_wrong_clock_of_several_does_no_harm():
    world = World()
    right, other, wrong = world.machine(), world.machine(), world.machine(15 * DAY)
    world.live(30 * DAY, right, other, wrong, every=600)
    assert world.until == 0
    wrong.error = -15 * DAY
    world.live(DAY, right, other, wrong, every=600)
    assert world.until <= -14 * DAY  # waits, and says so
    assert right.look().earliest == world.now - 15 * DAY
    world.live(int(SILENT_SECONDS) + 120, right, other)  # it was switched off
    assert -2 * DAY - HOUR < world.until <= 0
    world.live(3 * DAY, right, other, every=600)
    assert world.until == 0


def test_many_processes_move_it_on_no_faster_than_one():
    world = World()
    machines = [world.machine() for _ in range(20)]
    world.live(HOUR, *machines)
    for machine in machines:
        machine.error = 15 * DAY
    world.live(6 * HOUR, *machines)
    assert world.until <= 6 * HOUR + 120


def test_who_looks_no_more_is_forgotten_and_they_are_never_too_many(monkeypatch):
    world = World()
    for _ in range(50):
        world.machine(-100 * DAY)
    world.machines.clear()
    machine = world.machine()
    assert len(world.database.clocks) == 51
    world.live(int(SILENT_SECONDS) + 120, machine)
    assert list(world.database.clocks) == [machine.looker.name]
    monkeypatch.setattr(passing, "LOOKERS_MAX", 10)
    for _ in range(50):
        world.machine()
    assert len(world.database.clocks) <= 11


def test_small_corrections_and_short_pauses_are_not_worth_a_word():
    world = World()
    machine = world.machine()
    for error in (2, -2, JUMP_SECONDS - 2, 0):
        machine.error = error
        world.live(60, machine)
        assert (world.found.jumped_seconds, world.found.unseen_seconds) == (0, 0)
    world.now += UNSEEN_SECONDS - 60
    assert machine.start().unseen_seconds == 0


@given(st.lists(st.tuples(st.integers(0, 10 * DAY), st.integers(-500 * DAY, 500 * DAY), st.booleans()), max_size=30))
def test_whatever_clocks_say_it_is_never_further_than_twice_what_has_passed(steps):
    world = World()
    machine = world.machine()
    for seconds, error, is_new in steps:
        world.now += seconds
        machine.error = error
        found = machine.start() if is_new else machine.look()
        passed = world.now - NOW
        assert found.until <= min(found.clock, found.believed)
        assert NOW - passed <= found.believed <= NOW + 2 * passed


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.floats(0, 10**7), st.integers(0, 10**10))
def test_it_goes_towards_the_clock_and_not_past_it(believed, seen, passed, clock):
    new = believe(believed, seen, passed, clock)
    assert min(believed, clock) <= new <= max(believed, clock)


class TestInAState:
    """The same rows for SQLite and PostgreSQL."""

    @pytest.fixture(params=["sqlite", "postgresql-15"])
    def path(self, request, tmp_path):
        if request.param == "sqlite":
            return tmp_path / "gate.db"
        return request.getfixturevalue("postgres_database")(15)

    def test_what_was_found_is_kept_and_shared(self, path):
        passed = [0.0]

        async def story():
            one, other = (GateState.open(path, now=NOW) for _ in range(2))
            right = Looker(lambda: NOW + int(passed[0]), monotonic=lambda: passed[0])
            wrong = Looker(lambda: NOW + 15 * DAY, monotonic=lambda: passed[0])
            assert (await one.passed.look(right)).until == NOW
            assert (await other.passed.look(wrong)).until == NOW
            for _ in range(10):
                passed[0] += 100
                assert (await one.passed.look(right)).until == NOW + int(passed[0])
                assert (await other.passed.look(wrong)).until == NOW + int(passed[0])
            await one.close()
            await other.close()
            again = GateState.open(path, now=NOW)
            late = Looker(lambda: NOW + 400 * DAY, monotonic=lambda: 0.0)
            found = await again.passed.look(late)
            assert (found.until, found.unseen_seconds) == (NOW + 1000, 385 * DAY)
            await again.close()

        asyncio.run(story())
