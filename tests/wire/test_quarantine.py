"""A refused letter is not gone: it is listed, shown, and released, and its sender comes free from then on."""

import re
import smtplib
from contextlib import closing
from urllib.request import urlopen

import pytest
from tests.support.dkim_keys import ed25519_key, key_name, sign
from tests.support.dns_server import DnsServer
from tests.support.program import run
from tests.support.real_postfix import free_port
from tests.support.town import ANN, BOB

KEY = ed25519_key()


@pytest.fixture
def dns():
    with DnsServer({key_name("sender.example", "s1"): {"TXT": [KEY.txt]}}) as server:
        yield server


def settings(dns) -> str:
    host, port = dns.address
    return f'nameservers = ["{host}:{port}"]\ntrusted_fronts = ["127.0.0.1/32"]\n[gate.quarantine]\n'


def brought(town, octets: bytes, source: str, *to: str) -> int:
    """From that address, as a trusted front tells it."""
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as client:
        client.docmd("XCLIENT", f"NAME=[UNAVAILABLE] ADDR={source}")
        client.ehlo("client.example")
        client.mail(ANN)
        for one in to or (BOB,):
            client.rcpt(one)
        try:
            return client.data(octets)[0]
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_is_released_arrives_and_its_sender_comes_free(found_town, dns, letter, mail_server, is_signed):
    """By what was proven of him, or else from his network only."""

    def made() -> bytes:
        return sign(letter(), "sender.example", "s1", KEY) if is_signed else letter()

    town = found_town(f'upstream = "smtp://127.0.0.1:{mail_server.port}"\n' + settings(dns))
    with town.serve() as served:
        refused = made()
        assert brought(town, refused, "198.51.100.7") == 550
        [kept] = town.admin("refused", "list")["refused"]
        assert (kept["to"], kept["reason"], kept["source"]) == (BOB, "no-stamp", "198.51.100.7")
        shown = run("--config", str(town.settings), "refused", "show", kept["id"], "--raw").stdout
        assert shown == refused
        [released] = town.admin("refused", "release", kept["id"])["released"]
        assert "may write to" in str(released)
        assert town.admin("refused", "list")["refused"] == []
        [taken] = mail_server.letters
        assert taken.letter.endswith(refused)
        assert brought(town, made(), "198.51.100.9") == 250, "the same network"
        assert served.wait_for_letter()["recipients"][0]["reason"] == "no-stamp"
        assert served.wait_for_letter()["recipients"][0]["reason"] == "list"
        assert brought(town, made(), "203.0.113.5") == (250 if is_signed else 550)


def test_a_stranger_empties_no_quarantine_and_what_does_not_fit_is_said(found_town, letter, mail_server):
    port = free_port()
    town = found_town(
        f'upstream = "smtp://127.0.0.1:{mail_server.port}"\ntrusted_fronts = ["127.0.0.1/32"]\nmax_size = "3MB"\n'
        f'metrics = "127.0.0.1:{port}"\n[gate.quarantine]\nmax_size = "8MB"\n'
    )
    everybody = [f"r{number}@example.org" for number in range(18)]
    with town.serve() as served:
        for number in range(20):
            assert brought(town, letter(f"from {number}"), f"198.51.{number}.7") == 550
        for number in range(10):
            long = letter(f"long {number}") + b"x" * 998 + b"\r\n" + (b"y" * 998 + b"\r\n") * 1500
            assert brought(town, long, "203.0.113.5", *everybody) == 550
        kept = [one["source"] for one in town.admin("refused", "list")["refused"]]
        assert {f"198.51.{number}.7" for number in range(20)} <= set(kept)
        assert kept.count("203.0.113.5") >= 18
        pushed = served.wait_for(lambda line: line["event"] == "quarantine.crowded_out")
        assert pushed["network"] == "203.0.113.0/24"
        assert brought(town, letter() + (b"z" * 998 + b"\r\n") * 2500, "203.0.113.6") == 451, "too long for a quarter"
        said = served.wait_for(lambda line: line["event"] == "quarantine.not_kept")
        assert (said["copies"], said["most"]) == (1, 2_000_000)
        assert brought(town, letter(), "203.0.113.6") == 550
        with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            counted = page.read().decode()
    assert 'pennyred_gate_refused_copies_total{what="left-out"} 1' in counted
    assert int(re.search(r'refused_copies_total\{what="crowded-out"\} (\d+)', counted)[1]) >= pushed["letters"]


def test_where_no_copy_can_be_kept_nothing_is_refused(found_town, letter, mail_server):
    town = found_town(
        f'upstream = "smtp://127.0.0.1:{mail_server.port}"\n[gate.quarantine]\nfolder = "blocked/refused"\n'
    )
    (town.folder / "blocked").write_text("no folder")
    with town.serve():
        code, text = town.send(letter(), BOB)
    assert code == 451
    assert "blocked" not in text
