"""A letter whose line ends were doubled under way is the letter that was stamped, by DATA and in chunks, cut anywhere."""

from unittest.mock import patch

import pytest
from tests.support.desk import DeskUnderTest
from tests.support.letter_ends import by_postfix
from tests.support.memory_gate import MemoryClient, MemoryGate
from tests.support.stationery import LETTER

from pennyred.gate.smtp import letter_end

BOB = b"bob@example.org"
ENVELOPE = b"MAIL FROM:<ann@sender.example>\r\nRCPT TO:<%s>\r\n" % BOB


def doubled(letter: bytes) -> bytes:
    """As a program leaves it that takes CRLF for text and writes each LF as CRLF."""
    return letter.replace(b"\r\n", b"\r\r\n")


WAYS = {
    "CR CR LF throughout": doubled,
    "in the header only": lambda letter: (
        doubled(letter[: letter.index(b"\r\n\r\n")]) + letter[letter.index(b"\r\n\r\n") :]
    ),
    "the empty line only": lambda letter: letter.replace(b"\r\n\r\n", b"\r\n\r\r\n", 1),
    "in the body only": lambda letter: (
        letter[: letter.index(b"\r\n\r\n")] + doubled(letter[letter.index(b"\r\n\r\n") :])
    ),
    "three and four": lambda letter: doubled(doubled(letter)).replace(b"\r\r\r\n", b"\r\r\r\r\n", 2),
    "LF": lambda letter: letter.replace(b"\r\n", b"\n"),
    "mixed": lambda letter: b"".join(
        line + (b"\r\n", b"\n", b"\r\r\n")[at % 3] for at, line in enumerate(letter.split(b"\r\n")[:-1])
    ),
}


class Court:
    """A gate with the real desk, a stamped letter, and an office that has been paid for a hundred."""

    def __enter__(self) -> "Court":
        self.bench = DeskUnderTest()
        self.gate = MemoryGate(desk=self.bench.desk).__enter__()
        self.gate.loop.run_until_complete(self.bench.office.open(100))
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.__exit__(*error)

    def stamped(self) -> bytes:
        letter = LETTER + b".\r\n..two\r\nand a last line\r\n"
        return self.bench.stationery.stamped(letter, BOB.decode())

    @property
    def arrived(self) -> bytes:
        """The last letter, from its stamp down."""
        _, _, stuffed = self.gate.upstream.letters[-1]
        letter = b"\r\n".join(line.removeprefix(b".") for line in stuffed.split(b"\r\n"))
        return letter[letter.index(b"X-Postage-Stamp:") :]


def by_data(client: MemoryClient, letter: bytes, cut: int) -> bytes:
    # The dots are doubled by whoever sends, at what is a line start to everybody.
    wire = (b"\r\n" + letter).replace(b"\n.", b"\n..").replace(b"\r.", b"\r..")[2:] + b".\r\n"
    client.send(ENVELOPE + b"DATA\r\n")
    return client.send(wire[:cut]) + client.send(wire[cut:])


def by_bdat(client: MemoryClient, letter: bytes, cut: int) -> bytes:
    client.send(ENVELOPE)
    first, last = letter[:cut], letter[cut:]
    client.send(b"BDAT %d\r\n%s" % (len(first), first))
    return client.send(b"BDAT %d LAST\r\n%s" % (len(last), last))


@pytest.mark.parametrize("send", [by_data, by_bdat])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("LF", "mixed")])
def test_it_is_paid_for_and_arrives_as_it_was_stamped(way, send):
    with Court() as court:
        letter = court.stamped()
        assert send(court.gate.client(), WAYS[way](letter), 100).startswith(b"250 ")
        assert court.arrived == letter


@pytest.mark.parametrize("way", ["LF", "mixed"])
def test_with_bare_newlines_too_in_chunks(way):
    with Court() as court:
        letter = court.stamped()
        assert by_bdat(court.gate.client(), WAYS[way](letter), 100).startswith(b"250 ")
        assert court.arrived == letter


@pytest.mark.parametrize("send", [by_data, by_bdat])
def test_cut_anywhere_it_is_the_same_letter_and_paid_once(send):
    """By the letter's hash it is the one that was delivered, whichever way it came the first time."""
    with Court() as court:
        letter = court.stamped()
        client = court.gate.client()
        assert by_data(client, letter, 10).startswith(b"250 2.0.0 Ok")
        odd = doubled(letter)
        for cut in range(1, len(odd)):
            said = send(client, odd, cut)
            assert said == b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n", cut
        assert court.gate.loop.run_until_complete(court.bench.balance()) == (99, 0)


@pytest.mark.parametrize("octets", [b"\r", b"\r\r\n", b"\r\0\n", b"\r\0\r\n", b"\r\r", b"\n\r", b"\0\r\r\n"])
@pytest.mark.parametrize("place", ["a field", "between fields", "at the top", "the body", "before a dot"])
def test_what_is_judged_is_what_is_sent_on_wherever_it_stands(place, octets):
    head, body = b"Subject: t\r\nX-One: 1\r\n", b"hello\r\n"
    letter = {
        "a field": b"Subject: t" + octets + b"X-Two: 2\r\n" + head + b"\r\n" + body,
        "between fields": head + octets + b"X-Two: 2\r\n\r\n" + body,
        "at the top": octets + head + b"\r\n" + body,
        "the body": head + b"\r\n" + body + octets + body,
        "before a dot": head + b"\r\n" + body + octets + b".x\r\n",
    }[place]
    seen = []
    for send in (by_data, by_bdat):
        for cut in (0, letter.index(octets), letter.index(octets) + 1, len(letter)):
            with MemoryGate() as gate:
                wire = letter if send is by_bdat else letter.replace(b"\n.x", b"\n..x")
                if send is by_data:
                    client = gate.client()
                    client.send(ENVELOPE + b"DATA\r\n" + wire[:cut])
                    client.send(wire[cut:] + b".\r\n")
                else:
                    by_bdat(gate.client(), wire, cut)
                seen += gate.desk.letters
                _, _, stuffed = gate.upstream.letters[0]
                assert b"\r\n".join(line.removeprefix(b".") for line in stuffed.split(b"\r\n")) == gate.desk.letters[0]
    assert set(seen) == {by_postfix(letter)}


@pytest.mark.parametrize("octets", [b"\r", b"\r\r\n", b"\r\r\r\n", b"\n", b"\r\0\n"])
def test_where_bare_newlines_are_refused_these_are_too(octets):
    with MemoryGate(options={"is_bare_newline_refused": True}) as gate:
        for send in (by_data, by_bdat):
            said = send(gate.client(), b"Subject: x\r\n\r\na" + octets + b"b\r\n", 5)
            assert said == b"554 5.6.0 Bare CR or LF in the letter; end lines with CRLF\r\n"
        assert gate.desk.letters == []


def test_a_letter_with_proper_line_ends_costs_what_it_did():
    """Each piece is searched for what is odd, and not touched where nothing is."""
    letter = b"Subject: x\r\n\r\n" + b"a line like any other\r\n" * 5000
    with patch.object(letter_end, "with_crlf", wraps=letter_end.with_crlf) as mending:
        stream = letter_end.LetterStream()
        taken = b"".join(stream.feed(letter[at : at + 1000]) for at in range(0, len(letter), 1000))
        assert taken + stream.feed(b".\r\n") == letter
        assert stream.is_complete
        assert mending.call_count == 0
        letter_end.LetterStream().feed(b"x\r\r\ny")
        assert mending.call_count == 1
