"""Odd line ends: through the gate a letter is what a real Postfix makes of it when it comes there directly."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from tests.support import real_postfix
from tests.support.letter_ends import by_postfix
from tests.support.program import run
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import ANN, BOB, Town, letter

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)

POSTMASTER = "postmaster@example.org"
HEAD = (
    b"X-Begin: 1\r\nFrom: Ann <ann@sender.example>\r\nTo: Bob <bob@example.org>\r\nSubject: Tea\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n"
)
BODY = b"\r\nShall we\r\n.. have\r\ntea?\r\n"
ODD = [b"\r", b"\r\r", b"\r\r\n", b"\r\r\r\n", b"\n", b"\n\r", b"\n\r\r\n", b"\r" * 40 + b"\n"]
WITH_NUL = [b"\r\0\n", b"\r\0\r\n", b"\0\r\r\n", b"\r\r\0\n"]
"""Not in a header: a line with a NUL is no field to Postfix, and the gate has no NUL."""
LETTERS = {
    "all line ends doubled": [HEAD.replace(b"\r\n", b"\r\r\n") + BODY.replace(b"\r\n", b"\r\r\n")],
    "tripled": [(HEAD + BODY).replace(b"\r\n", b"\r\r\r\n")],
    "in a field": [HEAD + b"X-One: 1" + odd + b"X-Two: 2\r\n" + BODY for odd in ODD],
    "at a line start of the header": [HEAD + odd + b"X-Two: 2\r\n" + BODY for odd in ODD],
    "for the empty line": [HEAD + odd + BODY[2:] for odd in ODD],
    "in the body": [HEAD + BODY + b"a" + odd + b"b" + odd + odd + b"c\r\n" for odd in [*ODD, *WITH_NUL]],
    "before a dot": [HEAD + BODY + b"a" + odd + b"\r\n.b\r\n" for odd in [*ODD, *WITH_NUL]],
    "at the end": [HEAD + BODY + b"a" + odd + b"\r\n" for odd in [*ODD, *WITH_NUL]],
}


@dataclass
class Way:
    """Somebody who speaks SMTP by hand."""

    port: int

    def say(self, *wires: bytes) -> bytes:
        """The last answer."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=60)) as connection:
            answers = connection.makefile("rb")

            def answer() -> bytes:
                while (line := answers.readline())[3:4] == b"-":
                    pass
                return line

            answer()
            for wire in wires:
                connection.sendall(wire)
                said = answer()
                assert said[:1] in b"23", (said, wire[:60])
            connection.sendall(b"QUIT\r\n")
            return said


def envelope(to: str) -> tuple[bytes, ...]:
    return b"EHLO client.example\r\n", f"MAIL FROM:<{ANN}>\r\n".encode(), f"RCPT TO:<{to}>\r\n".encode()


def by_data(way: Way, octets: bytes, to: str = POSTMASTER) -> None:
    stuffed = (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:]
    way.say(*envelope(to), b"DATA\r\n", stuffed + b".\r\n")


def by_bdat(way: Way, octets: bytes, to: str = POSTMASTER) -> None:
    way.say(*envelope(to), b"BDAT %d LAST\r\n%s" % (len(octets), octets))


def in_crumbs(way: Way, octets: bytes, to: str = POSTMASTER) -> None:
    chunks = [octets[at : at + 11] for at in range(0, len(octets), 11)]
    way.say(*envelope(to), *(b"BDAT %d\r\n%s" % (len(chunk), chunk) for chunk in chunks), b"BDAT 0 LAST\r\n")


def as_it_stands(way: Way, octets: bytes) -> None:
    way.say(*envelope(POSTMASTER), b"DATA\r\n", octets + b".\r\n")


WAYS: list[Callable[..., None]] = [by_data, by_bdat, in_crumbs]


@pytest.fixture(scope="module")
def town_and_postfix(tmp_path_factory) -> Iterator[tuple[Town, Postfix, Way, Way]]:
    behind, direct = free_port(), free_port()
    listeners = services("gate-in-front.master.cf", p10025=behind) + f"127.0.0.1:{direct} inet n - n - - smtpd\n"
    with Postfix(listeners) as postfix:
        town = Town.found(
            tmp_path_factory.mktemp("town"), behind, "max_idle_commands = 1000\nmax_connections_per_network = 500"
        )
        with town.serve():
            town.fund(20)
            yield town, postfix, Way(town.gate_port), Way(direct)


@pytest.mark.parametrize("send", WAYS)
@pytest.mark.parametrize("place", LETTERS)
def test_what_arrives_through_the_gate_is_what_arrives_without_it(town_and_postfix, place, send):
    _, postfix, gate, direct = town_and_postfix
    for octets in LETTERS[place]:
        arrived = []
        for way in (direct, gate):
            postfix.forget()
            send(way, octets)
            [whole] = postfix.wait_for_letters(1)
            arrived.append(whole[whole.index(b"X-Begin:") :].replace(b"\0", b""))
        assert arrived[0] == arrived[1], octets


@pytest.mark.parametrize("odd", [b"\n", b"\r\r\n", b"\0\n", b"\n\0", b"\r\n\0", b"\r"])
def test_a_dot_goes_or_stays_as_it_does_without_the_gate_whatever_ends_the_line_before(town_and_postfix, odd):
    """Programs that end lines with LF double the dots of such lines, too."""
    _, postfix, gate, direct = town_and_postfix
    lines = odd.join([b"\r\na", b".b", b"..c", b"...d", b".. ", b"e\r\n"])
    arrived = []
    for way in (direct, gate):
        postfix.forget()
        as_it_stands(way, HEAD + lines)
        [whole] = postfix.wait_for_letters(1)
        arrived.append(whole[whole.index(b"X-Begin:") :].replace(b"\0", b""))
    assert arrived[0] == arrived[1]


@pytest.mark.parametrize("send", WAYS)
def test_a_stamped_letter_whose_line_ends_were_doubled_is_paid_for_and_arrives_as_it_was(town_and_postfix, send):
    town, postfix, gate, _ = town_and_postfix
    stamped = town.stamped(letter(send.__name__), BOB)
    postfix.forget()
    send(gate, stamped.replace(b"\r\n", b"\r\r\n"), BOB)
    [whole] = postfix.wait_for_letters(1)
    assert whole.endswith(stamped.replace(b"\r\n", b"\n"))
    assert b"x-postage=pass reason=stamped\n" in whole


@pytest.mark.parametrize("odd", [b"\r\r\n", b"\n", b"\r\r\r\n"])
def test_the_command_stamps_the_letter_that_a_postfix_makes_of_it(town_and_postfix, odd):
    """The stamped file is passed on by a Postfix that knows nothing of stamps, and by a program that doubles line ends."""
    town, postfix, gate, _ = town_and_postfix
    octets = (HEAD.replace(b"Tea", b"Tea\rtime") + b"\r\nShall\rwe?\r\n").replace(b"\r\n", odd)
    stamped = run("stamp", "--to", BOB, home=town.home, stdin=octets).stdout
    assert stamped.endswith(by_postfix(octets))
    for send in (by_data, by_bdat):
        postfix.forget()
        send(gate, stamped.replace(b"\r\n", b"\r\r\n"), BOB)
        if send is by_data:  # the second time it is the letter that was delivered
            [whole] = postfix.wait_for_letters(1)
            assert whole.endswith(stamped.replace(b"\r\n", b"\n"))
