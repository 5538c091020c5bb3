"""SIGHUP, and workers that die or hang, while clients are in the middle of something."""

import json
import os
import signal
import socket
import ssl
from contextlib import closing, contextmanager
from urllib.request import urlopen

import pytest
import trustme
from tests.support.mailserver import MailServer
from tests.support.program import WAIT_SECONDS, Served
from tests.support.systemd import Systemd
from tests.support.town import BOB, Town, letter

CA = trustme.CA()
TLS = 'mode = "monitor"\ntls_certificate = "mx.pem"\ntls_key = "mx.key"'


class Client:
    """Says lines, hears replies, in TLS if asked."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self.lines = self.socket.makefile("rb")
        assert self.reply().startswith(b"220")

    def reply(self) -> bytes:
        while (line := self.lines.readline())[3:4] == b"-":
            pass
        return line

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def begin(self) -> None:
        """As far as the letter's first half."""
        for line in (b"EHLO x.example", b"MAIL FROM:<a@x.example>", b"RCPT TO:<%s>" % BOB.encode(), b"DATA"):
            assert self.say(line)[:1] in b"23"
        self.socket.sendall(letter()[:100])

    def finish(self) -> bytes:
        return self.say(letter()[100:] + b".")

    def start_tls(self) -> None:
        self.say(b"EHLO x.example")
        assert self.say(b"STARTTLS").startswith(b"220")
        context = ssl.create_default_context()
        CA.configure_trust(context)
        self.lines.close()
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.example.org")
        self.lines = self.socket.makefile("rb")

    @property
    def serial(self) -> str:
        """Of the gate's certificate."""
        assert isinstance(self.socket, ssl.SSLSocket)
        return str(self.socket.getpeercert()["serialNumber"])

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


def last_word(client: Client) -> bytes:
    """What a client hears at the end of its letter; nothing where there is nobody any more."""
    try:
        return client.finish()
    except OSError:
        return b""


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@contextmanager
def served(folder, mail_server, gate='mode = "monitor"', *arguments):
    town = Town.found(folder, mail_server.port, gate)
    if "tls_" in gate:
        renew(folder)
    with town.serve(*arguments) as running:
        yield town, running


def renew(folder) -> None:
    """A new certificate in the files of the old one."""
    made = CA.issue_cert("mx.example.org")
    made.private_key_pem.write_to_path(folder / "mx.key")
    (folder / "mx.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))


def reread(running: Served) -> None:
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda line: line["event"] == "settings.reread")


def test_a_letter_that_comes_in_is_not_disturbed(tmp_path, mail_server):
    with served(tmp_path, mail_server) as (town, running), closing(Client(town.gate_port)) as client:
        client.begin()
        reread(running)
        assert client.finish().startswith(b"250")
    assert len(mail_server.letters) == 1


def test_a_renewed_certificate_is_for_new_sessions_and_old_ones_live_on(tmp_path, mail_server):
    with served(tmp_path, mail_server, TLS) as (town, running), closing(Client(town.gate_port)) as old:
        old.start_tls()
        old.begin()
        renew(tmp_path)
        reread(running)
        with closing(Client(town.gate_port)) as new:
            new.start_tls()
            assert new.serial != old.serial
            assert new.say(b"NOOP").startswith(b"250")
        assert old.finish().startswith(b"250")


def test_a_certificate_that_cannot_be_read_leaves_the_old_one_in_use(tmp_path, mail_server):
    with served(tmp_path, mail_server, TLS) as (town, running):
        (tmp_path / "mx.pem").write_text("half a certificate")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(lambda line: line["event"] == "settings.not_reread")
        with closing(Client(town.gate_port)) as client:
            client.start_tls()
            assert client.say(b"NOOP").startswith(b"250")


def test_a_quarantine_is_taken_over_and_given_up_again(tmp_path, mail_server):
    """As README's step 6 says: set it, and reload. Copies were lost."""
    with served(tmp_path, mail_server, 'mode = "require"') as (town, running):
        assert town.send(letter("before"), BOB)[0] == 550
        town.write('mode = "require"\n[gate.quarantine]\n')
        reread(running)
        assert town.send(letter("kept"), BOB)[0] == 550
        assert [one["subject"] for one in town.admin("refused", "list")["refused"]] == ["kept"]
        town.write('mode = "require"\n[gate.quarantine]\nfolder = "elsewhere"\n')
        reread(running)
        assert town.send(letter("kept elsewhere"), BOB)[0] == 550
        assert [one["subject"] for one in town.admin("refused", "list")["refused"]] == ["kept elsewhere"]
        town.write('mode = "require"\n')
        reread(running)
        assert town.send(letter("gone"), BOB)[0] == 550
        assert len(list((tmp_path / "elsewhere").rglob("new/*"))) == 1
        assert not [line for line in running.log if "wait" in line["event"]]


def test_what_waits_for_the_next_start_is_named_and_not_half_taken_over(tmp_path, mail_server):
    with served(tmp_path, mail_server) as (town, running):
        text = town.settings.read_text()
        changes = {
            f"127.0.0.1:{town.gate_port}": "127.0.0.1:1",
            'hostname = "mx.example.org"': 'hostname = "other.example"\nmax_size = "1MB"',
            'mode = "monitor"': 'mode = "require"\nmax_recipients = 1',
            'domain = "post.example.org"': 'domain = "post.example.org"\nworkers = 2\nprice = 3',
        }
        for old, new in changes.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        town.settings.write_text(text)
        reread(running)
        waits = running.wait_for(lambda line: line["event"] == "settings.waiting")
        assert waits["keys"] == ["gate.listen", "gate.hostname", "gate.max_size", "office.workers"]
        with closing(Client(town.gate_port)) as client:
            assert b"mx.example.org" in client.say(b"HELO x.example")
            assert client.say(b"MAIL FROM:<a@x.example> SIZE=2000000").startswith(b"250")
            assert client.say(b"RCPT TO:<%s>" % BOB.encode()).startswith(b"250")
            assert client.say(b"RCPT TO:<eve@example.org>").startswith(b"452"), "max_recipients is taken over"
        with urlopen(f"http://127.0.0.1:{town.office_port}/.well-known/pennyred") as said:
            assert json.load(said)["price"] == 3
        town.write('mode = "monitor"')
        reread(running)
    assert sum(line["event"] == "settings.waiting" for line in running.log) == 1


