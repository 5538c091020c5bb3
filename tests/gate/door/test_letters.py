"""The letter delivered is the letter received, byte for byte, below the fields the gate prepends."""

import asyncio
import errno
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.corpus import corpus_letters
from tests.support.fake_upstream import FakeUpstream
from tests.support.letter_ends import FALSE_ENDS, TRUE_ENDS
from tests.support.smtp_gate import FakeDesk, Gate

from pennyred.gate.smtp.spool import SpoolLimits

FIELDS = b"X-Postage-Pass: abc\r\nAuthentication-Results: gate; x-postage=none\r\n"


async def passed_through(letters: list[bytes], fields: bytes = FIELDS) -> list[bytes]:
    """Each of the letters (CRLF newlines, a newline at the end) after its way through the gate."""
    async with FakeUpstream() as upstream, Gate(upstream, FakeDesk(fields=fields)) as gate:
        client = await gate.connect()
        for letter in letters:
            wire = re.sub(rb"(\A|\r\n)\.", rb"\1..", letter)
            assert (await client.mail(wire)).startswith(b"250")
        assert gate.desk.letters == letters
        return [taken.letter for taken in upstream.letters]


def test_every_letter_of_the_corpus_arrives_as_it_was_sent():
    letters = [letter if letter.endswith(b"\r\n") else letter + b"\r\n" for _, letter in corpus_letters()]
    assert asyncio.run(passed_through(letters)) == [FIELDS + letter for letter in letters]


ODD = {
    "only a header": b"Subject: x\r\n",
    "only a body": b"\r\nhello\r\n",
    "nothing": b"",
    "an empty line": b"\r\n",
    "two empty lines": b"\r\n\r\n",
    "no header and no empty line": b"hello\r\nworld\r\n",
    "dots": b".a: b\r\n\r\n.\r\n..\r\n...\r\n.x\r\n",
    "empty lines at the end": b"a: b\r\n\r\nx\r\n\r\n\r\n",
    "a line that is no field": b"Fromage\r\na: b\r\nnonsense\r\nc: d\r\n\r\nx\r\n",
    "a field without a name": b": x\r\n\r\n",
    "larger than memory": b"a: b\r\n\r\n" + (b"." + b"x" * 70 + b"\r\n") * 40_000,
    "one long line of dots": b"a: b\r\n\r\n" + b"." * 1_500_000 + b"\r\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_letters_survive(name):
    assert asyncio.run(passed_through([ODD[name]])) == [FIELDS + ODD[name]]
    assert asyncio.run(passed_through([ODD[name]], b"")) == [ODD[name]]


def test_a_letter_that_begins_with_a_folded_line_cannot_continue_the_gates_own_field():
    letter = b" ; dkim=pass header.d=bank.example\r\nSubject: x\r\n\r\nhello\r\n"
    [arrived] = asyncio.run(passed_through([letter]))
    assert arrived == FIELDS + b"\r\n" + letter


@pytest.mark.parametrize(
    "first",
    [
        b"From alice Mon Nov 23 06:00:00 2026\r\n",
        b">From alice\r\n",
        b">>From x\r\n",
        b"From alice Mon Nov 23 06:00:00 2026\r\nFrom bob Mon Nov 23 06:00:01 2026\r\n",
        b"From alice\r\n>From bob\r\n>>From carl\r\nFrom dora\r\n",
    ],
)
def test_lines_of_an_mbox_stay_at_the_top_where_mail_servers_pass_over_them(first):
    """Below the gate's fields it would end the header section, and the letter's own fields would be text."""
    assert asyncio.run(passed_through([first + b"a: b\r\n\r\nx\r\n"])) == [first + FIELDS + b"a: b\r\n\r\nx\r\n"]
    assert asyncio.run(passed_through([first])) == [first + FIELDS]


def test_a_from_field_in_its_obsolete_form_is_a_field_and_keeps_its_folded_lines():
    letter = b"From : Alice\r\n <a@x.example>\r\na: b\r\n\r\nx\r\n"
    assert asyncio.run(passed_through([letter])) == [FIELDS + letter]


line = st.binary(max_size=40).map(lambda text: text.translate(None, b"\r\n\0"))


@settings(max_examples=15)
@given(
    st.lists(
        st.lists(st.one_of(line, st.just(b""), st.just(b".")), max_size=12).map(
            lambda lines: b"".join(line + b"\r\n" for line in lines)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_letters_survive(letters):
    letters = [letter for letter in letters if not letter.startswith((b" ", b"\t"))]
    assert asyncio.run(passed_through(letters)) == [FIELDS + letter for letter in letters]


@pytest.mark.parametrize("end", FALSE_ENDS + TRUE_ENDS)
def test_no_end_of_a_letter_is_seen_by_one_and_not_by_the_other(end):
    """The classic: a second mail behind an end that one of two servers does not see."""
    smuggled = (
        b"MAIL FROM:<mallory@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
    )

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            client.send(b"Subject: one\r\n\r\nbody" + end + smuggled)
            assert (await client.reply()).startswith(b"250")
            if end in TRUE_ENDS:
                # An honest end: what follows are commands of this very client, answered one by one.
                assert [(await client.reply())[:3] for _ in range(4)] == [b"250", b"250", b"354", b"250"]
                assert len(gate.desk.envelopes) == 2
            else:
                assert len(gate.desk.envelopes) == 1
            assert (await client.say(b"QUIT")).startswith(b"221")
            assert len(upstream.letters) == len(gate.desk.envelopes)
            for taken in upstream.letters:
                # As the laxest reader would see it: no newline but CRLF, and no line that is a dot.
                assert re.search(rb"(?<!\r)\n|\r(?!\n)", taken.stuffed) is None
                assert b"\r\n.\r\n" not in b"\r\n" + taken.stuffed

    asyncio.run(story())


def test_all_the_same_whatever_pieces_the_network_makes_of_it():
    letter = b"Subject: x\r\n\r\n.dot\r\nbare\nnewline\r\n"
    wire = b"Subject: x\r\n\r\n..dot\r\nbare\nnewline\r\n.\r\nNOOP\r\n"

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            for index in range(len(wire)):
                client.send(wire[index : index + 1])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.reply()).startswith(b"250")
            assert (await client.reply()).startswith(b"250")
            assert upstream.letters[0].letter == letter.replace(b"bare\n", b"bare\r\n")

    asyncio.run(story())


class FullDisk(io.RawIOBase):
    """Takes a little, then nothing more, as a disk does; so its buffer has something left when it is closed."""

    room = 2_000

    def readable(self) -> bool:
        return True

    writable = seekable = readable

    def seek(self, *_: int) -> int:
        return 0

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, self.room = min(self.room, len(data)), 0
        return taken


@pytest.mark.parametrize("size", [500_000, 5_000], ids=["written while it comes", "written at its end"])
def test_a_full_disk_is_later_and_the_session_goes_on(size, monkeypatch):
    """The letter is heard to its end, so that the client hears 452 and not a broken connection."""
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *_, **__: io.BufferedRandom(FullDisk(), 64 * 1024))

    limits = SpoolLimits(letter_bytes_max=1_000_000, memory_bytes_max=1_000)

    async def run() -> None:
        async with FakeUpstream() as upstream, Gate(upstream, spool=limits) as gate:
            client = await gate.connect()
            big = b"Subject: big\r\n\r\n" + b"x\r\n" * (size // 3)
            assert (await client.mail(big)).startswith(b"452 4.3.1")
            assert (await client.mail(b"Subject: small\r\n\r\nx\r\n")).startswith(b"250")
            assert len(upstream.letters) == 1

    asyncio.run(run())
