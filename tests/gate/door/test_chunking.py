"""BDAT (RFC 3030): the same letter as by DATA, wherever it is cut, and never a command out of a letter."""

import asyncio
import itertools
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.fake_upstream import CLOSE, FakeUpstream
from tests.support.letter_ends import by_postfix
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.gate.door.chunking import Chunk, ChunkStream, parse_chunk
from pennyred.gate.smtp.letter_end import LetterStream
from pennyred.gate.smtp.spool import SpoolLimits

ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\n"
LETTER = b"Subject: x\r\n\r\nhello\r\n"


def bdat(*pieces: bytes) -> bytes:
    """A letter on the wire in these chunks."""
    *firsts, last = pieces
    chunks = [b"BDAT %d\r\n%s" % (len(piece), piece) for piece in firsts]
    return b"".join(chunks) + b"BDAT %d LAST\r\n%s" % (len(last), last)


def told(*steps: tuple[bytes, int], **kwargs) -> tuple[list[list[bytes]], Gate]:
    """The codes of the replies to each step: what is said at once, and how many replies that has."""
    answers: list[list[bytes]] = []

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, **kwargs) as gate:
            client = await gate.connect()
            for said, count in steps:
                client.send(said)
                answers.append([(await client.reply())[:3] for _ in range(count)])
        return gate

    return answers, asyncio.run(story())


class TestTheStream:
    @given(
        st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\0", b"a", b"\r\n.\r\n"]), max_size=12),
        st.randoms(use_true_random=False),
    )
    @example([b"\r", b"\n", b"."], random.Random(1))
    def test_chunks_make_the_letter_that_data_makes(self, parts, rng):
        letter = b"".join(parts) + b"x\r\n"
        by_data = LetterStream()
        expected = by_data.feed((b"\n" + letter).replace(b"\n.", b"\n..")[1:] + b".\r\n")
        assert by_data.is_complete
        cuts = sorted(rng.choices(range(len(letter) + 1), k=3))
        stream = ChunkStream()
        pieces = [letter[a:b] for a, b in itertools.pairwise([0, *cuts, len(letter)])]
        taken = b"".join(map(stream.feed, pieces))
        stream.is_last = True
        assert taken + stream.feed(b"") == expected
        assert (stream.has_bare_newline, stream.has_nul) == (by_data.has_bare_newline, by_data.has_nul)

    @pytest.mark.parametrize(
        ("letter", "expected"),
        [
            (b"", b""),
            (b"x", b"x\r\n"),
            (b"x\r", b"x \r\n"),
            (b"x\n", b"x\r\n"),
            (b"x\r\n", b"x\r\n"),
            (b"\r", b" \r\n"),
            (b"x\r\r\n", b"x\r\n"),
            (b"x\r\r", b"x  \r\n"),
        ],
    )
    def test_a_letter_ends_with_crlf_as_it_will_when_sent_on(self, letter, expected):
        stream = ChunkStream()
        taken = stream.feed(letter)
        stream.is_last = True
        assert taken + stream.feed(b"") == expected


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        (b"5", Chunk(5, is_last=False)),
        (b"0 LAST", Chunk(0, is_last=True)),
        (b"00012  last", Chunk(12, is_last=True)),
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b"0x10", None),
        (b"5 FIRST", None),
        (b"5 LAST LAST", None),
        (b"5LAST", None),
        (b"1" * 21, None),
        ("٣".encode(), None),
    ],
)
def test_what_bdat_announces(argument, chunk):
    assert parse_chunk(argument) == chunk


