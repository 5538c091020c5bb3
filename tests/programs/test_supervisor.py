"""Worker processes are replaced when they die, told to stop, and never outlive their supervisor."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from pennyred.programs.supervisor import Supervisor

SCRIPT = """
import os, signal, sys
from pennyred.programs import supervisor
supervisor.RESTART_PAUSE_SECONDS = 0.01

def say(*words):
    os.write(1, (" ".join(map(str, words)) + chr(10)).encode())  # in one piece: several speak at once

def work(number, life):
    def stop(*_):
        say("stopped", number)
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, lambda *_: say("hup", number))
    say("started", number, os.getpid())
    {body}

sys.exit(supervisor.Supervisor({count}, work).run())
"""


class Running:
    """A supervisor in a process of its own; its workers' words as lines."""

    def __init__(self, count: int, body: str) -> None:
        script = SCRIPT.format(count=count, body=body)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its workers too, whatever the test has left of them
        self.process.wait()
        self.process.stdout.close()

    def lines(self, count: int) -> list[list[str]]:
        return sorted(self.process.stdout.readline().split() for _ in range(count))


def test_each_worker_starts_and_stops_with_the_supervisor():
    with Running(2, "while True: signal.pause()") as running:
        assert [line[:2] for line in running.lines(2)] == [["started", "0"], ["started", "1"]]
        running.process.send_signal(signal.SIGTERM)
        assert running.lines(2) == [["stopped", "0"], ["stopped", "1"]]
        assert running.process.wait(20) == 0


def test_a_worker_that_dies_is_replaced():
    with Running(1, "while True: signal.pause()") as running:
        [first] = running.lines(1)
        os.kill(int(first[2]), signal.SIGKILL)
        [second] = running.lines(1)
        assert second[:2] == ["started", "0"]
        assert second[2] != first[2]


def test_a_worker_that_cannot_use_its_settings_ends_all():
    """Starting it again and again would change nothing."""
    with Running(2, "os._exit(2) if number else signal.pause()") as running:
        assert running.process.wait(20) == 2


def test_a_signal_for_a_worker_that_has_just_been_buried_ends_nothing(monkeypatch):
    """Between waiting for it and striking it off the list."""
    supervisor = Supervisor(1, lambda *_: 0)
    told = []
    monkeypatch.setattr(supervisor, "_workers", {1: 0, 2: 1})

    def kill(pid, signum):
        if pid == 1:
            raise ProcessLookupError
        told.append((pid, signum))

    monkeypatch.setattr(os, "kill", kill)
    supervisor._stop(signal.SIGTERM, None)
    assert told == [(2, signal.SIGTERM)]


def test_hup_is_passed_on():
    with Running(2, "while True: signal.pause()") as running:
        running.lines(2)
        running.process.send_signal(signal.SIGHUP)
        assert running.lines(2) == [["hup", "0"], ["hup", "1"]]


def test_no_worker_outlives_a_killed_supervisor():
    """The pipe that every worker is given ends with the supervisor."""
    with Running(1, "os.read(life, 1); say('alone')") as running:
        running.lines(1)
        running.process.kill()
        assert running.lines(1) == [["alone"]]


def test_the_package_is_found_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pennyred", "--version"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert Path(tmp_path).exists()
