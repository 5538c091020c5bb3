"""An honest retry of a paid letter is told that it was delivered, though the settings and keys are others by then."""

import signal
import time
from os import urandom

import pytest
from tests.support.dkim_keys import ed25519_key, key_name, sign
from tests.support.dns_server import DnsServer
from tests.support.town import BOB, Town, letter

from pennyred.office.keys import OfficeKeys
from pennyred.postage.minting import mint_licence
from pennyred.sender.franking import stamp_letter

INFO = "info@example.org"
FOOTER = b"-- \r\nchecked by our own gateway\r\n"
ALIAS = f'aliases = {{"{INFO}" = ["{BOB}"]}}\n'
ELSEWHERE = '[[issuer]]\ndomain = "other.example"\nurl = "http://127.0.0.1:9"\ntoken_file = "other.token"\n'

CHANGES = {
    "the price went up": ("price = 2\n", ""),
    "altered bodies count no more": ('altered_body = "reject"\n', ""),
    "the alias is gone": ("", ""),
    "the domain is not served any more": (f'{ALIAS}domains = ["example.net"]\n', ""),
    "another office's stamps count": ('issuers = ["other.example"]\n', ELSEWHERE),
}


@pytest.fixture(scope="module")
def zone():
    """A DNS that has the key with which the author's gateway signs what it has altered."""
    with DnsServer({key_name("sender.example", "ed"): {"TXT": [ed25519_key().txt]}}) as server:
        yield server


def signed(stamped: bytes) -> bytes:
    """The letter with a footer, as its author's own gateway sends it on."""
    return sign(stamped + FOOTER, "sender.example", "ed", ed25519_key())


def reread(running) -> None:
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda line: line["event"].startswith("settings"))
    assert running.log[-1]["event"] == "settings.reread"


@pytest.mark.parametrize(
    ("gate", "more"),
    [
        pytest.param(*lines, id=name, marks=[pytest.mark.long] if place else [])
        for place, (name, lines) in enumerate(CHANGES.items())
    ],
)
def test_after_a_new_start_and_after_a_reload(tmp_path, mail_server, zone, gate, more):
    mail_server.forget()
    nameserver = f'nameservers = ["{zone.address[0]}:{zone.address[1]}"]\n'
    town = Town.found(tmp_path, mail_server.port, nameserver + ALIAS)
    (tmp_path / "other.token").write_text("token")
    (tmp_path / "other.token").chmod(0o600)
    with town.serve() as running:
        town.fund(10)
        paid = [signed(town.stamped(letter(), INFO)) for _ in range(3)]
        for one in paid:
            assert town.send(one, BOB)[0] == 250
        town.write(nameserver + gate, more)
        if not more:  # a new post office takes a restart
            reread(running)
            code, text = town.send(paid[0], BOB)
            assert (code, "duplicate" in text) == (250, True)
    with town.serve():
        for one in paid:
            code, text = town.send(one, BOB)
            assert (code, "duplicate" in text) == (250, True)
        assert town.send(signed(town.stamped(letter(), INFO)), BOB)[0] == 550
    assert len(mail_server.letters) == 3
    audit = town.audit()
    assert (audit["balanced"], audit["settled"], audit["held"]) == (True, 3, 0)


@pytest.mark.long
def test_after_the_offices_old_key_was_taken_away(tmp_path, mail_server):
    mail_server.forget()
    town = Town.found(tmp_path, mail_server.port)
    with town.serve() as running:
        town.fund(10)
        paid, unpaid = town.stamped(letter(), BOB), town.stamped(letter(), BOB)
        assert town.send(paid, BOB)[0] == 250
        town.admin("key", "rotate")
        (tmp_path / "office.key").unlink()
        reread(running)
        code, text = town.send(paid, BOB)
        assert (code, "duplicate" in text) == (250, True)
        code, text = town.send(unpaid, BOB)
        assert (code, "(bad-licence)" in text) == (550, True)
    assert len(mail_server.letters) == 1


@pytest.mark.long
def test_where_the_office_is_another_program(tmp_path, mail_server):
    mail_server.forget()
    town = Town.found(tmp_path, mail_server.port, is_divided=True)
    with town.serve() as running:
        town.fund(10)
        paid = town.stamped(letter(), BOB)
        assert town.send(paid, BOB)[0] == 250
        town.write("price = 2\n")
        reread(running)
        code, text = town.send(paid, BOB)
        assert (code, "duplicate" in text) == (250, True)
        code, text = town.send(town.stamped(letter(), BOB), BOB)
        assert (code, "(underpaid)" in text) == (550, True)
        assert town.balance() == (1, 0)
    assert len(mail_server.letters) == 1


@pytest.mark.long
def test_a_stamp_of_a_key_that_a_worker_has_not_read_yet_counts(tmp_path, mail_server):
    """A worker that was started anew signs with the new key before the others have heard of it (SIGHUP)."""
    mail_server.forget()
    town = Town.found(tmp_path, mail_server.port)
    with town.serve():
        town.fund(10)
        town.admin("key", "rotate")
        wallet = town.wallet
        now = int(time.time())
        licence = mint_licence(
            OfficeKeys(tmp_path / "office.key").newest[1],
            issuer=wallet.issuer,
            selector="s2",
            account=wallet.account,
            public_key=wallet.key.public,
            daily_cap=wallet.licence.daily_cap,
            valid_from=now - 60,
            valid_until=now + 3600,
        )
        stamped = stamp_letter(letter(), [BOB], wallet.key, licence, now=now, random_bytes=urandom)
        assert town.send(stamped, BOB)[0] == 250
    assert town.audit()["settled"] == 1
