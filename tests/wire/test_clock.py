"""A machine whose clock is wrong for a while: what the service has to remember is there when it is right again."""

import json
from contextlib import contextmanager

import pytest
from tests.support.moving_clock import MovingClock
from tests.support.town import BOB, Town, letter

DAY = 86_400


@pytest.fixture
def clock(tmp_path):
    return MovingClock(tmp_path / "offset")


@contextmanager
def serving(town, clock):
    with clock.for_programs(), town.serve() as served:
        yield served


def looked(served):
    """The log lines about clocks, once the ledger and the state have been looked after."""
    lines = [served.wait_for(lambda line: line["event"] == "clock.unsure") for _ in range(2)]
    assert {line["database"] for line in lines} == {"ledger", "state"}
    return lines


@pytest.mark.parametrize("days", [pytest.param(days, marks=pytest.mark.long) for days in (15, 400, -60)])
def test_a_clock_that_is_wrong_for_a_while_costs_nothing(tmp_path, mail_server, clock, days):
    town = Town.found(tmp_path, mail_server.port, "[gate.quarantine]\n")
    with serving(town, clock):
        town.fund(10)
        kept = town.stamped(letter("delivered"), BOB)
        assert town.send(kept, BOB)[0] == 250
        for number in range(5):
            assert town.send(letter(f"refused {number}"), BOB)[0] == 550
        town.admin("correspondents", "add", BOB, "friend@elsewhere.example")
    clock.move(days * DAY)
    with serving(town, clock) as served:
        for line in looked(served):
            assert round(line["seconds"] / DAY) == days
            assert "NTP" in line["do"]
        assert town.send(letter("while it is wrong"), BOB)[0] == 550
    clock.move(0)
    with serving(town, clock) as served:
        looked(served)
        assert town.send(town.stamped(letter("new"), BOB), BOB)[0] == 250, "no honest stamp is expired"
        assert "(duplicate)" in town.send(kept, BOB)[1]
        assert len(town.admin("refused", "list")["refused"]) == 6
        known = town.admin("correspondents", "list", "--user", BOB, "--with", "friend@elsewhere.example")
        assert "friend" in json.dumps(known)
    assert town.audit()["balanced"]


@pytest.mark.long
def test_a_clock_that_is_set_while_the_service_runs_is_said(tmp_path, mail_server, clock):
    """Once a minute somebody looks."""
    town = Town.found(tmp_path, mail_server.port)
    with serving(town, clock) as served:
        town.fund(1)
        clock.move(15 * DAY)
        lines = []
        for _ in range(3):
            try:
                lines.append(served.wait_for(lambda line: line["event"] == "clock.jumped"))
            except AssertionError:  # a minute has not passed yet
                continue
            break
        assert round(lines[0]["seconds"] / DAY) == 15
        assert not [line for line in served.log if line["event"] == "housekeeping.swept"]
        clock.move(0)
        assert town.send(town.stamped(letter(), BOB), BOB)[0] == 250
