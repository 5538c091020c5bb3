"""Letters in chunks, to real mail servers: what arrives, and what is answered, is what it is by DATA."""

import re
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest
from tests.support import chroots, real_postfix
from tests.support.program import run_json
from tests.support.real_dovecot import Dovecot
from tests.support.real_exim import Exim
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.tap import Tap
from tests.support.town import ANN, BOB, Town

CAROL = "carol@example.org"
HEAD = (
    b"From: Ann <ann@sender.example>\r\nTo: Bob <bob@example.org>\r\nSubject: Tea\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n"
)
LONG = HEAD + b"\r\n" + b"".join(b"%s%07d\r\n" % (b"." * (number % 4), number) for number in range(60_000))
ODD = {
    "lines of an mbox": b"From ann@sender.example Sun Nov 22 10:00:00 2026\r\n>From me\r\n" + HEAD + b"\r\nTea\r\n",
    "a blank": b" folded\r\n" + HEAD + b"\r\nTea\r\n",
    "a tab": b"\tfolded\r\n" + HEAD + b"\r\nTea\r\n",
}
"""What Postfix, of 3.7, takes for something else by BDAT than by DATA."""
LETTERS = {
    "plain": HEAD + b"\r\nShall we have tea?\r\n",
    "no body": HEAD,
    "an empty body": HEAD + b"\r\n",
    "no line end at its end": HEAD + b"\r\nShall we have tea?",
    "dots": HEAD + b"\r\n.\r\n..\r\n...\r\n.a\r\n. \r\n.\r\n",
    "an end mark in its middle": HEAD + b"\r\na\r\n.\r\nRSET\r\nMAIL FROM:<x@y.example>\r\nDATE 2 LAST\r\n.\r\n",
    "odd line ends": HEAD + b"\r\na\nb\rc\r\r\nd\n.\ne\r\n\n\r.\r\n",
    "NUL": HEAD + b"\r\na\0b\0\r\n\0.\r\n",
    "eight bits": HEAD.replace(b"Tea", "Käse".encode()) + b"\r\n\xe4\xf6\xfc \xff\xfe\x80\r\n",
    "lines of 998 and 999": HEAD + b"\r\n" + b"x" * 998 + b"\r\n" + b"y" * 999 + b"\r\n",
    "a line of 5000": HEAD + b"\r\n" + b"z" * 5000 + b"\r\n",
    "From in its middle": HEAD + b"\r\nFrom here\r\n>From there\r\n",
    "long": LONG,
    "long, without a line end": LONG + b"x" * 300_000,
}  # fmt: skip
_DIFFERENT = re.compile(
    rb"^(?:Received:.*\n(?:[ \t].*\n)*|(?:Delivery-date|Date|Message-Id|Message-ID): .*\n)", re.MULTILINE
)
"""What tells when and on which connection it came."""


def by_data(port: int, octets: bytes, to: str) -> bytes:
    """The answer to a letter without dots."""
    with closing(smtplib.SMTP("127.0.0.1", port, timeout=60)) as client:
        client.ehlo("client.example")
        client.mail(ANN)
        client.rcpt(to)
        code, text = client.data(octets)
        return b"%d %b" % (code, text)


def sent(port: int, octets: bytes, *to: str, parameters: str = "") -> bytes:
    """The answer to a letter that comes by BDAT, so that nobody has to double its dots."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        answers = client.makefile("rb")

        def answer() -> bytes:
            lines = [answers.readline()]
            while lines[-1][3:4] == b"-":
                lines.append(answers.readline())
            return b"".join(lines)

        answer()
        envelope = (f"MAIL FROM:<{ANN}>{parameters}\r\n", *(f"RCPT TO:<{one}>\r\n" for one in to))
        for line in (b"EHLO client.example\r\n", *(line.encode() for line in envelope)):
            client.sendall(line)
            said = answer()
            assert said.startswith(b"250"), said
        client.sendall(b"BDAT %d LAST\r\n%b" % (len(octets), octets))
        return answer()


def postfix() -> tuple[Postfix, int]:
    port = free_port()
    settings = {"header_checks": "regexp:{{/^Subject: spam/ REJECT no spam}}", "message_size_limit": "5000000"}
    return Postfix(services("gate-in-front.master.cf", p10025=port), settings), port


def of_tree(kind: type, *arguments: str):
    server = kind(*arguments)
    return server, server.port


KINDS = {
    "postfix": (None, "smtp", "xclient", postfix),
    "exim, told by PROXY": ("exim-heavy", "smtp", "proxy", lambda: of_tree(Exim, "gate-in-front.macros", "heavy")),
    "exim, not told": ("exim-light", "smtp", "none", lambda: of_tree(Exim, "gate-in-front-light.macros", "light")),
    "dovecot": ("dovecot", "lmtp", "xclient", lambda: of_tree(Dovecot, "gate-in-front.conf", "tcp")),
}


@dataclass
class Both:
    """A mail server, and two gates before it."""

    server: Postfix | Exim | Dovecot
    by_data: int
    by_bdat: int
    heard_by_data: Tap
    heard_by_bdat: Tap

    def arrived(self, port: int, octets: bytes) -> tuple[bytes, list[bytes]]:
        """The answer's code, and what has come of it, but for what differs each time."""
        self.server.forget()
        said = sent(port, octets, BOB)
        found = self.server.wait_for_letters(1) if said.startswith(b"250") else []
        return said[:3], [_DIFFERENT.sub(b"", one) for one in found]


