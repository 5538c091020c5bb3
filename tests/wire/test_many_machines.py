"""Three gates, two offices, three etcd, a primary and its synchronous standby: letters flow while machines die.

Everything by the files in config/many, each machine with its own address on loopback.
"""

import contextlib
import json
import os
import re
import shutil
import smtplib
import threading
import time
from collections import Counter

import pytest
from tests.support.machines import Machines
from tests.support.mailserver import MailServer
from tests.support.program import run, run_json
from tests.support.readme import block, shell
from tests.support.town import ANN, BOB, letter

from pennyred.sender.franking import stamp_letter
from pennyred.sender.wallet import load_wallet

MISSING = [name for name in ("patroni", "etcd", "haproxy") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs {', '.join(MISSING)} (apt-get install patroni etcd-server haproxy)"
    ),
    pytest.mark.timeout(600),
]
GATES, OFFICES = (31, 32, 33), (21, 22)
SENDERS = 3
STAMPS = 100_000


class Senders:
    """Each sends letter after letter, every one again until it is taken, as mail servers do."""

    def __init__(self, host, port, home):
        self.host, self.port = host, port
        self.wallet = load_wallet(home)
        self.taken = {}
        """When each was taken, by Message-ID."""
        self.refused = []
        self.said = Counter()
        """Replies that were not 250, for whoever has to find out why."""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def taken_since(self, moment):
        return sum(at > moment for at in self.taken.values())

    def _run(self):
        while not self._stop.is_set():
            one = letter()
            name = message_id(one)
            stamped = stamp_letter(
                one, [BOB], self.wallet.key, self.wallet.licence, now=int(time.time()), random_bytes=os.urandom
            )
            while (code := self._attempt(stamped)) != 250:
                if code >= 500:
                    self.refused.append((name, code))
                    break
                time.sleep(0.3)
            else:
                self.taken[name] = time.monotonic()
            time.sleep(0.02)

    def _attempt(self, stamped):
        """The reply's code; 0 where there was none."""
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            contextlib.closing(smtplib.SMTP(self.host, self.port, timeout=15)) as smtp,
        ):
            smtp.ehlo("client.example")
            for code, text in (smtp.mail(ANN), smtp.rcpt(BOB)):
                if code != 250:
                    self.said[text] += 1
                    return code
            try:
                code, text = smtp.data(stamped)
            except smtplib.SMTPDataError as refused:
                code, text = refused.args
            self.said[text] += code != 250
            return code
        return 0


def message_id(octets):
    return re.search(rb"Message-ID: (<[^>]+>)", octets)[1]


@pytest.fixture
def machines():
    with Machines() as machines:
        for host, name in ((11, "db1"), (12, "db2"), (13, "third")):
            machines.start_etcd(host, name)
        for host, name in ((11, "db1"), (12, "db2")):
            machines.start_patroni(host, name)
        machines.start_haproxy()
        machines.wait_for(
            "a primary and its standby", lambda: {machines.role(11), machines.role(12)} == {"primary", "sync"}
        )
        machines.wait_for("the database's address", lambda: machines.execute("SELECT 1") is None)
        machines.execute(*block("many-database", "sql").strip().splitlines())
        yield machines


def settle_in(machines, upstream_port):
    """From one machine to many, by config/many/README.md: its office's books, then offices, a receiver, gates; the sender's folder."""
    single = machines.home(21)
    run("init", str(single))
    [voucher] = run_json("--config", str(single / "pennyred.toml"), "voucher", "create", "--stamps", str(STAMPS))[
        "vouchers"
    ]
    moving = block("many-move").replace("systemctl stop pennyred", "true")
    assert "sealed" in by_hand(machines, moving)
    shutil.copy(single / "office.key", machines.home(22))
    for host in OFFICES:
        text = machines.recipe("office.toml").replace(f"{machines.network}.21:", f"{machines.address(host)}:")
        (machines.home(host) / "pennyred.toml").write_text(text)
    admin = ["--config", str(single / "pennyred.toml")]
    _, add = block("many-receiver").strip().splitlines()
    token = json.loads(by_hand(machines, f"{add} --json"))["token"]
    keys = [record["text"].rpartition("p=")[2] for record in run_json(*admin, "dns")["records"]]
    for host in OFFICES:
        machines.start_pennyred(host)
    for host in GATES:
        home = machines.home(host)
        (home / "post.token").write_text(token)
        shutil.copy(single / "gate-pass.key", home)
        for secret in ("post.token", "gate-pass.key"):
            (home / secret).chmod(0o600)
        text = machines.recipe("gate.toml", mail=("smtp://10.0.0.40:25", f"smtp://127.0.0.1:{upstream_port}"))
        text = text.replace(f"{machines.network}.31:", f"{machines.address(host)}:")
        text = text.replace("mode =", "transfer_timeout_seconds = 10\nupstream_timeout_seconds = 10\nmode =")
        (home / "pennyred.toml").write_text(text + f'keys = {{s1 = "{keys[0]}"}}\n')
        machines.start_pennyred(host)
    office, home = f"http://{machines.address(20)}:8025", machines.folder / "ann"
    opened = ["open", "--office", office, "--address", ANN]
    machines.wait_for("an office", lambda: run(*opened, home=home, check=False).returncode == 0)
    run("buy", str(STAMPS), "--voucher", voucher["code"], home=home)
    return admin, home


def by_hand(machines, script):
    """Commands of the page's, as they are for the first office here."""
    script = script.replace("10.0.0.", f"{machines.network}.").replace("/etc/pennyred", str(machines.home(21)))
    done = shell(script, machines.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_letter_is_lost_and_none_charged_twice_while_machines_die(machines, capsys):
    with MailServer() as mail_server:
        admin, home = settle_in(machines, mail_server.port)
        with Senders(machines.address(20), 2525, home) as senders:

            def flows(moment, count=50):
                try:
                    machines.wait_for("mail", lambda: senders.taken_since(moment) > count)
                except AssertionError as error:
                    raise AssertionError(f"{senders.said}\n{error}") from None

            flows(time.monotonic())

            primary = 11 if machines.role(11) == "primary" else 12
            machines.kill(primary)
            killed = time.monotonic()
            flows(killed + 1, 0)
            gap = min(at for at in senders.taken.values() if at > killed + 1) - killed
            flows(time.monotonic())

            machines.freeze(31)
            flows(time.monotonic())
            machines.thaw(31)

            machines.kill(21)
            flows(time.monotonic())
            machines.start_pennyred(21)
            machines.kill(32)
            flows(time.monotonic())
            machines.start_pennyred(32)
            flows(time.monotonic())
        assert senders.refused == []

        def audit():
            return run_json(*admin, "ledger", "audit", check=False)

        machines.wait_for("the outboxes to be empty", lambda: audit().get("settled") == len(senders.taken))
        found = audit()
        delivered = Counter(message_id(one.letter) for one in mail_server.letters)
    with capsys.disabled():
        twice = sum(count > 1 for count in delivered.values())
        print(
            f"\n{len(senders.taken)} letters, {twice} delivered twice; mail again {gap:.0f} s after the primary's death"
        )
    assert set(senders.taken) <= set(delivered)
    assert (found["balanced"], found["settled"], found["held"]) == (True, len(senders.taken), 0)
