"""A mailbox that a client names twice is one recipient: one stamp pays it, and the mail server gets one copy to hand on."""

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.memory_gate import MemoryGate
from tests.support.stationery import LETTER

BOB, CARL, POSTMASTER = b"bob@example.org", b"carl@example.org", b"postmaster@example.org"
TWICE = {
    "the same": (BOB, BOB),
    "in capitals": (BOB, b"BOB@Example.ORG"),
    "quoted": (BOB, b'"bob"@example.org'),
    "three times": (b"Bob@example.org", BOB, BOB),
}


class Court:
    """A gate with the real desk, and an office that has been paid for a hundred."""

    def __init__(self, **policy) -> None:
        self.bench = DeskUnderTest(**policy)
        self.gate = MemoryGate(desk=self.bench.desk)

    def __enter__(self) -> "Court":
        self.gate.__enter__()
        self.gate.loop.run_until_complete(self.bench.office.open(100))
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.__exit__(*error)

    def say(self, letter: bytes, *to: bytes, is_pipelined: bool = True, is_bdat: bool = False) -> bytes:
        """The answer to the letter."""
        client = self.gate.client()
        lines = [b"MAIL FROM:<ann@sender.example>\r\n", *(b"RCPT TO:<%s>\r\n" % one for one in to)]
        said = client.send(b"".join(lines)) if is_pipelined else b"".join(map(client.send, lines))
        assert said.count(b"250 ") == len(lines), "each is answered as the mail server answers it"
        if is_bdat:
            return client.send(b"BDAT %d LAST\r\n%s" % (len(letter), letter))
        client.send(b"DATA\r\n")
        return client.send(letter + b".\r\n")

    def stamped(self, *to: bytes) -> bytes:
        return self.bench.stationery.stamped(LETTER, *(one.decode() for one in to))

    @property
    def handed_on(self) -> list[list[bytes]]:
        """The recipients of each letter that the mail server has taken."""
        return [[line.partition(b"<")[2].partition(b">")[0] for line in to] for _, to, _ in self.gate.upstream.letters]

    def balance(self) -> tuple[int, int]:
        return self.gate.loop.run_until_complete(self.bench.balance())


@pytest.mark.parametrize("way", TWICE)
@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("is_bdat", [True, False])
def test_one_stamp_pays_one_copy(way, is_pipelined, is_bdat):
    to = TWICE[way]
    with Court() as court:
        said = court.say(court.stamped(BOB), *to, is_pipelined=is_pipelined, is_bdat=is_bdat)
        assert said.startswith(b"250 2.0.0 Ok")
        assert court.handed_on == [[to[0]]]
        assert court.balance() == (99, 0)


def test_others_beside_have_theirs():
    with Court() as court:
        assert court.say(court.stamped(BOB, CARL), BOB, CARL, BOB, CARL).startswith(b"250 ")
        assert court.handed_on == [[BOB, CARL]]
        assert court.balance() == (98, 0)


def test_two_stamps_for_it_are_not_both_taken():
    with Court() as court:
        letter = court.stamped(BOB)
        letter = court.bench.stationery.stamp(LETTER, BOB.decode()).field() + letter
        assert court.say(letter, BOB, BOB).startswith(b"250 ")
        assert court.handed_on == [[BOB]]
        assert court.balance() == (99, 0)


def test_without_a_stamp_it_is_refused_and_free_it_comes_once():
    with Court() as court:
        assert b"(no-stamp)" in court.say(LETTER, BOB, BOB)
        assert court.handed_on == []
        assert court.say(LETTER, POSTMASTER, POSTMASTER).startswith(b"250 ")
        assert court.handed_on == [[POSTMASTER]]


def test_the_retry_is_the_same_letter_however_often_it_names_him():
    with Court() as court:
        letter = court.stamped(BOB)
        assert court.say(letter, BOB, BOB).startswith(b"250 2.0.0 Ok")
        for to in ((BOB,), (BOB, BOB), (b"BOB@example.org", BOB, BOB)):
            assert court.say(letter, *to).startswith(b"250 2.0.0 Already delivered")
        assert court.handed_on == [[BOB]]
        assert court.balance() == (99, 0)


def test_a_thousand_spellings_bring_no_thousand_copies():
    spellings = [bytes(letter - 32 * (bits >> place & 1) for place, letter in enumerate(b"bob")) for bits in range(8)]
    with Court() as court:
        assert court.say(court.stamped(BOB), *(one + b"@example.org" for one in spellings)).startswith(b"250 ")
        assert court.handed_on == [[b"bob@example.org"]]
        assert court.balance() == (99, 0)


def test_a_mailbox_without_a_canonical_form_is_named_as_it_is():
    with Court() as court:
        assert court.say(LETTER, POSTMASTER, b"postmaster@[x:y]", b"postmaster@[x:y]")[:3] in (b"550", b"250")
        assert all(len(set(to)) == len(to) for to in court.handed_on)


def test_outgoing_mail_goes_on_as_it_came():
    with MemoryGate(options={"is_named_once": False}) as gate:
        client = gate.client()
        client.send(b"MAIL FROM:<ann@sender.example>\r\n" + b"RCPT TO:<bob@example.org>\r\n" * 2 + b"DATA\r\n")
        assert client.send(LETTER + b".\r\n").startswith(b"250 ")
        assert len(gate.upstream.letters[0][1]) == 2
        assert gate.desk.envelopes[0].recipients == (BOB, BOB)