def test_wrong_settings_are_taken_over_in_no_part(tmp_path, mail_server):
    with served(tmp_path, mail_server) as (town, running):
        (tmp_path / "office.key").rename(tmp_path / "away.key")
        town.write('mode = "require"')
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(lambda line: line["event"] == "settings.not_reread")
        assert town.send(letter(), BOB)[0] == 250, "it is in monitor still"


def test_the_offices_certificate_is_renewed_and_a_wrong_one_is_not_used(tmp_path, mail_server):
    office = 'tls_certificate = "mx.pem"\ntls_key = "mx.key"'
    town = Town.found(tmp_path, mail_server.port, 'mode = "monitor"', office)
    renew(tmp_path)
    with town.serve() as running:
        first = offices_serial(town)
        assert offices_serial(town) == first
        renew(tmp_path)
        reread(running)
        second = offices_serial(town)
        assert second != first
        (tmp_path / "mx.pem").write_text("half a certificate")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(lambda line: line["event"] == "settings.not_reread")
        assert offices_serial(town) == second


def offices_serial(town) -> str:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    plain = socket.create_connection(("127.0.0.1", town.office_port), WAIT_SECONDS)
    with context.wrap_socket(plain, server_hostname="mx.example.org") as secured:
        return str(secured.getpeercert()["serialNumber"])


def test_a_worker_killed_in_the_middle_of_a_letter_is_replaced_and_its_client_hears_no_yes(tmp_path, mail_server):
    arguments = ("--workers", "2")
    with served(tmp_path, mail_server, 'mode = "monitor"', *arguments) as (town, running):
        with closing(Client(town.gate_port)) as client:
            client.begin()
            for worker in running.workers:  # which of them has the client is the kernel's choice
                os.kill(worker, signal.SIGKILL)
            assert running.wait_for(lambda line: line["event"] == "worker.died")["status"] == -signal.SIGKILL
            assert last_word(client) == b""
        running.wait_for(lambda line: line["event"] == "service.serving")
        assert town.send(letter(), BOB)[0] == 250
    assert len(mail_server.letters) == 1


@pytest.mark.long
@pytest.mark.parametrize(("place", "serving"), [(0, "ledger.serving"), (-1, "service.serving")])
def test_a_process_that_hangs_is_replaced_and_systemd_hears_signs_of_life_all_the_time(
    place, serving, tmp_path, mail_server, monkeypatch
):
    """The ledger's process, which is started first, or a worker."""
    with Systemd(f"{tmp_path}/notify", watchdog_seconds=2) as systemd:
        for name, value in systemd.environment.items():
            monkeypatch.setenv(name, value)
        with served(tmp_path, mail_server, 'mode = "monitor"', "--workers", "2") as (_, running):
            systemd.until("READY=1")
            hanging = running.workers[place]
            os.kill(hanging, signal.SIGSTOP)
            assert running.wait_for(lambda line: line["event"] == "worker.hangs")["pid"] == hanging
            assert running.wait_for(lambda line: line["event"] == "worker.died")["pid"] == hanging
            running.wait_for(lambda line: line["event"] == serving)
            systemd.until("WATCHDOG=1")
            assert hanging not in running.workers


@pytest.mark.long
def test_systemd_hears_nothing_while_all_loops_hang(tmp_path, mail_server, monkeypatch):
    """The first process would replace them; it hangs here, too, so that there is nobody who could."""
    with Systemd(f"{tmp_path}/notify", watchdog_seconds=1) as systemd:
        for name, value in systemd.environment.items():
            monkeypatch.setenv(name, value)
        with served(tmp_path, mail_server, 'mode = "monitor"', "--workers", "2") as (_, running):
            systemd.until("WATCHDOG=1")
            os.killpg(running.process.pid, signal.SIGSTOP)
            systemd.be_deaf_to_the_past()
            with pytest.raises(TimeoutError):
                systemd.until("WATCHDOG=1")
            os.killpg(running.process.pid, signal.SIGCONT)
            systemd.socket.settimeout(WAIT_SECONDS)
            systemd.until("WATCHDOG=1")


def test_who_has_no_letter_in_hand_is_sent_away_at_once_and_who_has_one_hears_its_answer(tmp_path, mail_server):
    with served(tmp_path, mail_server) as (town, running):
        with closing(Client(town.gate_port)) as idle, closing(Client(town.gate_port)) as busy:
            busy.begin()
            let_it_answer = mail_server.hold_back(b".")
            busy.socket.sendall(letter()[100:] + b".\r\n")
            mail_server.until(lambda: b"DATA\r\n" in mail_server.fake.commands)
            running.process.send_signal(signal.SIGTERM)
            assert idle.reply().startswith(b"421 4.3.2")
            assert idle.lines.readline() == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", town.gate_port))
            let_it_answer()
            assert busy.reply().startswith(b"250")
            assert busy.reply().startswith(b"421 4.3.2")
        assert running.process.wait(WAIT_SECONDS) == 0
