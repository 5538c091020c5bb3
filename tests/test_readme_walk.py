"""README's pages for administrators and senders, walked from the first line to the last: a machine, and what the page says.

Every command is run as it is written, by root, with the real Postfix on the ports that the page names. What is done
besides is what the page tells a person to do by hand: to edit a file, to publish a record, to put in a voucher's code.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.support.readme import PAPERS, block
from tests.support.real_postfix import WHY_NOT, is_available
from tests.support.throwaway import Throwaway, why_not

ROOT = Path(__file__).parents[1]
PYTHON = "/usr/bin/python3"
TOML = "/etc/pennyred/pennyred.toml"
NAME_SERVER = """
import json, sys
from tests.support.dns_server import DnsServer
with DnsServer(port=53) as server:
    print("ready", flush=True)
    for line in sys.stdin:
        server.replace(*json.loads(line))
        print("ready", flush=True)
"""
UNSTAMPED = """
import smtplib
with smtplib.SMTP("127.0.0.1", 25, source_address=("127.0.0.9", 0)) as smtp:
    smtp.ehlo("stranger.example")
    smtp.mail("win@spam.example")
    smtp.rcpt("bob@example.org")
    code, text = smtp.data(b"From: win@spam.example\\r\\nTo: bob@example.org\\r\\n\\r\\nWin!\\r\\n")
    print(code, text.decode())
"""


@pytest.fixture
def machine(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    if not is_available():
        pytest.skip(WHY_NOT)
    if subprocess.run([PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False).returncode:
        pytest.skip(f"needs Python 3.11 as {PYTHON} (Debian 12 has it: apt-get install python3-venv)")
    with Throwaway(tmp_path) as machine:
        yield machine


def mail_server(machine):
    """A Postfix that receives for example.org, as there was one before, and Bob."""
    settings = {
        "myhostname": "mx.example.org",
        "mydestination": "example.org, localhost",
        "home_mailbox": "Maildir/",
        "alias_maps": "",
        "maillog_file": "/var/log/mail.journal",
        "smtp_dns_support_level": "disabled",
        "transport_maps": "inline:{ friends.example=smtp:[127.0.0.1]:2626 }",
        "myorigin": "example.org",
    }
    edits = " ".join(f"'{name}={value}'" for name, value in settings.items())
    machine.run(f"useradd --create-home bob; postconf -e {edits}; postfix start")


def edit(machine, lines):
    """What the page says to set: each key or table in the place of the line that is there, which may be a comment."""
    text = machine.read(TOML)
    for line in filter(None, lines.splitlines()):
        key, equals, _ = line.partition(" = ")
        text, count = re.subn(rf"^(# )?{re.escape(key + equals)}.*$", line, text, count=1, flags=re.MULTILINE)
        assert count == 1, key
    machine.write(TOML, text.encode())


def reload(machine, times):
    """As step 6 says; a check before it, and it is over when the log says so for the so-many-th time."""
    assert machine.run("pennyred check").splitlines()[0] == "all is well"
    machine.run(f"systemctl reload pennyred; for i in $(seq 100); do [ $(grep -c 'settings.reread' /var/log/pennyred.journal) -ge {times} ] && exit; sleep 0.1; done; exit 1")  # fmt: skip


def send_out(machine):
    """Bob writes to Carl by this machine's own Postfix."""
    machine.start("/usr/sbin/smtp-sink", "-u", "nobody", "127.0.0.1:2626", "10")
    machine.run("for i in $(seq 100); do (: > /dev/tcp/127.0.0.1/2626) 2>/dev/null && exit; sleep 0.1; done; exit 1")
    letter = "From: bob@example.org\\nTo: carl@friends.example\\n\\nTea?\\n"
    machine.run(f"printf '{letter}' | runuser -u bob -- sendmail -f bob@example.org carl@friends.example")
    machine.run("for i in $(seq 300); do grep -q 'carl@friends.example.*status=sent' /var/log/mail.journal && exit; sleep 0.1; done; tail -20 /var/log/mail.journal; exit 1")  # fmt: skip


