"""Wanted mail through a started gate: friends beside strangers, rules of single recipients, and rules read again."""

import signal
import smtplib

import pytest
from tests.support.dkim_keys import ed25519_key, key_name, sign
from tests.support.dns_server import DnsServer
from tests.support.town import ANN as FRIEND

US, OTHER = "bob@example.org", "eve@example.org"
FRIENDS_DOMAIN = "sender.example"


@pytest.fixture
def dns():
    """The friend's key is published, and where his mail comes from."""
    zone = {key_name(FRIENDS_DOMAIN, "s1"): [ed25519_key().txt], FRIENDS_DOMAIN: ["v=spf1 ip4:127.0.0.1 -all"]}
    with DnsServer({name: {"TXT": texts} for name, texts in zone.items()}) as server:
        yield server


def signed(letter: bytes) -> bytes:
    return sign(letter, FRIENDS_DOMAIN, "s1", ed25519_key())


def asking(dns) -> str:
    host, port = dns.address
    return f'nameservers = ["{host}:{port}"]'


def test_a_friends_letter_to_one_who_knows_him_and_one_who_does_not_reaches_the_one(
    found_town, dns, letter, mail_server
):
    town = found_town(asking(dns))
    town.admin("correspondents", "add", US, FRIEND)
    octets = signed(letter())
    with town.serve(), smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60) as client:
        client.ehlo("client.example")
        assert client.mail(FRIEND)[0] == 250
        assert client.rcpt(US)[0] == 250
        assert client.rcpt(OTHER)[0] == 452, "to come again, in a letter of its own"
        assert client.data(octets)[0] == 250
        assert client.mail(FRIEND)[0] == 250
        assert client.rcpt(OTHER)[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(octets + b".\r\n")
        assert client.getreply()[0] == 550
    [taken] = mail_server.letters
    assert b"reason=correspondent" in taken.letter
    assert b"dkim=pass header.d=sender.example" in taken.letter


def test_nobody_can_ask_whom_our_users_write_to(found_town, dns):
    """By RCPT, under a friend's name, and without a letter."""
    dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 -all")
    town = found_town(asking(dns))
    town.admin("correspondents", "add", US, FRIEND)
    with town.serve(), smtplib.SMTP("127.0.0.1", town.gate_port, timeout=60) as client:
        client.ehlo("client.example")
        client.mail(FRIEND)
        assert [client.rcpt(one)[0] for one in (US, OTHER)] == [250, 250]


def test_a_forged_friend_needs_a_stamp(found_town, dns, letter):
    dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 -all")
    town = found_town(asking(dns))
    town.admin("correspondents", "add", US, FRIEND)
    with town.serve():
        assert town.send(letter(), US)[0] == 550
        assert town.send(signed(letter()), US)[0] == 250


def test_where_the_dns_is_silent_a_friend_is_asked_to_come_again_and_nobody_learns_whose_friend_he_is(
    found_town, dns, letter
):
    dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 -all")
    dns.fail(key_name(FRIENDS_DOMAIN, "s1"))
    town = found_town(asking(dns))
    town.admin("correspondents", "add", US, FRIEND)
    with town.serve():
        for to in (US, OTHER):
            code, text = town.send(signed(letter()), to)
            assert (code, "(dns-unavailable)" in text) == (451, True)
            # What could not have proven him is no reason to wait.
            assert town.send(letter(), to)[0] == 550
        dns.mend(key_name(FRIENDS_DOMAIN, "s1"))
        assert town.send(signed(letter()), US)[0] == 250


def test_what_was_set_for_single_recipients_counts_after_a_reload(found_town, letter):
    town = found_town()
    with town.serve() as served:
        assert "needs a 1-cent stamp" in town.send(letter(), US)[1]
        town.admin("recipient", "set", US, "--price", "3")
        (town.folder / "recipients.toml").write_text('["eve@example.org"]\nmode = "monitor"\n')
        town.write('recipient_rules = "recipients.toml"')
        served.process.send_signal(signal.SIGHUP)
        served.wait_for(lambda line: line["event"] == "settings.reread")
        assert "needs a 3-cent stamp" in town.send(letter(), US)[1]
        assert town.send(letter(), OTHER)[0] == 250
        (town.folder / "recipients.toml").write_text('["eve@example.org"]\nmode = "sometimes"\n')
        served.process.send_signal(signal.SIGHUP)
        refused = served.wait_for(lambda line: line["event"] == "settings.not_reread")
        assert "recipients.toml" in refused["error"]
        assert town.send(letter(), OTHER)[0] == 250


def test_other_name_servers_are_asked_after_a_reload(found_town, dns, letter):
    with DnsServer({}) as nobody:
        town = found_town(asking(nobody))
        town.admin("correspondents", "add", US, FRIEND)
        with town.serve() as served:
            assert town.send(signed(letter()), US)[0] == 550
            town.write(asking(dns))
            served.process.send_signal(signal.SIGHUP)
            served.wait_for(lambda line: line["event"] == "settings.reread")
            assert town.send(signed(letter()), US)[0] == 250


def test_who_shares_a_friends_domain_learns_nothing_by_a_report_and_has_nothing_free(found_town, dns):
    """He has had his own letter signed by their provider, and sends it again from anywhere, as if it were a bounce."""

    def report(author: str, on: str) -> bytes:
        named = f"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; {on}\r\n"
        head = f"From: {author}@{FRIENDS_DOMAIN}\r\nTo: x@elsewhere.example\r\nSubject: Failed\r\n"
        dated = "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\n"
        return signed((head + dated + named).encode())

    dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 -all")
    town = found_town(f"{asking(dns)}\n[gate.allowance]\nbounces_per_day = 0\n")
    town.admin("correspondents", "add", US, FRIEND)
    with town.serve():
        for on in (FRIEND, f"nobody@{FRIENDS_DOMAIN}"):
            code, text = town.send(report("eve", on), US, sender="")
            assert (code, "(no-stamp)" in text) == (550, True)
        assert town.send(report("mailer-daemon", FRIEND), US, sender="")[0] == 250


def test_who_sends_a_strangers_signed_letter_again_uses_up_nothing_of_that_strangers_allowance(found_town, dns, letter):
    """A signature says nothing of who a letter is sent to, so one letter is enough to send it to everybody."""
    town = found_town(f'mode = "bulk"\n{asking(dns)}\n[gate.allowance]\nper_source_per_day = 3\n')
    dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 -all")
    with town.serve() as served:
        sent = [town.send(signed(letter()), US, sender=f"{number}@evil.example")[0] for number in range(4)]
        assert sent == [250] * 3 + [550]
        dns.replace(FRIENDS_DOMAIN, "TXT", "v=spf1 ip4:127.0.0.1 -all")
        town.write(f'mode = "bulk"\n{asking(dns)}\n[gate.allowance]\nper_source_per_day = 3\n')
        served.process.send_signal(signal.SIGHUP)
        served.wait_for(lambda line: line["event"] == "settings.reread")
        assert town.send(signed(letter("Milk")), US)[0] == 250