@pytest.mark.parametrize(
    "pieces",
    [
        (b"Subject: x\r\n\r\nhello\r\n",),
        (b"Subject: x\r\n", b"\r\nhello\r\n"),
        (b"Subject: x\r\n\r", b"\nhello\r", b"\n"),
        (b"Subject: x\r\n\r\nhello\r\n", b""),
        (b"", b"Subject: x\r\n\r\nhello"),
        tuple(LETTER[i : i + 1] for i in range(len(LETTER))),
    ],
)
def test_a_letter_in_chunks_is_the_letter_by_data(pieces):
    async def story():
        desk = HashingDesk()
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            await client.mail(LETTER)
            client.send(ENVELOPE + bdat(*pieces))
            said = [await client.reply() for _ in range(2 + len(pieces))]
            assert {reply[:3] for reply in said} == {b"250"}
            assert said[-1] == b"250 2.0.0 Ok: queued as 1\r\n"
            assert desk.letters == [LETTER, LETTER]
            assert desk.hashes[0] == desk.hashes[1]
            assert upstream.letters[0].stuffed == upstream.letters[1].stuffed
            assert upstream.letters[1].recipients == [b"RCPT TO:<bob@example.org>\r\n"]

    asyncio.run(story())


class HashingDesk(FakeDesk):
    """Keeps what a stamp is judged by."""

    def __init__(self):
        super().__init__()
        self.hashes = []

    async def take(self, letter, envelope, delivery):
        self.hashes.append((letter.header.raw, letter.body_hash, letter.size))
        return await super().take(letter, envelope, delivery)


def test_what_would_end_a_letter_by_data_is_a_letter_like_any_other():
    """Sent on with its dots doubled: else what follows would be commands to the mail server."""
    letter = b"Subject: x\r\n\r\n.\r\n.\r\nMAIL FROM:<evil@example.com>\r\n\n.\n\r.\r\r\n..\r\n"

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            for cut in range(len(letter)):
                client = await gate.connect()
                client.send(ENVELOPE + bdat(letter[:cut], letter[cut:]))
                assert [(await client.reply())[:3] for _ in range(4)] == [b"250"] * 4
                await client.close()
            assert len(upstream.letters) == len(letter)
            [taken] = {taken.letter for taken in upstream.letters}
            assert taken == by_postfix(letter)
            assert not any(b"evil" in line for line in upstream.commands)

    asyncio.run(story())


def test_commands_behind_the_last_chunk_are_commands():
    answers, gate = told((ENVELOPE + bdat(LETTER) + ENVELOPE + bdat(LETTER, b"MAIL\r\n") + b"NOOP\r\nQUIT\r\n", 9))
    assert answers == [[b"250"] * 8 + [b"221"]]
    assert gate.desk.letters == [LETTER, LETTER + b"MAIL\r\n"]


