"""Sockets that systemd passes: put where it puts them, and the program as it is started."""

import os
import signal
import smtplib
import socket
import subprocess
import sys
from contextlib import closing

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.town import BOB, Town, letter

from pennyred.programs.systemd.activation import PassedSockets


@pytest.fixture
def town(tmp_path):
    with MailServer() as server:
        yield Town.found(tmp_path, server.port, 'mode = "monitor"')


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=100) as made:
        yield made


def greeting(listener: socket.socket) -> bytes:
    with socket.create_connection(listener.getsockname(), 30) as client, client.makefile("rb") as lines:
        return lines.readline()


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_mail_comes_by_the_passed_socket_and_the_setting_is_not_used(town, listener, workers):
    with Served(town.settings, ("--workers", workers), (listener,)) as served:
        assert served.log[-1]["gate"] == [f"127.0.0.1:{listener.getsockname()[1]}"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", town.gate_port))
        with closing(smtplib.SMTP("127.0.0.1", listener.getsockname()[1])) as client:
            assert client.sendmail("ann@sender.example", BOB, letter()) == {}


def test_who_comes_while_the_service_starts_anew_is_served_afterwards(town, listener):
    with Served(town.settings, (), (listener,)):
        assert greeting(listener).startswith(b"220")
    early = socket.create_connection(listener.getsockname(), 30)
    with early, Served(town.settings, (), (listener,)), early.makefile("rb") as lines:
        assert lines.readline().startswith(b"220")


@pytest.mark.long
def test_a_worker_that_is_replaced_serves_on_it_too(town, listener):
    with Served(town.settings, ("--workers", "2"), (listener,)) as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        for worker in served.workers:
            os.kill(worker, signal.SIGKILL)
        served.wait_for(lambda line: line["event"] == "service.serving")
        assert greeting(listener).startswith(b"220")


def taken(script: str, *sockets: socket.socket, **environment: str) -> str:
    """What a process says that was passed these."""
    served = Served(None, (), sockets)
    return subprocess.check_output(
        [*served._passing(), sys.executable, "-c", "from pennyred.programs.systemd.activation import *\n" + script],
        pass_fds=[one.fileno() for one in sockets],
        env=os.environ | environment,
        text=True,
    ).strip()


SAY = """
try:
    passed = PassedSockets.from_environment(os.environ)
    print(*addresses(passed.gate), "|", *addresses(passed.office), "|", *(key for key in os.environ if "LISTEN" in key))
except ValueError as error:
    print(error)
"""


def test_the_socket_called_office_is_the_offices_and_nobody_else_hears_of_them(listener):
    with socket.create_server(("127.0.0.1", 0)) as office:
        gate, other = listener.getsockname()[1], office.getsockname()[1]
        assert taken(SAY, listener, office, LISTEN_FDNAMES="gate:office") == f"127.0.0.1:{gate} | 127.0.0.1:{other} |"
        assert taken(SAY, listener, office) == f"127.0.0.1:{gate} 127.0.0.1:{other} | |"
        assert "2 sockets for the office" in taken(SAY, listener, office, LISTEN_FDNAMES="office:office")


@pytest.mark.parametrize(
    ("make", "flaw"),
    [
        (socket.socket, "it does not listen"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "it does not listen"),
        (lambda: socket.socket(socket.AF_UNIX), "expected an address and a port"),
        (
            lambda: socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True),
            "expected BindIPv6Only=ipv6-only",
        ),
    ],
    ids=["not listening", "datagrams", "unix", "IPv4 by IPv6"],
)
def test_a_socket_that_will_not_do_is_named(make, flaw):
    with make() as made:
        assert flaw in taken(SAY, made)


def test_a_descriptor_that_is_no_socket_is_named(tmp_path):
    with (tmp_path / "file").open("w") as opened:
        assert "no socket" in taken(SAY, opened)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": ""},
        {"LISTEN_FDS": "one", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_what_is_for_another_process_is_left_alone(environment):
    assert PassedSockets.from_environment(dict(environment)) == PassedSockets()


def test_a_service_that_was_passed_nonsense_says_so_and_ends(town):
    with socket.socket(socket.AF_UNIX) as nonsense, pytest.raises(AssertionError) as ended:
        Served(town.settings, (), (nonsense,)).__enter__()
    assert "the program ended: 2" in str(ended.value)
    assert "expected an address and a port" in str(ended.value)