@pytest.fixture(scope="module", params=list(KINDS))
def both(request, tmp_path_factory) -> Iterator[Both]:
    tree, scheme, identity, make = KINDS[request.param]
    if tree is None and not real_postfix.is_available():
        pytest.skip(real_postfix.WHY_NOT)
    if tree is not None and not chroots.is_available(tree):
        pytest.skip(chroots.why_not(tree))
    with ExitStack() as stack:
        server, port = make()
        stack.enter_context(server)
        ports, taps = [], []
        for chunking in ("false", "true"):
            taps.append(stack.enter_context(Tap(port)))
            settings = (
                f'upstream = "{scheme}://127.0.0.1:{taps[-1].port}"\nupstream_identity = "{identity}"\n'
                f'upstream_chunking = {chunking}\nmode = "monitor"\nmax_connections_per_network = 500\n'
                '[gate.authentication]\ncheck = "never"\n'
            )
            town = Town.found(tmp_path_factory.mktemp("town"), port, settings)
            stack.enter_context(town.serve())
            ports.append(town.gate_port)
        yield Both(server, *ports, *taps)


@pytest.mark.parametrize("letter", LETTERS)
def test_what_arrives_in_chunks_is_what_arrives_by_data(both, letter):
    by_data = both.arrived(both.by_data, LETTERS[letter])
    for _ in range(2):  # the first letter of all goes in two chunks
        assert both.arrived(both.by_bdat, LETTERS[letter]) == by_data
    assert by_data[0] in (b"250", b"550", b"554")
    assert both.heard_by_bdat.has_heard(b" LAST\r\n")
    assert not both.heard_by_bdat.has_heard(b"\nDATA\r\n")
    assert not both.heard_by_data.has_heard(b"\nBDAT ")
    assert not both.heard_by_bdat.has_heard(b"BINARYMIME")


@pytest.mark.parametrize(
    "both", [kind for kind in KINDS if kind != "dovecot"], indirect=True
)  # Debian 12's: no SMTPUTF8
def test_internationalised_addresses_and_eight_bits_are_announced_as_by_data(both):
    octets = HEAD.replace(b"Ann <", "Änn <".encode()) + b"\r\nTea\r\n"
    for port, tap in ((both.by_data, both.heard_by_data), (both.by_bdat, both.heard_by_bdat)):
        both.server.forget()
        assert sent(port, octets, BOB, parameters=" BODY=8BITMIME SMTPUTF8").startswith(b"250")
        [one] = both.server.wait_for_letters(1)
        assert "Änn <".encode() in one
        assert tap.has_heard(b" BODY=8BITMIME SMTPUTF8")


def test_a_letter_that_is_too_big_is_refused_alike_and_the_next_one_goes_through(both):
    big = HEAD + b"\r\n" + (b"x" * 900 + b"\r\n") * 6_000
    if isinstance(both.server, Postfix):
        said = {sent(port, big, BOB)[:3] for port in (both.by_data, both.by_bdat)}
        assert said == {b"552"}
    both.server.forget()
    for port in (both.by_data, both.by_bdat):
        assert sent(port, LETTERS["plain"], BOB).startswith(b"250")
    both.server.wait_for_letters(2)