EVIL = b"MAIL FROM:<evil@example.com>\r\nQUIT\r\n"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([(bdat(EVIL) + b"NOOP\r\n", 2)], [[b"503", b"250"]], id="no transaction"),
        pytest.param([(bdat(EVIL, EVIL) + b"NOOP\r\n", 3)], [[b"503", b"503", b"250"]], id="no transaction, chunks"),
        pytest.param(
            [(b"MAIL FROM:<broken\r\n" + bdat(EVIL) + b"NOOP\r\n", 3)], [[b"501", b"503", b"250"]], id="MAIL no"
        ),
        pytest.param(
            [(b"MAIL FROM:<a@example.com>\r\n" + bdat(EVIL) + ENVELOPE, 4)],
            [[b"250", b"503", b"250", b"250"]],
            id="no RCPT: the transaction is over",
        ),
        pytest.param(
            [(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<broken\r\n" + bdat(EVIL, EVIL) + b"NOOP\r\n", 5)],
            [[b"250", b"501", b"503", b"503", b"250"]],
            id="no recipient: to the last chunk",
        ),
        pytest.param(
            [(b"MAIL FROM:<a@example.com>\r\nBDAT 2\r\nx\nRCPT TO:<b@example.org>\r\nBDAT 0 LAST\r\n", 4)],
            [[b"250", b"503", b"503", b"503"]],
            id="half a letter is none",
        ),
        pytest.param(
            [(ENVELOPE + b"BDAT 2\r\nx\nDATA\r\nBDAT 0 LAST\r\n", 5)], [[b"250"] * 3 + [b"503", b"250"]], id="DATA"
        ),
        pytest.param(
            [(ENVELOPE + b"BDAT 2\r\nx\nRCPT TO:<c@example.org>\r\nMAIL FROM:<a@example.com>\r\nNOOP\r\n", 6)],
            [[b"250"] * 3 + [b"503", b"503", b"250"]],
            id="RCPT and MAIL",
        ),
        pytest.param(
            [(ENVELOPE + b"BDAT 2\r\nx\nRSET\r\n" + bdat(EVIL) + ENVELOPE + bdat(LETTER), 8)],
            [[b"250"] * 4 + [b"503"] + [b"250"] * 3],
            id="RSET",
        ),
        pytest.param(
            [(ENVELOPE + b"BDAT 2\r\nx\nEHLO c.example\r\nBDAT 2 LAST\r\nx\n", 5)], [[b"250"] * 4 + [b"503"]], id="EHLO"
        ),
        pytest.param([(ENVELOPE + b"BDAT 0\r\nBDAT 0 LAST\r\nNOOP\r\n", 5)], [[b"250"] * 5], id="an empty letter"),
        pytest.param([(b"BDAT 5 FIRST\r\n" + EVIL, 2)], [[b"501", b""]], id="no size"),
        pytest.param([(ENVELOPE + b"BDAT\r\n" + EVIL, 4)], [[b"250", b"250", b"501", b""]], id="no size either"),
        pytest.param(
            [(b"MAIL FROM:<a@example.com> BODY=BinaryMIME\r\nNOOP\r\n", 2)],
            [[b"501", b"250"]],
            id="binary is not offered",
        ),
    ],
)
def test_every_chunk_is_taken_whole_and_answered_once(steps, expected):
    answers, gate = told(*steps)
    assert answers == expected
    assert all(b"evil" not in letter for letter in gate.desk.letters)
    assert all(envelope.sender != b"evil@example.com" for envelope in gate.desk.envelopes)


def test_recipients_the_mail_server_refuses_leave_none():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[b"RCPT"].append(b"550 5.1.1 who?\r\n")
            client = await gate.connect()
            client.send(ENVELOPE + bdat(EVIL, EVIL) + b"NOOP\r\n")
            assert [(await client.reply())[:3] for _ in range(5)] == [b"250", b"550", b"554", b"554", b"250"]
            assert gate.desk.letters == []

    asyncio.run(story())


@pytest.mark.parametrize("pieces", [(b"x" * 150_000,), (b"a: b\r\n\r\n" + b"x" * 60_000, b"x" * 60_000, b"x" * 9)])
def test_a_letter_too_big_is_heard_to_its_end_and_forgotten(pieces):
    async def story():
        spool = SpoolLimits(letter_bytes_max=100_000)
        async with FakeUpstream() as upstream, Gate(upstream, spool=spool) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + bdat(*pieces) + ENVELOPE + bdat(LETTER))
            said = [await client.reply() for _ in range(2 + len(pieces) + 3)]
            assert [reply[:3] for reply in said[2:]] == [
                *([b"552"] if len(pieces) == 1 else [b"250", b"552", b"552"]),
                *[b"250"] * 3,
            ]
            assert len(upstream.letters) == 1

    asyncio.run(story())


def test_a_header_without_end_is_refused_in_the_chunk_that_makes_it_too_long():
    spool = SpoolLimits(letter_bytes_max=10_000_000, header_bytes_max=50_000)
    pieces = [b"a: b\r\n" * 5000] * 3
    answers, _ = told((ENVELOPE + bdat(*pieces) + b"NOOP\r\n", 6), spool=spool)
    assert answers == [[b"250", b"250", b"250", b"552", b"552", b"250"]]


