"""Worker processes are replaced when they die, told to stop, and never outlive their supervisor."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys, time
from pennyred.programs.workers import supervisor
from pennyred.programs.workers.board import Board
from pennyred.programs.systemd.herald import Herald
from pennyred.programs.systemd.notify import ServiceManager
supervisor.RESTART_PAUSE_SECONDS = 0.01

class Log:
    def error(self, event, **facts):
        say("log", event, facts["worker"], facts.get("again_in_seconds", ""), facts.get("status", ""))

def say(*words):
    os.write(1, (" ".join(map(str, words)) + chr(10)).encode())  # in one piece: several speak at once

def work(number, life):
    def stop(*_):
        say("stopped", number)
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGQUIT, lambda *_: say("now", number))
    signal.signal(signal.SIGHUP, lambda *_: say("hup", number))
    say("started", number, os.getpid())
    {body}

def keep_books(others, life):
    signal.signal(signal.SIGTERM, lambda *_: (say("books closed"), os._exit(0)))
    say("books", *sorted(others), os.getpid())
    {books}

board = Board({count})
herald = Herald(board, ServiceManager("", {watchdog}))
ledger = keep_books if {has_books} else None
sys.exit(supervisor.Supervisor({count}, work, board, herald, Log(), ledger=ledger).run())
"""


class Running:
    """A supervisor in a process of its own; its workers' words as lines."""

    def __init__(self, count: int, body: str, watchdog: float | None = None, books: str = "") -> None:
        """`books` is what the ledger's process does, where there is one."""
        script = SCRIPT.format(count=count, body=body, watchdog=watchdog, books=books or "pass", has_books=bool(books))
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

    def line(self) -> list[str]:
        return self.process.stdout.readline().split()

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
        assert running.lines(1) == [["log", "worker.died", "0", "0.01", "-9"]]
        [second] = running.lines(1)
        assert second[:2] == ["started", "0"]
        assert second[2] != first[2]


def test_a_worker_that_dies_at_once_is_waited_for_longer_each_time():
    with Running(1, "os._exit(75)") as running:
        deaths = [line for line in running.lines(10) if line[0] == "log"]
    assert sorted(float(line[3]) for line in deaths) == [0.01, 0.02, 0.04, 0.08, 0.16]


def test_while_one_dies_again_and_again_another_is_replaced_and_signals_are_heard():
    with Running(2, "os._exit(1) if number else signal.pause()") as running:
        while (line := running.lines(1)[0])[:2] != ["started", "0"]:
            pass
        os.kill(int(line[2]), signal.SIGKILL)
        while running.lines(1)[0][:2] != ["started", "0"]:
            pass
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) in (0, 1)


def test_a_worker_whose_loop_hangs_is_aborted_and_replaced():
    body = """
    board.line(number).serving()
    while True:
        board.line(number).beat(0, 0)
        time.sleep(0.1 if number else 1000)
"""
    with Running(2, body.strip(), watchdog=1.0) as running:
        lines = running.lines(5)
        assert [line[:2] for line in lines if line[0] == "started"] == [["started", "0"]] * 2 + [["started", "1"]]
        assert [line[1:3] for line in lines if line[0] == "log"] == [["worker.died", "0"], ["worker.hangs", "0"]]
        assert f"-{int(signal.SIGABRT)}" in lines[0]


def test_a_worker_that_does_not_even_hear_sigabrt_is_killed():
    body = "os.kill(os.getpid(), signal.SIGSTOP)"
    with Running(1, body, watchdog=0.2) as running:
        lines = running.lines(4)
    assert f"-{int(signal.SIGKILL)}" in lines[0]


def test_a_second_signal_means_now_and_a_third_the_end():
    body = """signal.signal(signal.SIGTERM, lambda *_: say("waits"))
    say("listens")
    while True: signal.pause()"""
    with Running(1, body) as running:
        assert running.lines(1)[0][:1] == ["started"]
        for expected in (["listens"], ["waits"], ["now"]):
            assert running.lines(1)[0][:1] == expected
            running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == signal.SIGKILL


def test_a_worker_that_cannot_use_its_settings_ends_all():
    """Starting it again and again would change nothing."""
    with Running(2, "os._exit(2) if number else signal.pause()") as running:
        assert running.process.wait(20) == 2


FOREVER = "while True: signal.pause()"


def test_the_ledgers_process_is_started_first_and_ends_last():
    """So that no worker waits for it, and the last letters are settled."""
    body = """signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), say("last letter"), os._exit(0)))
    say("listens")
    while True: signal.pause()"""
    with Running(2, body, books=FOREVER) as running:
        running.lines(5)
        running.process.send_signal(signal.SIGTERM)
        assert [running.line() for _ in range(3)] == [["last", "letter"], ["last", "letter"], ["books", "closed"]]
        assert running.process.wait(20) == 0


def test_a_ledgers_process_that_is_killed_is_replaced_and_told_who_waits_for_it():
    with Running(2, FOREVER, books=FOREVER) as running:
        first, *_ = running.lines(3)
        assert first[0] == "books"
        assert len(first) == 2, "nobody has run before it"
        for _ in range(3):
            os.kill(int(first[-1]), signal.SIGKILL)
            assert running.line()[:3] == ["log", "worker.died", "ledger"]
            first = running.line()
            assert first[:3] == ["books", "0", "1"]


def test_a_ledgers_process_that_dies_while_letters_are_finished_is_replaced_once_more():
    body = """signal.signal(signal.SIGTERM, lambda *_: say("waits"))
    signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))
    say("listens")
    while True: signal.pause()"""
    with Running(1, body, books=FOREVER) as running:
        books = next(line for line in running.lines(3) if line[0] == "books")
        running.process.send_signal(signal.SIGTERM)
        assert running.line() == ["waits"]
        os.kill(int(books[-1]), signal.SIGKILL)
        assert running.line()[:3] == ["log", "worker.died", "ledger"]
        assert running.line()[:2] == ["books", "0"]
        running.process.send_signal(signal.SIGTERM)
        assert running.line() == ["books", "closed"]
        assert running.process.wait(20) == 0


def test_a_ledgers_process_that_does_not_end_is_killed_by_a_further_signal():
    books = 'signal.signal(signal.SIGTERM, lambda *_: say("waits for ever"))\n    while True: signal.pause()'
    with Running(1, FOREVER, books=books) as running:
        running.lines(2)
        running.process.send_signal(signal.SIGTERM)
        assert running.lines(2) == [["stopped", "0"], ["waits", "for", "ever"]]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == signal.SIGKILL


def test_a_ledgers_process_that_dies_at_once_is_waited_for_longer_each_time():
    with Running(1, FOREVER, books="os._exit(75)") as running:
        deaths = [line for line in (running.line() for _ in range(11)) if line[0] == "log"]
    assert [float(line[3]) for line in deaths] == [0.02, 0.04, 0.08, 0.16, 0.32]


def test_a_ledgers_process_that_hangs_is_aborted_and_replaced():
    body = """
    while True:
        board.line(number).beat(0, 0)
        time.sleep(0.1)
"""
    with Running(1, body.strip(), watchdog=1.0, books="time.sleep(1000)") as running:
        lines = [running.line() for _ in range(5)]
        assert [line[1:3] for line in lines if line[0] == "log"] == [
            ["worker.hangs", "ledger"],
            ["worker.died", "ledger"],
        ]


def test_a_ledgers_process_that_cannot_use_its_file_ends_all():
    with Running(1, FOREVER, books="os._exit(2)") as running:
        assert running.process.wait(20) == 2


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
