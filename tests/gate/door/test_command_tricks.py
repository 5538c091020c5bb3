"""Tricks with commands: what stands between two lines, behind STARTTLS and XCLIENT, and commands by the thousand."""

import ssl
from ipaddress import ip_network

import pytest
import trustme
from tests.support.fake_upstream import KEYWORDS
from tests.support.memory_gate import MemoryGate, MemoryUpstream

from pennyred.gate.upstream.endpoint import IdentityMode

MAIL = b"MAIL FROM:<alice@example.com>\r\n"
RCPT = b"RCPT TO:<bob@example.org>\r\n"
LETTER = b"Subject: tea\r\n\r\nhello\r\n.\r\n"
FRONT = {"trusted_fronts": (ip_network("192.0.2.1"),)}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def codes(said: bytes) -> list[bytes]:
    """The code of each reply, its last line's."""
    return [line[:3] for line in said.splitlines() if line[3:4] != b"-"]


@pytest.mark.parametrize("in_one_packet", [True, False])
def test_what_stands_behind_starttls_in_plain_text_is_nobodys_command(server_tls, client_tls, in_one_packet):
    injected = b"EHLO evil.example\r\n" + MAIL + RCPT + b"DATA\r\nSubject: evil\r\n\r\nx\r\n.\r\n"
    with MemoryGate(tls=server_tls) as gate:
        client = gate.client()
        if in_one_packet:
            said = client.send(MAIL + RCPT + b"STARTTLS\r\n" + injected)
        else:
            client.transport.feed(MAIL + RCPT + b"STARTTLS\r\n")
            client.transport.feed(injected)
            said = client.send(b"NOOP\r\n")
        assert codes(said) == [b"250", b"250", b"220"]
        client.start_tls(client_tls)
        assert codes(client.send(MAIL + RCPT + b"DATA\r\nNOOP\r\n")) == [b"503", b"503", b"503", b"250"]
        assert codes(client.send(b"EHLO honest.example\r\n" + RCPT)) == [b"250", b"503"]
        assert codes(client.send(MAIL + RCPT + b"DATA\r\n" + LETTER)) == [b"250", b"250", b"354", b"250"]
        assert [envelope.helo for envelope in gate.desk.envelopes] == ["honest.example"]
        assert not any(b"evil" in heard for heard in gate.upstream.heard)


def test_plain_text_in_the_middle_of_the_handshake_ends_the_session(server_tls):
    with MemoryGate(tls=server_tls) as gate:
        client = gate.client()
        assert codes(client.send(b"STARTTLS\r\n")) == [b"220"]
        assert client.send(b"EHLO evil.example\r\n" + MAIL) != b"250"
        assert client.has_heard_end
        assert [line[1] for line in gate.notes.lines] == ["smtp.tls_failed"]


def test_what_a_client_said_of_others_before_starttls_is_forgotten_with_the_transaction(server_tls, client_tls):
    with MemoryGate(tls=server_tls, options=FRONT) as gate:
        client = gate.client(address="192.0.2.1")
        assert codes(client.send(b"XFORWARD ADDR=203.0.113.9\r\nSTARTTLS\r\n")) == [b"250", b"220"]
        client.start_tls(client_tls)
        client.send(b"EHLO front.example\r\n" + MAIL + RCPT + b"DATA\r\n" + LETTER)
        assert [envelope.source_known for envelope in gate.desk.envelopes] == [False]


def test_commands_pipelined_behind_xclient_are_those_of_a_new_session():
    with MemoryGate(options=FRONT) as gate:
        client = gate.client(address="192.0.2.1")
        said = client.send(b"XCLIENT ADDR=203.0.113.9 HELO=x.example\r\n" + MAIL + RCPT + b"DATA\r\n")
        assert codes(said) == [b"220", b"503", b"503", b"503"]
        said = client.send(b"EHLO c.example\r\n" + MAIL + RCPT + b"XCLIENT ADDR=203.0.113.10\r\nDATA\r\n" + LETTER)
        assert codes(said) == [b"250", b"250", b"250", b"503", b"354", b"250"]
        assert [envelope.source_ip for envelope in gate.desk.envelopes] == ["203.0.113.9"]


@pytest.mark.parametrize("verb", [b"XCLIENT", b"XFORWARD", b"xclient"])
def test_who_is_no_front_speaks_for_nobody_and_what_follows_is_his_own(verb):
    with MemoryGate(options=FRONT) as gate:
        said = gate.client().send(verb + b" ADDR=192.0.2.1\r\n" + MAIL + RCPT + b"DATA\r\n" + LETTER)
        assert codes(said) == [b"550", b"250", b"250", b"354", b"250"]
        assert [envelope.source_ip for envelope in gate.desk.envelopes] == ["198.51.100.7"]


