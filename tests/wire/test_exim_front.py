"""What a real Exim in front of the gate has found out of a letter is believed as it writes that down, and no stranger
can make it write more.
"""

import os
import socket
import time

import pytest
from tests.support import chroots
from tests.support.authenticating import LETTER, authenticate, envelope
from tests.support.dkim_keys import key_name, rsa_key, sign_by_hand
from tests.support.dns_server import DnsServer
from tests.support.exim_at_work import EximAtWork
from tests.support.hostile_sink import HostileSink

pytestmark = pytest.mark.skipif(not chroots.is_available("exim-heavy"), reason=chroots.why_not("exim-heavy"))

EXIM = "mx.example.org"
NAMESERVER = f"127.7.{os.getpid() >> 8 & 255}.{os.getpid() & 127 | 128}"
"""An address of this process's own: Exim asks port 53 of it, and no other."""
FOUR, SIX = "192.0.2.7", "2001:db8::7"
REVERSE_SIX = ".".join(reversed("20010db8000000000000000000000007")) + ".ip6.arpa"
WORLD = {
    domain: {"TXT": [f"v=spf1 ip4:{FOUR} ip6:{SIX} -all"], "A": [FOUR], "AAAA": [SIX]}
    for domain in ("example.org", "evil.example", "client.example.org")
} | {
    key_name("example.org", "rsa"): {"TXT": [rsa_key().txt]},
    key_name("evil.example", "rsa"): {"TXT": [rsa_key().txt]},
    "7.2.0.192.in-addr.arpa": {"PTR": ["client.example.org."]},
    REVERSE_SIX: {"PTR": ["client.example.org."]},
}
RECIPE = """\
  warn remove_header = Authentication-Results
       add_header = :at_start:${authresults {$primary_hostname}}
"""


def in_front_of(port):
    """An Exim that gives what comes to this port; its clients are who they say to be, by PROXY."""
    return EximAtWork(
        port,
        main="hosts_proxy = 127.0.0.1\ndns_dnssec_ok = 0\nhost_lookup = *",
        at_rcpt="  warn spf = pass:fail:softfail:neutral:none:permerror:temperror",
        at_data=RECIPE,
        nameserver=NAMESERVER,
    )


@pytest.fixture(scope="module")
def world():
    """The DNS that Exim asks."""
    with DnsServer(WORLD, port=53, host=NAMESERVER) as server:
        yield server


@pytest.fixture(scope="module")
def exim(world):
    """One whose gate is a sink."""
    with HostileSink([b"ok"]) as sink, in_front_of(sink.port) as front:
        yield front, sink


@pytest.fixture(scope="module")
def nobody():
    """A DNS in which nothing is proven: what is proven all the same is the front's word."""
    with DnsServer({}) as server:
        yield server


def present(front, letter, helo, sender="ann@example.org", client=FOUR):
    """Give Exim the letter."""
    family = "TCP6" if ":" in client else "TCP4"
    with socket.create_connection(("127.0.0.1", front.port)) as connection, connection.makefile("rwb") as wire:

        def say(line):
            wire.write(line + b"\r\n")
            wire.flush()
            while (reply := wire.readline())[3:4] == b"-":
                pass
            assert reply[:1] in b"23", reply

        say(f"PROXY {family} {client} {SIX if family == 'TCP6' else '192.0.2.1'} 1234 25".encode())
        for line in (f"EHLO {helo}", f"MAIL FROM:<{sender}>", "RCPT TO:<bob@friends.example>", "DATA"):
            say(line.encode())
        say(letter + b".")


def passed_on(exim, letter, helo, sender="ann@example.org", client=FOUR):
    """The letter as it comes to the gate."""
    front, sink = exim
    before = len(sink.letters)
    present(front, letter, helo, sender, client)
    end = time.monotonic() + 30
    while len(sink.letters) == before and time.monotonic() < end:
        time.sleep(0.02)
    return sink.letters[-1]


def proven(nobody, letter, sender=b"ann@example.org"):
    env = envelope(sender, source="127.0.0.1", helo=EXIM, source_known=False, is_from_front=True)
    return authenticate(nobody, letter, env, trusted_fronts=[EXIM])


