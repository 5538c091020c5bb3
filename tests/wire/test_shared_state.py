"""Two gates that share their state in PostgreSQL: what one has counted the other knows; the database may die."""

import time

import pytest
from tests.support.mailserver import MailServer
from tests.support.postgres import any_version
from tests.support.program import run_json
from tests.support.town import BOB, Town, letter


def test_a_database_that_is_new_is_no_reason_to_complain(tmp_path, postgres_database):
    town = Town.found(tmp_path, 25, f'state = "{postgres_database(any_version())}"')
    checked = run_json("--config", str(town.settings), "check", check=False)
    assert not [one for one in checked["complaints"] if one["key"] == "gate.state"]
    town.write('state = "postgresql://penny@127.0.0.1:1/away"')
    checked = run_json("--config", str(town.settings), "check", check=False)
    assert [one["what"] for one in checked["complaints"] if one["key"] == "gate.state"]


@pytest.fixture
def gates(tmp_path, postgres_database):
    """Two gates of one receiver, each a program of its own, with one office and one mail server."""
    state = f'state = "{postgres_database(any_version())}"\nmode = "bulk"\n[gate.allowance]\nper_day = 3\n[gate.authentication]\ncheck = "never"\n'
    with MailServer() as server:
        one = Town.found(tmp_path / "one", server.port, state)
        other = Town.found(tmp_path / "other", server.port, state)
        with one.serve(), other.serve():
            yield one, other


def test_an_allowance_is_shared_and_commands_work_on_it(gates):
    one, other = gates
    codes = [gate.send(letter(), BOB)[0] for gate in (one, other, one, other, one)]
    assert codes == [250, 250, 250, 550, 550]
    one.admin("permit", "add", BOB, "--domain=sender.example")
    assert [permit["name"] for permit in other.admin("permit", "list")["permits"]] == ["sender.example"]
    deadline = time.monotonic() + 30
    while other.admin("report")["recipients"] < 5:
        assert time.monotonic() < deadline, "figures are written every five seconds"
        time.sleep(0.5)


@pytest.mark.long
def test_a_database_that_dies_defers_what_needs_it_and_is_reached_again(gates, postgres_servers):
    one, _ = gates
    assert one.send(letter(), BOB)[0] == 250
    server = postgres_servers(any_version())
    server.stop("immediate")
    try:
        assert one.send(letter(), BOB)[0] == 451
    finally:
        server.start()
    assert one.send(letter(), BOB)[0] == 250
