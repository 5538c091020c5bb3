"""A refused letter is not gone: it is listed, shown, and released, and its sender comes free from then on."""

import smtplib
from contextlib import closing

import pytest
from dkim_keys import ed25519_key, key_name, sign
from dns_server import DnsServer
from program import run
from town import ANN, BOB

KEY = ed25519_key()


@pytest.fixture
def dns():
    with DnsServer({key_name("sender.example", "s1"): {"TXT": [KEY.txt]}}) as server:
        yield server


def settings(dns) -> str:
    host, port = dns.address
    return f'nameservers = ["{host}:{port}"]\ntrusted_fronts = ["127.0.0.1/32"]\n[gate.quarantine]\n'


def brought(town, octets: bytes, source: str) -> int:
    """From that address, as a trusted front tells it."""
    with closing(smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60)) as client:
        client.docmd("XCLIENT", f"NAME=[UNAVAILABLE] ADDR={source}")
        client.ehlo("client.example")
        client.mail(ANN)
        client.rcpt(BOB)
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


def test_where_no_copy_can_be_kept_nothing_is_refused(found_town, letter, mail_server):
    town = found_town(
        f'upstream = "smtp://127.0.0.1:{mail_server.port}"\n[gate.quarantine]\nfolder = "blocked/refused"\n'
    )
    (town.folder / "blocked").write_text("no folder")
    with town.serve():
        code, text = town.send(letter(), BOB)
    assert code == 451
    assert "blocked" not in text