@pytest.mark.parametrize("octet", [0, 1, 7, 8, 9, 11, 12, 13, 27, 31, 127, 128, 141, 160, 255])
@pytest.mark.parametrize(
    "line",
    [b"EHLO a%cb", b"MAIL FROM:<a%cb@example.com>", b"RCPT TO:<a%cb@example.org>", b"NOOP %cx", b"R%cSET", b"%cRSET"],
)
def test_control_characters_and_stray_octets_in_a_command_are_refused_and_never_go_upstream(line, octet):
    with MemoryGate() as gate:
        client = gate.client()
        if line.startswith(b"RCPT"):
            assert codes(client.send(MAIL + RCPT)) == [b"250", b"250"]
        before = [bytes(heard) for heard in gate.upstream.heard]
        [code] = codes(client.send(line % octet + b"\r\n"))
        assert code in ((b"501", b"553") if octet > 127 and line[:4] in (b"MAIL", b"RCPT") else (b"500",))
        assert [bytes(heard) for heard in gate.upstream.heard] == before
        assert codes(client.send(b"RSET\r\n" + MAIL + RCPT + b"DATA\r\n" + LETTER)) == [
            b"250", b"250", b"250", b"354", b"250"
        ]  # fmt: skip


def test_a_command_may_end_with_a_bare_lf_and_goes_on_with_crlf():
    with MemoryGate() as gate:
        said = gate.client().send((MAIL + RCPT + RCPT).replace(b"\r", b"") + b"DATA\n" + LETTER)
        assert codes(said) == [b"250", b"250", b"250", b"354", b"250"]
        assert gate.upstream.heard[-1].count(b"\n") == gate.upstream.heard[-1].count(b"\r\n")


def test_a_command_does_not_end_with_a_bare_cr():
    smuggled = b"RCPT TO:<a@example.org>\rRCPT TO:<b@example.org>\r\n"
    with MemoryGate() as gate:
        client = gate.client()
        said = client.send(MAIL + smuggled + RCPT + b"NOOP\r\r\nDATA\r" + b"\r\nDATA\r\n" + LETTER)
        assert codes(said) == [b"250", b"500", b"250", b"500", b"500", b"354", b"250"]
        assert gate.desk.envelopes[0].recipients == (b"bob@example.org",)
        assert b"\rR" not in gate.upstream.heard[-1]


def test_ten_thousand_recipients_cost_an_honest_client_neither_letter_nor_session():
    """It says all it has in one go, and keeps those that are too many for its next letter."""
    everybody = b"".join(RCPT.replace(b"<", b"<%d" % number) for number in range(200))
    with MemoryGate(options={"recipients_max": 100, "errors_max": 20}) as gate:
        client = gate.client()
        for _ in range(50):
            said = client.send(MAIL + everybody + b"DATA\r\n" + LETTER)
            assert codes(said) == [b"250"] * 101 + [b"452"] * 100 + [b"354", b"250"]
        assert {len(envelope.recipients) for envelope in gate.desk.envelopes} == {100}


def test_recipients_without_end_end_the_session():
    with MemoryGate(options={"recipients_max": 100, "errors_max": 20}) as gate:
        client = gate.client()
        heard = codes(client.send(MAIL + RCPT * 10_000))
        assert heard[:201] == [b"250"] * 101 + [b"452"] * 100
        assert heard[201:] == [b"452"] * 20 + [b"421"]
        assert client.has_heard_end
        assert gate.upstream.heard[-1].count(b"RCPT") == 100


def test_a_gate_that_points_at_itself_says_later_and_stops():
    class Itself(MemoryUpstream):
        def reach(self, protocol):
            self.count += 1
            return self.gate.door(protocol)

    upstream = Itself()
    upstream.count = 0
    options = {"identity": IdentityMode.NONE, "upstream_options": {"connections_max": 10}}
    with MemoryGate(upstream=upstream, **options) as gate:
        upstream.gate = gate
        client = gate.client(b"HELO client.example.com\r\n")
        client.transport.feed(MAIL + RCPT)
        for _ in range(20):
            gate.loop.pass_seconds(11)
        assert codes(bytes(client.said)) == [b"220", b"250", b"451", b"503"]
        assert upstream.count <= 40
        client.send(b"QUIT\r\n")


def test_what_the_mail_server_offers_lures_nobody_into_another_language():
    """A keyword with a line end or 8-bit octets in it is not repeated to clients."""
    with MemoryGate(upstream=MemoryUpstream((*KEYWORDS, "X-EVIL \x0bSTARTTLS", "STARTTLSX"))) as gate:
        client = gate.client(b"")
        assert b"EVIL" not in client.send(b"EHLO c.example\r\n")
