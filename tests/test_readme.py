"""Every example in README does what it says, as it is written there."""

import re
import threading
import tomllib
from pathlib import Path

import pytest
from program import Served, run_json
from readme import PENNYRED, README, block, shell
from real_postfix import free_port

from pennyred.config import OutgoingSettings, read_settings

ROOT = Path(__file__).parents[1]
LETTER = "From: Ann <ann@sender.example>\nTo: Bob <bob@example.org>\nSubject: Tea\n\nShall we have tea?\n"


@pytest.fixture
def mail_server():
    """The stand-in, on a loop of its own."""
    import asyncio

    from pennyred.smtp.standin import StandIn

    started, stop = threading.Event(), threading.Event()
    stand_in = StandIn()

    async def serve() -> None:
        async with stand_in:
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait(10)
    yield stand_in
    stop.set()
    thread.join()


def test_the_senders_five_minutes(tmp_path, mail_server):
    gate, office = free_port(), free_port()
    run_json("init", str(tmp_path), "--upstream", f"smtp://127.0.0.1:{mail_server.port}")
    settings = tmp_path / "pennyred.toml"
    text = (
        settings.read_text()
        .replace("127.0.0.1:2525", f"127.0.0.1:{gate}")
        .replace("127.0.0.1:8025", f"127.0.0.1:{office}")
    )
    settings.write_text(text.replace('mode = "monitor" ', 'mode = "require" '))
    [voucher] = run_json("--config", str(settings), "voucher", "create", "--stamps", "100")["vouchers"]
    (tmp_path / "letter.eml").write_text(LETTER)
    script = (
        block("example: sender")
        .replace("127.0.0.1:8025", f"127.0.0.1:{office}")
        .replace("127.0.0.1:2525", f"127.0.0.1:{gate}")
        .replace("PENNY-XXXXX-XXXXX-XXXXX-XXXXX", voucher["code"])
    )
    script = re.sub(r"^pennyred ", f"{PENNYRED} ", script, flags=re.MULTILINE)

    with Served(settings):
        done = shell(script, tmp_path, PENNYRED_HOME=str(tmp_path / "home"))
        spent = run_json("balance", home=tmp_path / "home")["spent"]

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(mail_server.letters) == 1
    assert spent == 1


def test_the_admins_setting_up(tmp_path):
    script = block("example: admin") + block("example: check")
    script = script.replace("/opt/pennyred/bin/pennyred", PENNYRED).replace("/etc/pennyred", str(tmp_path / "etc"))
    done = shell(script, tmp_path)
    assert (tmp_path / "etc/pennyred.toml").exists()
    assert done.returncode == 2, "nothing listens on the mail server's port here, and check must say so"
    assert "gate.upstream: " in done.stdout


def test_the_two_commands_of_the_first_page_are_what_ci_runs():
    ci = (ROOT / ".ci/run").read_text()
    for name in ("command-demo", "command-tests"):
        assert block(name).startswith("apt-get update && apt-get install -y python3-venv && ")
        assert f"readme {name}" in ci


def test_the_settings_of_a_gate_in_production_are_settings(tmp_path):
    settings = tmp_path / "pennyred.toml"
    settings.write_text(block("example: production", "toml"))
    gate = read_settings(settings).gate
    assert gate is not None
    assert len(gate.upstream) == 2


def test_the_settings_of_wanted_mail_are_settings(tmp_path):
    settings = tmp_path / "pennyred.toml"
    (tmp_path / "recipients.toml").write_text(block("example: recipients", "toml"))
    settings.write_text(
        f'[gate]\nrecipient_rules = "recipients.toml"\n[office]\ndomain = "post.example.org"\n'
        f"{block('example: outgoing', 'toml')}"
    )
    gate = read_settings(settings).gate
    assert gate is not None
    assert gate.recipient_rules["ceo@example.org"].price == 10
    assert gate.outgoing == OutgoingSettings()


def test_the_way_from_monitor_to_require(tmp_path):
    """As in step 6, on a gate that has seen no mail yet."""
    log = tmp_path / "mail.log"
    log.write_text(
        "2026-11-20T10:00:00+00:00 mx postfix/qmgr[7]: 4Abc12: from=<bob@example.org>, size=512, nrcpt=1 (queue active)\n"
        "2026-11-20T10:00:01+00:00 mx postfix/smtp[8]: 4Abc12: to=<carl@friends.example>, relay=mx.friends.example[192.0.2.1]:25,"
        " delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
    )
    run_json("init", str(tmp_path))
    settings = tmp_path / "pennyred.toml"
    settings.write_text(settings.read_text().replace("[gate]", '[gate]\ndomains = ["example.org"]', 1))
    script = block("example: wanted").replace("/var/log/mail.log", str(log))
    done = shell(re.sub(r"^pennyred ", f"{PENNYRED} ", script, flags=re.MULTILINE), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 pairs of 1 users" in done.stdout
    assert (tmp_path / "report.svg").exists()


def limits_section(table):
    """README's limits of one table of the settings: the gate's, then those of the office's API."""
    gate, _, office = README.partition("### Limits")[2].partition("###")[0].partition("Of the office's HTTP API")
    return {"gate": gate, "office": office}[table]


@pytest.mark.parametrize("table", ["gate", "office"])
def test_the_limits_in_the_table_have_the_defaults_of_the_settings_file(table):
    explained = tomllib.loads((ROOT / "config/pennyred.toml").read_text())[table]
    listed = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", limits_section(table), re.MULTILINE)
    assert len(listed) > 5
    assert [(name, tomllib.loads(f"value = {default}")["value"]) for name, default in listed] == [
        (name, explained[name]) for name, _ in listed
    ]


@pytest.mark.parametrize("table", ["gate", "office"])
def test_every_limit_is_in_the_table(table):
    section = limits_section(table)
    explained = tomllib.loads((ROOT / "config/pennyred.toml").read_text())[table]
    limits = {name for name in explained if name.startswith("max_") or name.endswith("_seconds")}
    assert [name for name in sorted(limits) if f"| `{name}` |" not in section] == []


def test_files_that_are_linked_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
