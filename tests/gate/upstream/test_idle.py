"""Of the idle connections, whoever asks gets the one that a search through all of them would find."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.idle import IdleConnections

CLIENTS = [ClientIdentity(f"192.0.2.{number}") for number in range(3)]


@dataclass(eq=False)
class Line:
    """As much of a connection as matters here."""

    told: tuple[bytes, ...] = ()
    is_for_good: bool = False
    is_clean: bool = True
    has_to_tell: bool = True

    def lines_about(self, client: ClientIdentity) -> tuple[bytes, ...]:
        return (client.address.encode(),)


def told_of(number: int, *, is_for_good: bool = False) -> Line:
    return Line((CLIENTS[number].address.encode(),), is_for_good)


def knowing(lines: list[Line], client: ClientIdentity) -> list[Line]:
    return [one for one in lines if one.told == one.lines_about(client)]


def searched(lines: list[Line], client: ClientIdentity) -> Line | None:
    found = knowing(lines, client) or [one for one in lines if not one.is_for_good]
    return found[-1] if found else None


KINDS = st.builds(
    lambda number, is_for_good: Line() if number is None else told_of(number, is_for_good=is_for_good),
    st.none() | st.integers(0, 2),
    st.booleans(),
)
STEPS = st.lists(KINDS | st.integers(0, 2) | st.sampled_from(["oldest", "first", "all"]), max_size=30)


@given(STEPS)
def test_it_finds_what_a_search_would_find(steps: list[Line | int | str]) -> None:
    idle, lines = IdleConnections(), []
    for step in steps:
        if isinstance(step, Line):
            idle.add(step)
            lines.append(step)
        elif isinstance(step, int):
            assert idle.knowing(CLIENTS[step]) is next(reversed(knowing(lines, CLIENTS[step])), None)
            found = searched(lines, CLIENTS[step])
            assert idle.take(CLIENTS[step]) is found
            lines = [one for one in lines if one is not found]
        elif step == "all":
            assert idle.take_all() == lines
            lines = []
        elif step == "oldest":
            assert idle.take_oldest() is (lines.pop(0) if lines else None)
        elif lines:
            idle.remove(lines.pop(0))
        assert list(idle) == lines
        assert len(idle) == len(lines)


def test_where_nobody_is_told_any_of_them_will_do() -> None:
    idle = IdleConnections()
    assert idle.knowing(CLIENTS[0]) is None
    idle.add(first := Line(has_to_tell=False))
    idle.add(last := Line(has_to_tell=False))
    assert idle.knowing(CLIENTS[0]) is last
    idle.remove(last)
    assert idle.knowing(CLIENTS[0]) is first


def test_a_broken_one_makes_room_before_one_that_may_still_serve() -> None:
    idle = IdleConnections()
    good, broken = Line(), Line(is_clean=False)
    idle.add(good)
    idle.add(broken)
    assert idle.take_oldest() is broken
    assert idle.take_oldest() is good
