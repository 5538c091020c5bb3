"""What the settings limit is limited, for all workers together, by clients on real sockets."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.real_postfix import free_port

BOB = "bob@example.org"
SECONDS_MAX = 20


class Client:
    """Says lines, hears replies."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS_MAX, (source, 0))
        self._lines = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> bytes:
        while (line := self._lines.readline())[3:4] == b"-":
            pass
        return line

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def is_over(self) -> bool:
        """Whether the gate says no more."""
        return self._lines.readline() == b""

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def test_refused_commands_and_idle_ones_are_limited_as_set(found_town):
    town = found_town("max_errors = 3\nmax_idle_commands = 4")
    with town.serve():
        with closing(Client(town.gate_port)) as client:
            assert [client.say(b"NONSENSE")[:3] for _ in range(3)] == [b"500"] * 3
            assert client.reply() == b"421 4.7.0 Too many errors, closing\r\n"
            assert client.is_over()
        with closing(Client(town.gate_port)) as client:
            assert [client.say(b"NOOP")[:3] for _ in range(4)] == [b"250"] * 4
            assert client.reply() == b"421 4.7.0 Too many commands without a letter, closing\r\n"
            assert client.is_over()


def test_a_long_letter_is_kept_in_the_folder_that_is_set_and_a_short_one_is_not(
    found_town, letter, tmp_path, mail_server
):
    """The file has no name: it is seen among what the gate has open."""
    spool = tmp_path / "spool"
    spool.mkdir()
    town = found_town(f'memory_per_letter = "64KB"\nspool = "{spool}"')
    with town.serve() as served:
        for octets, is_kept in ((50_000, False), (100_000, True)):
            with closing(Client(town.gate_port)) as client:
                for line in (b"HELO x", b"MAIL FROM:<a@x.example>", b"RCPT TO:<postmaster@example.org>", b"DATA"):
                    assert client.say(line)[:1] in b"23"
                release = mail_server.hold_back(b".")
                before = len(mail_server.fake.commands)
                client.socket.sendall(letter() + (b"x" * 998 + b"\r\n") * (octets // 1000) + b".\r\n")
                mail_server.until(lambda before=before: b"DATA\r\n" in mail_server.fake.commands[before:])
                assert bool(files_in(spool, served.process.pid)) == is_kept
                release()
                assert client.reply().startswith(b"250")
        assert not files_in(spool, served.process.pid)


def files_in(folder: Path, pid: int) -> list[str]:
    """What a process has open there."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(one.readlink()))
    return [name for name in found if name.startswith(f"{folder}/")]


def test_a_spool_that_cannot_be_written_to_is_heard_of_at_the_start(found_town, tmp_path):
    town = found_town('spool = "nowhere"')
    arguments = [sys.executable, "-m", "pennyred", "--config", str(town.settings), "serve"]
    done = subprocess.run(arguments, capture_output=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 2
    assert b"nowhere" in done.stderr


def admitted(port: int, tries: int, source: str = "127.0.0.1") -> list[Client]:
    """So many try to come in, one after the other; those who are."""
    clients = []
    for _ in range(tries):
        client = Client(port, source)
        if client.greeting.startswith(b"220 "):
            clients.append(client)
        else:
            assert client.greeting.startswith(b"421 4.3.2 ")
            assert client.is_over()
            client.close()
    return clients


def test_all_workers_together_let_in_so_many_and_no_more(found_town):
    town = found_town("workers = 2\nmax_connections = 6")
    with town.serve() as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        with closing_all(admitted(town.gate_port, 30)) as clients:
            assert len(clients) == 6
            assert clients[0].say(b"QUIT").startswith(b"221 ")
            assert clients[0].is_over()
            clients.append(eventually_admitted(town.gate_port))
            assert admitted(town.gate_port, 10) == []


def test_all_workers_together_let_in_so_many_of_one_network(found_town):
    town = found_town("workers = 2\nmax_connections_per_network = 4")
    with town.serve() as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        with closing_all(admitted(town.gate_port, 30)) as clients:
            assert len(clients) == 4
            others = admitted(town.gate_port, 5, "127.0.0.2")
            clients.extend(others)
            assert len(others) == 4


def test_all_workers_together_let_in_so_many_whose_mail_goes_out(found_town, mail_server):
    port = free_port()
    way = f'listen = ["127.0.0.1:{port}"]\nupstream = "smtp://127.0.0.1:{mail_server.port}"'
    town = found_town(f"workers = 2\nmax_connections = 6\n[gate.outgoing]\n{way}")
    with town.serve() as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        with closing_all(admitted(port, 30)) as clients:
            assert len(clients) == 6
            clients.extend(admitted(town.gate_port, 30))
            assert len(clients) == 12, "each door has its own"


def test_more_workers_than_there_may_be_connections_to_the_mail_server_do_not_start(found_town):
    town = found_town("upstream_connections = 3")
    command = [sys.executable, "-m", "pennyred", "--config", str(town.settings), "serve", "--workers", "4"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 2
    assert "gate.upstream_connections: fewer than there are workers, expected at least 4" in told.stderr


@pytest.mark.long
def test_a_killed_process_leaves_none_of_its_counts_behind(found_town):
    town = found_town("workers = 2\nmax_connections = 12")
    with town.serve() as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        with closing_all(admitted(town.gate_port, 30)) as clients:
            assert len(clients) == 12
            ledger, *workers = children(served.process.pid)
            for pid, serving in ((ledger, "ledger.serving"), *((worker, "service.serving") for worker in workers)):
                os.kill(pid, signal.SIGKILL)
                served.wait_for(lambda line: line["event"] == "worker.died")
                served.wait_for(lambda line, serving=serving: line["event"] == serving)
                new = admitted(town.gate_port, 30)
                clients.extend(new)
                assert sum(map(is_alive, clients)) == 12, f"{len(new)} were let in"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(client: Client) -> bool:
    try:
        return client.say(b"NOOP").startswith(b"250 ")
    except OSError:
        return False


@contextmanager
def closing_all(clients: list[Client]) -> Iterator[list[Client]]:
    """Those in the list at the end are closed."""
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def eventually_admitted(port: int) -> Client:
    """One that has left is uncounted when its session has ended, which nobody announces."""
    for _ in range(1000):
        if found := admitted(port, 1):
            return found[0]
    raise AssertionError("nobody is let in any more")


@pytest.mark.long
def test_the_stamps_of_a_source_of_bad_ones_wait_at_all_workers_and_nothing_else_does(found_town, letter, mail_server):
    town = found_town('workers = 2\nmax_bad_stamps_per_minute = 3\n[gate.exempt]\nrecipients = ["eve@example.org"]')
    with town.serve() as served:
        served.wait_for(lambda line: line["event"] == "service.serving")
        town.fund(10)
        known, stranger = town.stamped(letter(), BOB), town.stamped(letter(), BOB)
        said = [sent(town.gate_port, b"X-Postage-Stamp: nonsense\r\n" + letter()) for _ in range(12)]
        refused = [one for one in said if one.startswith(b"550 5.7.1 ") and b"(malformed)" in one]
        barred = [one for one in said if one.startswith(b"451 ") and b"(too-many-bad-stamps)" in one]
        # Six at most, if the minute of the clock ended meanwhile.
        assert 3 <= len(refused) <= 6
        assert len(refused) + len(barred) == 12
        for to in ("postmaster@example.org", "eve@example.org"):
            assert sent(town.gate_port, letter(), to=to).startswith(b"250 ")
        assert b"(no-stamp)" in sent(town.gate_port, letter())
        assert sent(town.gate_port, known, "127.0.0.2").startswith(b"250 ")
        # By chance, or as the account is known by now to the worker that has it; if not this minute, then the next.
        said = sent(town.gate_port, stranger)
        while said.startswith(b"451 "):
            said = sent(town.gate_port, stranger)
        assert said.startswith(b"250 ")


def sent(port: int, octets: bytes, source: str = "127.0.0.1", to: str = BOB) -> bytes:
    """The last answer to a letter."""
    with closing(Client(port, source)) as client:
        for line in (b"HELO x", b"MAIL FROM:<a@x.example>", b"RCPT TO:<%s>" % to.encode(), b"DATA"):
            said = client.say(line)
            if said[:1] not in b"23":
                return said
        client.socket.sendall(octets)
        return client.say(b".")
