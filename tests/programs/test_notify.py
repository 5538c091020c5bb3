"""What systemd hears of the service: a unix datagram socket in its place, and the program as it is started."""

import os
import signal
import socket
import time

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import WAIT_SECONDS, Served
from tests.support.systemd import Systemd
from tests.support.town import Town, letter

from pennyred.programs.systemd.notify import ServiceManager


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture
def served_under(tmp_path, mail_server, monkeypatch):
    """Serves a town under a systemd."""

    def serve(systemd: Systemd, *arguments: str) -> tuple[Town, Served]:
        for name, value in systemd.environment.items():
            monkeypatch.setenv(name, value)
        town = Town.found(tmp_path, mail_server.port)
        return town, Served(town.settings, arguments)

    return serve


@pytest.mark.parametrize("address", ["{}/notify", "@pennyred-test-{}"])
def test_a_socket_with_a_path_and_one_without_are_spoken_to(tmp_path, address):
    with Systemd(address.format(tmp_path if address.startswith("{") else os.getpid())) as systemd:
        ServiceManager.from_environment(systemd.environment).tell("READY=1", "STATUS=well")
        assert systemd.until("STATUS") == ["READY=1", "STATUS=well"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "/" + "x" * 500},
    ],
)
def test_nobody_to_tell_costs_nothing(environment):
    ServiceManager.from_environment(environment).tell("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(environment, seconds):
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": "/x"} | environment)
    assert manager.watchdog_seconds == seconds


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_a_service_is_ready_reloads_and_stops(served_under, tmp_path, workers):
    with Systemd(f"{tmp_path}/notify") as systemd:
        town, served = served_under(systemd, "--workers", workers)
        with served:
            assert "READY=1" in systemd.until(f"STATUS={workers} of {workers} workers serving")
            before = time.monotonic_ns() // 1000
            town.write('mode = "bulk"')
            served.process.send_signal(signal.SIGHUP)
            reloading = systemd.until("RELOADING=1")
            [stamp] = [one.partition("=")[2] for one in reloading if one.startswith("MONOTONIC_USEC=")]
            assert before <= int(stamp) <= time.monotonic_ns() // 1000
            assert "READY=1" not in reloading
            systemd.until("READY=1")
            assert town.send(letter(), "bob@example.org")[0] == 250, "all workers have reread when it is ready"
            town.write('mode = "nonsense"')
            served.process.send_signal(signal.SIGHUP)
            systemd.until("RELOADING=1")
            systemd.until("STATUS=")
            served.process.terminate()
            systemd.until("STOPPING=1")
            assert served.process.wait(WAIT_SECONDS) == 0


def test_settings_that_were_refused_are_seen_in_the_status(served_under, tmp_path):
    with Systemd(f"{tmp_path}/notify") as systemd:
        town, served = served_under(systemd)
        with served:
            systemd.until("READY=1")
            town.write('mode = "nonsense"')
            served.process.send_signal(signal.SIGHUP)
            heard = systemd.until(
                "STATUS=1 of 1 workers serving, 0 connections, 0 letters in hand; settings not reread"
            )
            assert "READY=1" in heard, "it goes on by the old ones"


def test_letters_and_connections_are_in_the_status(served_under, tmp_path, mail_server):
    with Systemd(f"{tmp_path}/notify") as systemd:
        town, served = served_under(systemd)
        with served, socket.create_connection(("127.0.0.1", town.gate_port)) as client:
            lines = client.makefile("rb")
            lines.readline()
            let_it_answer = mail_server.hold_back(b".")
            for command in (b"HELO x", b"MAIL FROM:<a@x.example>", b"RCPT TO:<postmaster@example.org>", b"DATA"):
                client.sendall(command + b"\r\n")
                lines.readline()
            client.sendall(letter() + b".\r\n")
            systemd.until("STATUS=1 of 1 workers serving, 1 connections, 1 letters in hand")
            let_it_answer()
            assert lines.readline().startswith(b"250")
            systemd.until("STATUS=1 of 1 workers serving, 1 connections, 0 letters in hand")


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_the_watchdog_is_fed_while_the_loops_turn(served_under, tmp_path, workers):
    with Systemd(f"{tmp_path}/notify", watchdog_seconds=10) as systemd:
        _, served = served_under(systemd, "--workers", workers)
        with served:
            systemd.until("READY=1")
            for _ in range(2):
                systemd.until("WATCHDOG=1")


def test_the_watchdog_starves_while_the_only_loop_hangs(served_under, tmp_path):
    """Then systemd does what has to be done."""
    with Systemd(f"{tmp_path}/notify", watchdog_seconds=1) as systemd:
        _, served = served_under(systemd)
        with served:
            systemd.until("WATCHDOG=1")
            os.kill(served.process.pid, signal.SIGSTOP)
            systemd.socket.settimeout(2)
            with pytest.raises(TimeoutError):
                systemd.until("nothing")
            os.kill(served.process.pid, signal.SIGCONT)
            systemd.socket.settimeout(WAIT_SECONDS)
            systemd.until("WATCHDOG=1")
