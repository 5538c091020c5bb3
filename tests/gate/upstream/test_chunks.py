"""Letters go on in chunks (BDAT, RFC 3030) to a mail server that offers CHUNKING: octet for octet what goes by DATA."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fake_upstream import CHUNKING, CLOSE, HANG, KEEP_AND_CLOSE, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.gate.letterbox import Fate
from pennyred.gate.smtp.letter_end import ended
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.upstream.endpoint import IdentityMode
from pennyred.gate.upstream.sending import WRITE_BYTES

LETTER = b"Subject: x\r\n\r\nhello\r\n"
LONG = b"Subject: long\r\n\r\n" + b"".join(b"%07d.\r\n" % number for number in range(150_000))
LATER = b"451 4.4.1 "


def bdats(upstream: FakeUpstream) -> list[bytes]:
    """The commands with which chunks came."""
    return [line.rstrip() for line in upstream.commands if line.startswith(b"BDAT")]


def lasts(upstream: FakeUpstream) -> list[bytes]:
    return [line for line in bdats(upstream) if line.endswith(b" LAST")]


async def in_chunk(client, letter: bytes) -> bytes:
    """A letter that comes by BDAT: the only way in for one with dots that nobody doubled."""
    await client.envelope()
    client.send(b"BDAT %d LAST\r\n%b" % (len(letter), letter))
    return await client.reply()


def told(*scripts: dict[bytes, list[object]], letter: bytes = LETTER, **kwargs):
    """Letters, one after the other, through a mail server by script: each reply, what the desk was told, the server."""

    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream, **kwargs) as gate:
            client = await gate.connect()
            said = []
            for script in scripts:
                for verb, answers in script.items():
                    upstream.answers[verb] += answers
                said.append(await client.mail(letter))
                if said[-1].startswith(b"421"):  # it was said to the client, too
                    client = await gate.connect()
            return said, gate.desk.delivered, upstream

    return asyncio.run(story())


def test_a_letter_is_one_chunk_once_the_mail_server_has_shown_that_it_knows_chunks():
    said, delivered, upstream = told({}, {}, {})
    assert bdats(upstream) == [b"BDAT 12", b"BDAT 9 LAST", b"BDAT 21 LAST", b"BDAT 21 LAST"]
    assert b"DATA\r\n" not in upstream.commands
    assert b"RSET\r\n" not in upstream.commands
    assert [taken.letter for taken in upstream.letters] == [LETTER] * 3
    assert [reply[:3] for reply in said] == [b"250"] * 3
    assert {one.fates for one in delivered} == {(Fate.ACCEPTED,)}


@given(st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\xff", b"From ", b" " * 3, b"x" * 1200]), max_size=40))
def test_counted_octets_are_the_letter_with_a_line_end_at_its_end(pieces):
    whole = b"".join(pieces)
    assert b"".join(ended(pieces)) == (whole if whole.endswith(b"\r\n") or not whole else whole + b"\r\n")


@pytest.mark.parametrize(
    "letter",
    [
        b"",
        b"\r\n",
        b".\r\n",
        b"Subject: x",
        b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a",
        b"Subject: x\r\n\r\nhello\r\n.\r\nRSET\r\nMAIL FROM:<ceo@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n",
        b"RSET\r\n\r\nBDAT 3 LAST\r\n.\r\n",
        b"From ann@sender.example Mon Jan  1 00:00:00 2026\r\nSubject: x\r\n\r\nFrom here\r\n>From there\r\n",
        b" folded\r\nSubject: x\r\n\r\n\xc3\xa4\xff\x80\r\n",
        b"Subject: x\r\n\r\n" + b"y" * 5000 + b"\r\n" + b"z" * 300_000,
        b"no header at all\r\nnor a colon",
        LONG,
        LONG + b"x",
    ],
)
@pytest.mark.parametrize("fields", [b"", b"Authentication-Results: mx.example.org; none\r\n"])
def test_what_arrives_is_what_arrives_by_data(letter, fields):
    async def story():
        arrived = []
        for keywords in (KEYWORDS, CHUNKING):
            async with FakeUpstream(keywords) as upstream, Gate(upstream, FakeDesk(fields)) as gate:
                client = await gate.connect()
                for _ in range(2):
                    assert (await in_chunk(client, letter)).startswith(b"250")
                first, second = upstream.letters
                assert first.stuffed == second.stuffed
                assert len({taken.mail for taken in upstream.letters}) == 1
                is_odd = letter.startswith(b"From ") or (letter.startswith(b" ") and not fields)
                assert (b"DATA\r\n" in upstream.commands) == (keywords is KEYWORDS or is_odd)
                arrived.append(first.letter)
        assert arrived[0] == arrived[1]

    asyncio.run(story())


PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b".", b"\0", b"\xff", b"a: b", b"From ", b" ", b"BDAT 2 LAST\r\n", b"x" * 998, b"y" * 9000]
)
ANSWERS = st.sampled_from(
    [b"250 2.0.0 ok\r\n", b"451 4.7.1 later\r\n", b"550-5.6.0 no\r\n550 5.6.0 NUL\r\n", b"552 big\r\n"]
)


@given(st.lists(st.tuples(st.lists(PIECES, max_size=25).map(b"".join), ANSWERS), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_of_any_letters_arrives_the_same_and_each_answer_is_the_same_by_either_way(letters):
    """Line ends, dots, NUL, eight bits, long lines; and a refusal leaves nothing behind for the next letter."""

    async def story(keywords):
        async with FakeUpstream(keywords) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            said = []
            for letter, answer in letters:
                upstream.answers[b"."].append(answer)
                said.append(await in_chunk(client, letter))
            return said, upstream.letters, gate.desk.delivered

    (said, taken, delivered), (said_before, taken_before, delivered_before) = map(
        asyncio.run, (story(CHUNKING), story(KEYWORDS))
    )
    assert said == said_before
    assert [(one.mail, one.letter) for one in taken] == [(one.mail, one.letter) for one in taken_before]
    assert [one.fates for one in delivered] == [one.fates for one in delivered_before]
    assert len(taken) == sum(answer.startswith(b"250") for _, answer in letters)


@pytest.mark.parametrize(
    ("answer", "fate", "code"),
    [
        (b"250-two\r\n250 lines\r\n", Fate.ACCEPTED, b"250-two\r\n250 lines\r\n"),
        (b"451 4.7.1 greylisted\r\n", Fate.REFUSED_TEMPORARY, b"451 4.7.1 greylisted\r\n"),
        (b"550 5.7.1 spam\r\n", Fate.REFUSED_PERMANENT, b"550 5.7.1 spam\r\n"),
        (b"421 4.3.2 leaving\r\n", Fate.REFUSED_TEMPORARY, b"421 4.3.2 leaving\r\n"),
        (b"503 5.5.1 need RCPT\r\n", Fate.REFUSED_TEMPORARY, LATER),
        (CLOSE, Fate.IN_DOUBT, LATER),
        (KEEP_AND_CLOSE, Fate.IN_DOUBT, LATER),
        (b"what?\r\n", Fate.IN_DOUBT, LATER),
        (b"354 more\r\n", Fate.IN_DOUBT, LATER),
        (b"250-x\r\n251 y\r\n", Fate.IN_DOUBT, LATER),
    ],
)
def test_each_answer_to_the_last_chunk_has_the_fate_that_it_has_after_the_final_dot(answer, fate, code):
    by_data, by_bdat = [], []
    for keywords, found in ((KEYWORDS, by_data), (CHUNKING, by_bdat)):

        async def story(keywords=keywords, found=found):
            async with FakeUpstream(keywords) as upstream, Gate(upstream) as gate:
                client = await gate.connect()
                assert (await client.mail()).startswith(b"250")
                upstream.answers[b"."].append(answer)
                found.append(await client.mail())
                found.append(gate.desk.delivered[-1].fates)
                # And the connection, or another one, is fit for the next letter.
                assert (await (await gate.connect()).mail()).startswith(b"250")

        asyncio.run(story())
    assert by_bdat == by_data
    assert by_bdat[0].startswith(code)
    assert by_bdat[1] == (fate,)


def test_no_answer_to_the_last_chunk_in_time_is_in_doubt():
    [said], [delivered], _ = told({b".": [HANG]}, upstream_options={"answer_seconds": 0.1})
    assert delivered.fates == (Fate.IN_DOUBT,)
    assert said.startswith(LATER)


@pytest.mark.parametrize("letter", [LETTER, LONG])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("answer", "fate", "code"),
    [
        (b"451 4.7.1 greylisted\r\n", Fate.REFUSED_TEMPORARY, b"451 4.7.1 greylisted\r\n"),
        (b"554 5.7.1 no\r\n", Fate.REFUSED_PERMANENT, b"554 5.7.1 no\r\n"),
        (b"552 5.3.4 too much\r\n", Fate.REFUSED_PERMANENT, b"552 5.3.4 too much\r\n"),
        (b"421 4.3.2 leaving\r\n", Fate.REFUSED_TEMPORARY, b"421 4.3.2 leaving\r\n"),
        (b"554 5.5.1 no\r\n", Fate.NOT_SENT, LATER),
        (b"503 5.5.1 what\r\n", Fate.NOT_SENT, LATER),
        (b"354 more\r\n", Fate.NOT_SENT, LATER),
        (CLOSE, Fate.NOT_SENT, LATER),
        (b"what?\r\n", Fate.NOT_SENT, LATER),
    ],
)
def test_after_a_chunk_that_is_not_taken_comes_no_other(answer, fate, code, before, letter):
    if letter is LETTER and before:
        return  # it has one chunk before the last
    said, delivered, upstream = told({b"BDAT": [b"250 2.0.0 Ok\r\n"] * before + [answer]}, {}, letter=letter)
    assert delivered[0].fates == (fate,)
    assert said[0].startswith(code)
    assert said[1].startswith(b"250")
    assert len(upstream.letters) == 1
    refused, after = bdats(upstream)[: before + 1], bdats(upstream)[before + 1 :]
    assert not [line for line in refused if line.endswith(b"LAST")]
    assert len([line for line in after if line.endswith(b"LAST")]) == bool(upstream.letters[0].chunks)


@pytest.mark.parametrize(
    "answer",
    [
        b"500 5.5.2 what?\r\n",
        b"501 5.5.4 what?\r\n",
        b"502 5.5.1 not implemented\r\n",
        b"504 5.5.4 no\r\n",
        b"521 5.5.1 not implemented\r\n",
        CLOSE,
        HANG,
    ],
)
def test_one_that_offers_chunking_and_knows_no_bdat_hears_one_line_of_a_letter_and_has_the_next_by_data(answer):
    said, delivered, upstream = told({b"BDAT": [answer]}, {}, {}, upstream_options={"block_seconds": 0.2})
    assert said[0].startswith(LATER)
    assert delivered[0].fates == (Fate.NOT_SENT,)
    assert [reply[:3] for reply in said[1:]] == [b"250", b"250"]
    assert bdats(upstream) == [b"BDAT 12"]
    assert upstream.commands.count(b"DATA\r\n") == 2
    assert [taken.chunks for taken in upstream.letters] == [(), ()]


def test_a_refusal_of_a_letter_in_its_first_chunk_does_not_say_that_chunks_are_unknown():
    _, _, upstream = told({b"BDAT": [b"554 5.7.1 no\r\n"]}, {})
    assert bdats(upstream) == [b"BDAT 12", b"BDAT 21 LAST"]


def test_while_nobody_knows_whether_chunks_are_known_other_letters_go_by_data():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            may_answer = asyncio.Event()
            upstream.answers[b"BDAT"].append(may_answer)
            first, second = [await gate.connect() for _ in range(2)]
            sending = asyncio.create_task(first.mail())
            await upstream.until(lambda: bdats(upstream) == [b"BDAT 12"])
            assert (await second.mail()).startswith(b"250")
            may_answer.set()
            assert (await sending).startswith(b"250")
            assert (await second.mail()).startswith(b"250")
            assert [taken.chunks for taken in upstream.letters] == [(), (12, 9), (21,)]

    asyncio.run(story())


def test_a_long_letter_goes_in_chunks_of_limited_size_and_its_last_one_is_small(tmp_path):
    spool = SpoolLimits(letter_bytes_max=50_000_000, memory_bytes_max=100_000, directory=tmp_path)
    _, [delivered], upstream = told({}, letter=LONG.replace(b"\r\n.", b"\r\n.."), spool=spool)
    [taken] = upstream.letters
    assert taken.letter == LONG
    assert delivered.fates == (Fate.ACCEPTED,)
    assert len(taken.chunks) > 4
    assert max(taken.chunks) <= 3 * WRITE_BYTES
    assert taken.chunks[-1] == 2


def test_each_chunk_of_a_long_letter_waits_for_the_answer_to_the_one_before():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            gates = [asyncio.Event() for _ in range(3)]
            upstream.answers[b"BDAT"] += gates
            sending = asyncio.create_task(client.mail(LONG))
            for number, event in enumerate(gates):
                await upstream.until(lambda number=number: len(bdats(upstream)) == 2 + number + 1)
                assert len(upstream.letters) == 1
                event.set()
            assert (await sending).startswith(b"250")

    asyncio.run(story())


@pytest.mark.parametrize("letter", [LETTER, LONG])
def test_a_server_that_refuses_a_chunk_before_it_has_read_it_is_believed_and_left(letter):
    async def story():
        async with FakeUpstream(CHUNKING, is_hasty=True) as upstream, Gate(upstream) as gate:
            upstream.answers[b"BDAT"] += [b"552 5.3.4 too much\r\n"] * 2
            client = await gate.connect()
            assert await client.mail(letter) == b"552 5.3.4 too much\r\n"
            assert gate.desk.delivered[0].fates == (Fate.REFUSED_PERMANENT,)
            assert await client.mail(b"Subject: y\r\n\r\n" + b"x" * 100_000 + b"\r\n") == b"552 5.3.4 too much\r\n"
            upstream.reading.set()
            await upstream.until(lambda: not upstream.letters)

    asyncio.run(story())


def test_one_that_takes_no_more_of_a_letter_is_given_up():
    async def story():
        async with (
            FakeUpstream(CHUNKING) as upstream,
            Gate(upstream, upstream_options={"block_seconds": 0.3}) as gate,
        ):
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            upstream.reading.clear()
            assert (await client.mail(LONG)).startswith(LATER)
            assert gate.desk.delivered[1].fates == (Fate.NOT_SENT,)
            assert len(lasts(upstream)) == 1
            upstream.reading.set()

    asyncio.run(story())


@pytest.mark.parametrize("letter", [LETTER, LONG])
def test_with_no_time_left_the_last_chunk_is_not_sent(letter):
    said, delivered, upstream = told({}, {}, letter=letter, desk=FakeDesk(dot_within_seconds=-1.0))
    assert [reply[:9] for reply in said] == [LATER[:9]] * 2
    assert {one.fates for one in delivered} == {(Fate.NOT_SENT,)}
    assert lasts(upstream) == []
    assert upstream.letters == []


def test_the_time_that_chunks_took_counts_before_the_last_one():
    async def story():
        desk = FakeDesk(dot_within_seconds=0.2)
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            may_answer = asyncio.Event()
            upstream.answers[b"BDAT"].append(may_answer)
            asyncio.get_running_loop().call_later(0.4, may_answer.set)
            assert (await client.mail(LONG)).startswith(LATER)
            assert desk.delivered[0].fates == (Fate.NOT_SENT,)
            assert lasts(upstream) == []

    asyncio.run(story())


def test_after_a_refused_letter_rset_comes_before_the_next():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            for number, verb in enumerate((b".", b"BDAT")):
                upstream.answers[verb].append(b"550 5.7.1 spam\r\n")
                assert (await client.mail(LONG)) == b"550 5.7.1 spam\r\n"
                await eventually(lambda: gate.pool.idle_count == 1)
                assert (await client.mail(LONG)).startswith(b"250")
                assert upstream.commands.count(b"RSET\r\n") == number + 1
            assert len([heard for heard in upstream.heard if b"MAIL" in heard]) == 1

    asyncio.run(story())


def test_where_it_is_not_wished_letters_go_by_data():
    said, _, upstream = told({}, {}, upstream_options={"is_chunking": False})
    assert [reply[:3] for reply in said] == [b"250"] * 2
    assert bdats(upstream) == []


def test_a_client_that_says_helo_has_its_letter_by_data_for_nothing_is_offered_then():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream, identity=IdentityMode.PROXY) as gate:
            upstream.is_proxied = True
            client = await gate.connect(b"HELO client.example.com")
            upstream.answers[b"HELO"] += [b"250 upstream.example.org\r\n"] * 2
            assert (await client.mail()).startswith(b"250")
            assert bdats(upstream) == []

    asyncio.run(story())


@pytest.mark.parametrize("to_whom", ["gate", "client"])
def test_what_is_offered_to_the_client_that_was_told_counts_and_not_what_was_offered_to_the_gate(to_whom):
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            for one in ("gate", "client"):
                offer = b"CHUNKING" if one == to_whom else b"HELP"
                upstream.answers[b"EHLO"].append(b"250-upstream\r\n250-XCLIENT ADDR\r\n250 " + offer + b"\r\n")
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            assert bool(bdats(upstream)) == (to_whom == "client")

    asyncio.run(story())


def test_a_letter_for_some_of_its_recipients_begins_the_transaction_anew():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream, FakeDesk(recipients=(0, 2))) as gate:
            client = await gate.connect()
            assert (await client.mail(to=(b"a@example.org", b"b@example.org", b"c@example.org"))).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<a@example.org>\r\n", b"RCPT TO:<c@example.org>\r\n"]
            assert upstream.letters[0].chunks
            assert gate.desk.delivered[0].fates == (Fate.ACCEPTED, Fate.ACCEPTED)

    asyncio.run(story())


def test_if_recipients_are_answered_otherwise_when_repeated_no_chunk_is_sent():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            await upstream.hang_up_on_all()
            upstream.answers[b"RCPT"].append(b"550 5.1.1 gone\r\n")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(LATER)
            assert gate.desk.delivered[0].fates == (Fate.NOT_SENT,)
            assert bdats(upstream) == []

    asyncio.run(story())


def test_one_that_left_while_the_letter_came_is_reached_again():
    async def story():
        async with FakeUpstream(CHUNKING) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            await client.envelope((b"a@example.org", b"b@example.org"))
            await client.say(b"DATA")
            await upstream.hang_up_on_all()
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert len(upstream.letters[1].recipients) == 2
            assert upstream.letters[1].chunks == (21,)

    asyncio.run(story())


def test_of_two_mail_servers_each_has_its_letters_in_its_own_way():
    async def story():
        async with FakeUpstream(CHUNKING) as one, FakeUpstream() as two, Gate(one, others=(two,)) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            await client.envelope()
            await client.say(b"DATA")
            await one.stop()  # in the middle of the transaction
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert [taken.letter for taken in (*one.letters, *two.letters)] == [LETTER] * 2
            assert bdats(two) == []
            assert two.commands.count(b"DATA\r\n") == 1
            await one.restart()
            await two.stop()
            gate.clock_ahead += 1000
            assert (await client.mail()).startswith(b"250")
            assert one.letters[-1].chunks == (21,)

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_lmtp_answers_the_last_chunk_for_each_recipient_and_the_others_once(kind, tmp_path):
    async def story():
        path = tmp_path / "lmtp" if kind == "unix" else None
        both = (b"a@example.org", b"b@example.org")
        async with FakeUpstream(CHUNKING, is_lmtp=True, path=path) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail(LONG, to=both)).startswith(b"250")
            assert len(upstream.letters[0].chunks) > 2
            upstream.answers[b"."] += [b"250 2.0.0 one\r\n", b"550 5.2.1 two\r\n"]
            assert (await client.mail(to=both)) == (
                b"550-5.0.0 refused (550 5.2.1 two): b@example.org\r\n550 5.0.0 delivered: a@example.org\r\n"
            )
            assert gate.desk.delivered[-1].fates == (Fate.ACCEPTED, Fate.REFUSED_PERMANENT)
            upstream.answers[b"."] += [b"550 5.0.0 one\r\n", b"452 4.2.2 two\r\n"]
            assert (await client.mail(to=both)) == b"452 4.2.2 two\r\n"
            upstream.answers[b"."] += [b"250 2.0.0 one\r\n", CLOSE]
            assert (await client.mail(to=both)).startswith(LATER)
            assert gate.desk.delivered[-1].fates == (Fate.ACCEPTED, Fate.IN_DOUBT)
            upstream.answers[b"BDAT"].append(b"552 5.3.4 too much\r\n")
            assert (await client.mail(LONG, to=both)) == b"552 5.3.4 too much\r\n"
            assert gate.desk.delivered[-1].fates == (Fate.REFUSED_PERMANENT,) * 2
            assert (await client.mail(to=both)).startswith(b"250")

    asyncio.run(story())


def test_body_binarymime_is_claimed_of_nobody_though_the_mail_server_would_take_it():
    async def story():
        async with FakeUpstream((*CHUNKING, "BINARYMIME")) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com> BODY=BINARYMIME")).startswith(b"501 ")
            assert (await client.say(b"MAIL FROM:<a@example.com> BODY=8BITMIME")).startswith(b"250")
            assert (await client.say(b"RCPT TO:<bob@example.org>")).startswith(b"250")
            letter = b"Subject: x\r\n\r\nbinary\nas\rit\0is\r\n"
            client.send(b"BDAT %d LAST\r\n%b" % (len(letter), letter))
            assert (await client.reply()).startswith(b"250")
            assert upstream.letters[0].mail == b"MAIL FROM:<a@example.com> BODY=8BITMIME\r\n"
            assert upstream.letters[0].letter == b"Subject: x\r\n\r\nbinary\r\nas itis\r\n"

    asyncio.run(story())
