"""The process that has the ledger's file for all workers: it is killed, stopped and orphaned, and no letter is the worse."""

import os
import signal
import smtplib
import stat
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.ledger_process import ledger_process
from tests.support.mailserver import MailServer
from tests.support.program import WAIT_SECONDS, run
from tests.support.real_postfix import free_port
from tests.support.town import BOB, Town, letter

KILLS = 5
CLIENTS = 4
WORKERS = ("--workers", "2")


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture
def town(tmp_path, mail_server):
    return Town.found(tmp_path, mail_server.port, "", "daily_cap = 1000000")


class Load:
    """Letters from several clients at once, until it is left; each is tried once."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.answers: list[tuple[int, str]] = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(number,)) for number in range(CLIENTS)]

    def send(self, client: int) -> None:
        number = 0
        while not self.is_over.is_set():
            number += 1
            stamped = self.town.stamped(letter(f"{client} {number}"), BOB)
            try:
                self.answers.append(self.town.send(stamped, BOB))
            except (OSError, smtplib.SMTPException):  # the service has gone
                return

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(WAIT_SECONDS)

    def wait_for_more(self, count: int = 10) -> None:
        wanted, deadline = len(self.answers) + count, time.monotonic() + WAIT_SECONDS
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, self.answers[-5:]
            time.sleep(0.01)


def test_killed_again_and_again_it_defers_no_letter_and_each_is_charged_once(town):
    with town.serve(*WORKERS) as served:
        town.fund(10_000)
        with Load(town) as load:
            for _ in range(KILLS):
                load.wait_for_more()
                os.kill(ledger_process(served, town.folder), signal.SIGKILL)
            load.wait_for_more()
        assert {code for code, _ in load.answers} == {250}, [one for one in load.answers if one[0] != 250]
        assert town.balance() == (len(load.answers), 0)
        audit = town.audit()
    assert audit["balanced"]
    assert (audit["settled"], audit["held"]) == (len(load.answers), 0)
    served.forget()
    died = [line for line in served.log if line["event"] == "worker.died"]
    assert [line["worker"] for line in died] == ["ledger"] * KILLS


def test_stopped_under_load_every_letter_that_heard_yes_is_settled(town):
    with town.serve(*WORKERS) as served:
        town.fund(10_000)
        with Load(town) as load:
            load.wait_for_more(20)
            served.process.send_signal(signal.SIGTERM)
            load.is_over.set()
        assert served.process.wait(WAIT_SECONDS) == 0
    taken = sum(code == 250 for code, _ in load.answers)
    served.forget()
    events = [line["event"] for line in served.log]
    assert "outbox.waiting" not in events
    assert events[-1] == "ledger.stopped", "it ends last"
    audit = town.audit()
    assert (audit["settled"], audit["held"]) == (taken, 0)


def test_all_end_with_a_killed_supervisor_and_the_next_service_finds_all_in_order(town):
    with town.serve(*WORKERS) as served:
        town.fund(10)
        assert town.send(town.stamped(letter("one"), BOB), BOB)[0] == 250
        children = served.workers
        served.process.kill()
        deadline = time.monotonic() + WAIT_SECONDS
        while any(Path(f"/proc/{pid}/cmdline").exists() for pid in children):
            assert time.monotonic() < deadline, "some process is left"
            time.sleep(0.05)
    with town.serve(*WORKERS):
        assert town.send(town.stamped(letter("two"), BOB), BOB)[0] == 250
        assert town.balance() == (2, 0)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_commands_work_beside_a_service_and_without_one(town, tmp_path, workers):
    socket = town.folder / "ledger.db.socket"
    with town.serve("--workers", workers):
        town.fund(10)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert town.send(town.stamped(letter("one"), BOB), BOB)[0] == 250
        assert town.balance() == (1, 0)
        assert town.admin("ledger", "audit")["settled"] == 1
        assert town.admin("ledger", "backup", str(tmp_path / "beside.db"))["balanced"]
        assert town.admin("voucher", "create", "--stamps", "5")["vouchers"]
    assert not socket.exists()
    assert town.admin("ledger", "audit")["settled"] == 1
    assert town.admin("ledger", "backup", str(tmp_path / "without.db"))["balanced"]
    assert not socket.exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hold_that_only_the_owner_knows_is_in_the_balance_and_in_the_audit(town, mail_server, workers):
    with town.serve("--workers", workers):
        town.fund(10)
        answer = mail_server.hold_back(b".")
        sending = threading.Thread(target=town.send, args=(town.stamped(letter("one"), BOB), BOB))
        sending.start()
        deadline = time.monotonic() + WAIT_SECONDS
        while town.balance() != (0, 1):
            assert time.monotonic() < deadline
        assert town.audit()["held"] == 1
        answer()
        sending.join(WAIT_SECONDS)
        assert town.balance() == (1, 0)


def test_commands_that_want_the_file_at_once_take_turns(town):
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(town.admin, "voucher", "create", "--stamps", "5") for _ in range(4)]
    assert all(one.result()["vouchers"] for one in made)
    assert town.admin("ledger", "audit")["balanced"]


def test_the_metrics_have_the_ledgers_process_beside_the_workers(tmp_path):
    with MailServer() as server:
        town = Town.found(tmp_path, server.port, "", 'metrics_networks = ["127.0.0.0/8"]')
        with town.serve(*WORKERS) as served:
            town.fund(10)
            assert town.send(town.stamped(letter("one"), BOB), BOB)[0] == 250
            with urllib.request.urlopen(f"http://127.0.0.1:{town.office_port}/metrics") as page:
                lines = page.read().decode().splitlines()
            served.wait_for_letter()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['pennyred_worker_up{worker="ledger"}']) == 1
    assert float(values['pennyred_worker_resident_memory_bytes{worker="ledger"}']) > 10**6
    assert float(values["pennyred_ledger_batch_size_count"]) > 0
    assert 'pennyred_worker_up{worker="2"}' not in values


@pytest.mark.parametrize("workers", ["1", "2"])
def test_where_there_is_no_ledger_the_service_ends_and_owns_nothing(town, workers):
    """A disk that is not mounted yet: a lock in the folder under it would be one that nobody else sees."""
    ledger = town.folder / "ledger.db"
    ledger.rename(town.folder / "away.db")
    (town.folder / "ledger.db.lock").unlink()
    said = run("--config", str(town.settings), "serve", "--workers", workers, check=False)
    assert said.returncode == 75
    assert b"does not exist" in said.stderr
    assert not list(town.folder.glob("ledger.db*"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_service_of_the_same_ledger_hears_whose_it_is_and_takes_nothing_away(town, workers):
    with town.serve("--workers", workers) as served:
        town.fund(10)
        other = town.folder / "second.toml"
        text = town.settings.read_text()
        for port in (town.gate_port, town.office_port):
            text = text.replace(str(port), str(free_port()))
        other.write_text(text)
        second = run("--config", str(other), "serve", check=False)
        assert second.returncode == 75
        assert f"process {served.process.pid} has this ledger".encode() in second.stderr
        assert town.admin("ledger", "audit")["balanced"]
        assert town.send(town.stamped(letter("one"), BOB), BOB)[0] == 250


def test_a_command_says_later_where_the_service_does_not_answer(town):
    with town.serve(*WORKERS) as served:
        os.kill(ledger_process(served, town.folder), signal.SIGSTOP)
        done = run("--config", str(town.settings), "balance", "--account", "x" * 16, check=False)
        os.kill(ledger_process(served, town.folder), signal.SIGCONT)
    assert done.returncode in (2, 75), done.stderr
