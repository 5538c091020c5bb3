"""The circuit breaker, on a clock that is set."""

from pennyred.gate.issuers.circuit import FAILURES_MAX, PAUSE_SECONDS_MAX, Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[Circuit, Clock]:
    clock = Clock()
    circuit = Circuit(clock, lambda: 0.5, pause_seconds=1.0)
    assert [circuit.failed() for _ in range(FAILURES_MAX)] == [False] * (FAILURES_MAX - 1) + [True]
    return circuit, clock


def test_everybody_may_ask_until_it_failed_often_in_a_row():
    circuit = Circuit(Clock(), lambda: 0.5)
    for _ in range(3):
        for _ in range(FAILURES_MAX - 1):
            assert not circuit.failed()
        assert circuit.admits()
        assert not circuit.close()


def test_open_it_admits_one_after_a_pause_that_doubles():
    circuit, clock = opened()
    pause = 1.0
    for _ in range(8):
        assert not circuit.admits()
        clock.now += pause - 0.1
        assert not circuit.admits()
        clock.now += 0.1
        assert circuit.admits()
        assert not circuit.admits()
        circuit.failed()
        pause = min(2 * pause, PAUSE_SECONDS_MAX)


def test_the_first_success_closes_it_and_all_begins_anew():
    circuit, clock = opened()
    clock.now += 1
    assert circuit.admits()
    assert circuit.close()
    assert circuit.admits()
    assert circuit.admits()
    assert not circuit.failed()