@pytest.mark.parametrize("client", [FOUR, SIX])
@pytest.mark.parametrize("helo", ["client.example.org", f"[{FOUR}]", f"[IPv6:{SIX}]"])
@pytest.mark.parametrize("sender", ["ann@example.org", ""])
def test_it_is_believed_for_every_client_and_every_name_a_client_may_have(exim, nobody, client, helo, sender):
    letter = passed_on(exim, sign_by_hand(LETTER), helo, sender, client)
    assert letter.startswith(b"Authentication-Results: mx.example.org;\r\n\tiprev=pass")
    found = proven(nobody, letter, sender.encode())
    assert found.author_domain == "example.org"
    assert found.sender_domain == ("example.org" if sender else helo if helo == "client.example.org" else "")
    assert found.domains == {"example.org"} | ({found.sender_domain} - {""})


def test_a_client_of_which_nothing_is_proven_is_believed_to_be_nobody(exim, nobody):
    found = proven(nobody, passed_on(exim, LETTER, "client.example.org", client="192.0.2.8"))
    assert (found.author_domain, found.domains, found.is_unsure) == ("", frozenset(), False)


FORGED = "dkim=pass header.d=example.org"
HOSTILE = {
    "its name": {"helo": f"x; {FORGED}"},
    "its name, with a comment": {"helo": f"x (y); {FORGED} (z"},
    "its name, with a quote": {"helo": f'"x"; {FORGED}; x="'},
    "its address": {"sender": f'"x;{FORGED};y"@evil.example'},
    "its signature": {"i": f"x=3B=20{FORGED.replace('=', '=3D').replace(' ', '=20')}=3B=20y@evil.example"},
    "its signature, as it is": {"i": '"x@evil.example'},
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("is_bounce", [True, False])
def test_no_stranger_proves_to_be_somebody_else_by_what_exim_writes_down_of_him(exim, nobody, words, is_bounce):
    letter = sign_by_hand(LETTER, d="evil.example", i=words.get("i", "@evil.example"))
    sender = "" if is_bounce and "sender" not in words else words.get("sender", "x@evil.example")
    letter = passed_on(exim, letter, words.get("helo", "client.example.org"), sender)
    found = proven(nobody, letter, sender.encode())
    assert found.author_domain == ""
    assert "example.org" not in found.domains


def test_what_a_stranger_has_written_in_exims_name_is_not_believed(exim, nobody):
    """Though Exim, without the first line of the recipe, would leave it in the letter, below its own Received field."""
    forged = b"Authentication-Results: mx.example.org; dkim=pass header.d=example.org\r\n"
    letter = passed_on(exim, forged + LETTER, "client.example.org", "x@evil.example")
    assert forged not in letter
    mine, received = letter.partition(b"\r\nReceived")[0], b"\r\nReceived" + letter.partition(b"\r\nReceived")[2]
    assert proven(nobody, letter).domains == {"evil.example"}
    left = mine + received.replace(b"\r\nFrom:", b"\r\n" + forged + b"From:", 1)
    assert proven(nobody, left).domains == {"evil.example"}


def test_a_correspondent_comes_free_through_exim_and_the_gate_and_who_forges_her_does_not(
    world, nobody, found_town, mail_server
):
    host, port = nobody.address
    lines = f'trusted_fronts = ["127.0.0.1/32"]\nnameservers = ["{host}:{port}"]\n[gate.authentication]\nfronts = ["{EXIM}"]\n'
    town = found_town(lines)
    town.admin("correspondents", "add", "bob@friends.example", "ann@example.org")
    with town.serve(), in_front_of(town.gate_port) as front:
        present(front, sign_by_hand(LETTER), f"[IPv6:{SIX}]", client=SIX)
        forged = sign_by_hand(LETTER, d="evil.example", i=HOSTILE["its signature"]["i"])
        present(front, forged, "client.example.org", "x@evil.example")
        present(front, LETTER, HOSTILE["its name"]["helo"], "x@evil.example")
        front.wait_until_idle()
        log = front.main_log()
    [letter] = [one.letter for one in mail_server.letters if b"bob@" in one.recipients[0]]
    assert b"x-postage=none reason=correspondent" in letter
    assert log.count("Postage due: bob@friends.example") == 2