def letters_of_bob(machine, count):
    machine.run(f"for i in $(seq 300); do [ $(ls /home/bob/Maildir/new 2>/dev/null | wc -l) -ge {count} ] && break; sleep 0.1; done")  # fmt: skip
    return machine.run("ls /home/bob/Maildir/new 2>/dev/null | wc -l").strip()


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_gate_in_ten_minutes_and_a_stamped_letter_in_five(machine, tmp_path):
    # A checkout, in root's own folder.
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, tmp_path / "checkout", ignore=left_out)
    machine.run(f"cp -r {tmp_path}/checkout /root/checkout && chmod 700 /root")
    # As a root does whose umask is strict, as many guides to hardening want it.
    machine.run(f"umask 077\n{block('example: install')}", "/root/checkout")
    assert "pennyred, version" in machine.run("pennyred --version")

    machine.cut_off()
    machine.write("/etc/resolv.conf", b"nameserver 127.0.0.1\n")
    names = machine.start(sys.executable, "-c", NAME_SERVER, PYTHONPATH=str(ROOT))
    assert names.stdout.readline() == "ready\n"
    mail_server(machine)

    # 1. Set up.
    machine.run(block("example: admin"))
    edit(machine, block("example: edit", "toml"))
    made = trustme.CA().issue_cert("mx.example.org")
    machine.write("/etc/pennyred/mx.pem", b"".join(one.bytes() for one in made.cert_chain_pems))
    machine.write("/etc/pennyred/mx.key", made.private_key_pem.bytes(), mode=0o600)

    # 2. Postfix behind it.
    machine.run(block("example: postfix"))

    # 3. Check: the key is not published yet, and that is all.
    said = machine.run(block("example: check"), status=2)
    complaints = [line for line in said.splitlines() if not line.startswith("hint:")]
    assert len(complaints) == 1, said
    [complaint] = complaints
    assert "the key is not published" in complaint

    # 4. Run, and publish.
    machine.run(block("example: run"))
    for name, text in re.findall(r'^(\S+)\. IN TXT "(.*)"$', machine.run("pennyred dns"), re.MULTILINE):
        names.stdin.write(json.dumps([name, "TXT", text]) + "\n")
        names.stdin.flush()
        assert names.stdout.readline() == "ready\n"
    assert machine.run(block("example: check")).splitlines()[0] == "all is well"
    assert machine.run("stat -c %U /proc/$(cat /var/log/pennyred.pid)") == "pennyred\n"
    # systemd says so with each start and reload where the folder is not as the unit has it.
    [mode] = re.findall(
        "^ConfigurationDirectoryMode=0(.*)$", machine.read("/etc/systemd/system/pennyred.service"), re.MULTILINE
    )
    assert machine.run("stat -c %a /etc/pennyred").strip() == mode

    # 5. Sell postage; a sender buys and sends.
    code = machine.run(block("example: sell")).splitlines()[0]
    sender = block("example: sender").replace("PENNY-XXXXX-XXXXX-XXXXX-XXXXX", code)
    said = machine.run(f"mkdir /home/ann && cd /home/ann\n{sender}")
    assert "a voucher of 100 stamps is credited; 100 available" in said
    assert letters_of_bob(machine, 1) == "1"

    # 6. From monitor to require.
    send_out(machine)
    # Figures are written every few seconds.
    machine.run(
        "for i in $(seq 60); do pennyred report --json | grep -q '\"letters\": 1,' && exit; sleep 0.5; done; exit 1"
    )
    said = machine.run(block("example: wanted"))
    assert "1 pairs of 1 users" in said
    assert "mode monitor" in said
    assert "refused" in said
    edit(machine, block("example: bulk", "toml"))
    reload(machine, 1)
    assert machine.run(f"{PYTHON} -c '{UNSTAMPED}'").startswith("250 ")
    assert letters_of_bob(machine, 2) == "2"
    edit(machine, 'mode = "require"')
    reload(machine, 2)
    assert machine.run(f"{PYTHON} -c '{UNSTAMPED}'") == block("reply", "")
    [copy] = json.loads(machine.run("pennyred refused list --json"))["refused"]
    assert (copy["to"], copy["reason"]) == ("bob@example.org", "no-stamp")
    assert "250" in machine.run(f"pennyred refused release {copy['id']}")
    assert letters_of_bob(machine, 3) == "3"
    machine.run("cd /home/ann && pennyred receipts stamped.eml", status=1)
    machine.run("cd /home/ann && pennyred send --via 127.0.0.1 stamped.eml")
    assert letters_of_bob(machine, 4) == "4"
    assert '"spent": 1' in machine.run("pennyred balance --json")
    machine.run("pennyred ledger audit")
    [asked, checked] = re.findall(r"`(pennyred [^`]*receipts\.txt[^`]*)`", PAPERS)
    machine.run(f"cd /home/ann && {asked}")
    [receipt] = json.loads(machine.run(f"cd /home/ann && {checked} --json"))["receipts"]
    assert (receipt["verdict"], receipt["letter"]) == ("holds", "own")