def test_bare_newlines_are_refused_where_the_settings_say_so_and_a_cut_crlf_is_none():
    refusing = {"is_bare_newline_refused": True}
    said = bdat(b"a: b\r\n\r", b"\nx\r\n")
    assert told((ENVELOPE + said, 4), options=refusing)[0] == [[b"250"] * 4]
    said = bdat(b"a: b\r\n\r\nx\n", b"y\r\n")
    assert told((ENVELOPE + said, 4), options=refusing)[0] == [[b"250"] * 3 + [b"554"]]


def test_a_letter_in_chunks_goes_to_a_file_when_it_is_long(tmp_path):
    """Memory is bounded by the spool, not by the chunk."""
    letter = b"a: b\r\n\r\n" + b"%099d\r\n" % 7 * 20_000

    async def story():
        spool = SpoolLimits(letter_bytes_max=10_000_000, memory_bytes_max=50_000, directory=tmp_path)
        async with FakeUpstream() as upstream, Gate(upstream, spool=spool) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + bdat(letter[:7], letter[7:1_000_000], letter[1_000_000:]))
            assert [(await client.reply())[:3] for _ in range(5)] == [b"250"] * 5
            assert upstream.letters[0].letter == letter

    asyncio.run(story())


def test_a_slow_chunk_has_the_deadline_of_a_slow_letter():
    async def story(limit):
        async with FakeUpstream() as upstream, Gate(upstream, options=limit) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + b"BDAT 2\r\nx\nBDAT 1000 LAST\r\nhalf of it")
            assert (await client.rest()).splitlines()[-1].startswith(b"421 4.4.2")
            assert gate.desk.letters == []

    asyncio.run(story({"transfer_timeout_seconds": 0.1}))
    asyncio.run(story({"read_timeout_seconds": 0.1}))


def test_the_time_for_a_letter_is_for_all_its_chunks():
    """Else a letter of many quick chunks would have no limit."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"transfer_timeout_seconds": 0.2}) as gate:
            client = await gate.connect()
            client.send(ENVELOPE)
            said = [await client.reply(), await client.reply()]
            while said[-1].startswith(b"250"):
                client.send(b"BDAT 600\r\n" + b"x" * 600)
                said.append(await client.reply())
            assert said[-1] == b"421 4.4.2 Too slow, closing\r\n"

    asyncio.run(story())


def test_a_slow_letter_in_chunks_gives_the_mail_server_back():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"upstream_pin_seconds": 0.0}) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + b"BDAT 12\r\nSubject: x\r\n")
            for _ in range(3):
                await client.reply()
            await upstream.until(lambda: b"RSET\r\n" in upstream.commands)
            client.send(bdat(b"\r\nhello\r\n"))
            assert (await client.reply()).startswith(b"250")
            assert upstream.letters[0].letter == LETTER

    asyncio.run(story())


def test_crumbs_are_counted_with_what_brings_no_letter_nearer():
    answers, gate = told((ENVELOPE + b"BDAT 1\r\nx" * 30, 13), options={"idle_commands_max": 10})
    assert answers == [[b"250"] * 12 + [b"421"]]
    assert gate.desk.letters == []


@pytest.mark.parametrize(
    "said",
    [b"BDAT 100\r\nhalf", b"BDAT 4\r\nhalf", b"BDAT 100 LAST\r\nhalf"],
    ids=["in a chunk", "between", "in the last"],
)
def test_a_client_that_leaves_half_way_has_sent_nothing(said):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + said)
            await client.reply()
            await client.reply()
            client.abort()
            await eventually(lambda: not gate.server.sessions)
            assert gate.desk.letters == []
            assert upstream.letters == []

    asyncio.run(story())


def test_a_mail_server_that_has_left_meanwhile_is_reached_again():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            client.send(ENVELOPE + b"BDAT 12\r\nSubject: x\r\n")
            for _ in range(3):
                await client.reply()
            upstream.answers[b"DATA"].append(CLOSE)
            client.send(bdat(b"\r\nhello\r\n"))
            assert (await client.reply()).startswith(b"250")
            assert [taken.letter for taken in upstream.letters] == [LETTER]

    asyncio.run(story())