@pytest.mark.parametrize("both", ["postfix"], indirect=True)  # it alone is told to look into letters
def test_one_that_is_refused_for_what_is_in_it_is_refused_alike_and_the_next_one_goes_through(both):
    both.server.forget()
    spam = HEAD.replace(b"Tea", b"spam")
    for octets in (spam + b"\r\nspam\r\n", spam + LONG[len(HEAD) :]):
        answers = {sent(port, octets, BOB) for port in (both.by_data, both.by_bdat)}
        assert answers == {b"550 5.7.1 no spam\r\n"}
    assert both.server.letters() == []
    assert sent(both.by_bdat, LETTERS["plain"], BOB).startswith(b"250")
    assert len(both.server.wait_for_letters(1)) == 1


@pytest.mark.parametrize("both", ["dovecot"], indirect=True)  # only LMTP answers each recipient
def test_each_recipients_answer_is_his_own_where_one_mailbox_is_full(both):
    octets = HEAD + b"\r\n" + (b"x" * 70 + b"\r\n") * 400
    answers = set()
    for port in (both.by_data, both.by_bdat):
        both.server.forget()
        answers.add(sent(port, octets, BOB, CAROL))
        assert len(both.server.wait_for_letters(1)) == 1
        assert both.server.letters("carol") == []
    [answer] = answers
    assert answer.startswith(b"550-5.0.0 refused (552 5.2.2 ")
    assert answer.endswith(b"550 5.0.0 delivered: bob@example.org\r\n")


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
@pytest.mark.parametrize("letter", ODD)
def test_what_postfix_would_not_know_again_in_chunks_goes_by_data(tmp_path, letter):
    """Outgoing mail has no fields of the gate's above it: as it begins there, it begins for the mail server."""
    port, outgoing = free_port(), free_port()
    with Postfix(services("gate-in-front.master.cf", p10025=port)) as server, Tap(port) as tap:
        settings = f'[gate.outgoing]\nlisten = ["127.0.0.1:{outgoing}"]\nupstream = "smtp://127.0.0.1:{tap.port}"\n'
        town = Town.found(tmp_path, port, settings)
        with town.serve():
            found = []
            for way in (port, outgoing):
                for octets in (HEAD + b"\r\nTea\r\n", ODD[letter]):
                    server.forget()
                    say = by_data if way == port else sent
                    assert say(way, octets, BOB).startswith(b"250")
                    [one] = server.wait_for_letters(1)
                    found.append(_DIFFERENT.sub(b"", one))
    assert found[:2] == found[2:]
    assert [tap.has_heard(octets) for octets in (b"\nBDAT ", b"\nDATA\r\n")] == [True, True]


@pytest.mark.skipif(not chroots.is_available("exim-light"), reason=chroots.why_not("exim-light"))
def test_exim_asks_its_acl_before_data_only_where_letters_go_by_data(tmp_path):
    """As the manual says: who has one turns chunks off."""
    with Exim("gate-in-front-light.macros", "light", "acl_smtp_predata = deny message = not before data\n") as server:
        answers = []
        for chunking in ("false", "true"):
            settings = f'upstream_identity = "none"\nupstream_chunking = {chunking}\nmode = "monitor"\n'
            town = Town.found(tmp_path / chunking, server.port, settings)
            with town.serve():
                answers.append(sent(town.gate_port, LETTERS["plain"], BOB)[:3])
        assert answers == [b"550", b"250"]


@pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
def test_one_postfix_that_offers_chunks_and_one_that_does_not_stand_in_for_each_other(tmp_path):
    ports = [free_port(), free_port()]
    listeners = "".join(
        services("gate-in-front.master.cf", p10025=port).rstrip("\n") + more
        for port, more in zip(
            ports, ("\n", "\n    -o smtpd_discard_ehlo_keywords=chunking,silent-discard\n"), strict=True
        )
    )
    with Postfix(listeners) as server, Tap(ports[0]) as one, Tap(ports[1]) as two:
        settings = (
            f'upstream = ["smtp://127.0.0.1:{one.port}", "smtp://127.0.0.1:{two.port}"]\nupstream_spread = true\n'
            'mode = "monitor"\n'
        )
        town = Town.found(tmp_path, ports[0], settings)
        with town.serve():
            for _ in range(6):
                assert sent(town.gate_port, LONG, BOB).startswith(b"250")
            found = server.wait_for_letters(6)
            assert len({_DIFFERENT.sub(b"", letter) for letter in found}) == 1
            assert one.has_heard(b"\nBDAT ")
            assert not one.has_heard(b"\nDATA\r\n")
            assert two.has_heard(b"\nDATA\r\n")
            assert not two.has_heard(b"\nBDAT ")
        said = run_json("--config", str(town.settings), "check", check=False)
        assert [one for one in said["complaints"] if "chunking" in one["key"]] == []
