"""One transaction with the mail server: what each of its ways to fail means for the letter."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, HANG, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate

from pennyred.gate.letterbox import Fate
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.upstream.endpoint import IdentityMode

LETTER = b"Subject: x\r\n\r\nhello\r\n"


def told(scripted: dict[bytes, list[object]], letter: bytes = LETTER, **kwargs):
    """Send one letter for one recipient through a mail server by script: the reply, and what the desk was told."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, **kwargs) as gate:
            for verb, answers in scripted.items():
                upstream.answers[verb] += answers
            client = await gate.connect()
            reply = await client.mail(letter)
            assert (await client.say(b"NOOP")).startswith(b"250") or reply.startswith(b"421")
            assert gate.server._house.sessions or reply.startswith(b"421")
            return reply, gate.desk.delivered[0], len(upstream.letters)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("scripted", "fate", "code"),
    [
        ({}, Fate.ACCEPTED, b"250"),
        ({b".": [b"250-two\r\n250 lines\r\n"]}, Fate.ACCEPTED, b"250"),
        ({b".": [b"451 4.7.1 greylisted\r\n"]}, Fate.REFUSED_TEMPORARY, b"451 4.7.1 greylisted\r\n"),
        ({b".": [b"550 5.7.1 spam\r\n"]}, Fate.REFUSED_PERMANENT, b"550 5.7.1 spam\r\n"),
        ({b".": [b"421 4.3.2 leaving\r\n"]}, Fate.REFUSED_TEMPORARY, b"421 4.3.2 leaving\r\n"),
        ({b".": [CLOSE]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b".": [b"what?\r\n"]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b".": [b"354 more\r\n"]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b".": [b"250-" + b"x" * 5000]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b".": [b"250-x\r\n" * 1000]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b".": [b"250-x\r\n251 y\r\n"]}, Fate.IN_DOUBT, b"451 4.4.1"),
        ({b"DATA": [b"451 4.3.0 not now\r\n"]}, Fate.REFUSED_TEMPORARY, b"451 4.3.0 not now\r\n"),
        ({b"DATA": [b"554 5.7.1 no\r\n"]}, Fate.REFUSED_PERMANENT, b"554 5.7.1 no\r\n"),
        ({b"DATA": [b"554 5.5.1 no\r\n"]}, Fate.NOT_SENT, b"451 4.4.1"),
        ({b"DATA": [b"250 what\r\n"]}, Fate.NOT_SENT, b"451 4.4.1"),
        ({b"DATA": [CLOSE, CLOSE]}, Fate.NOT_SENT, b"451 4.4.1"),
        ({b"DATA": [CLOSE]}, Fate.ACCEPTED, b"250"),
    ],
)
def test_each_answer_has_its_fate(scripted, fate, code):
    reply, delivered, count = told(scripted)
    assert delivered.fates == (fate,)
    assert reply.startswith(code)
    assert count == 1 or fate is not Fate.ACCEPTED
    assert delivered.recipients == (b"bob@example.org",)
    assert (delivered.reply is None) == (fate is Fate.NOT_SENT or (fate is Fate.IN_DOUBT and delivered.detail != ""))


def test_no_answer_to_the_dot_in_time_is_in_doubt():
    reply, delivered, _ = told({b".": [HANG]}, upstream_options={"answer_seconds": 0.1})
    assert delivered.fates == (Fate.IN_DOUBT,)
    assert reply.startswith(b"451 4.4.1")


def test_no_time_left_means_no_dot_is_sent():
    for letter in (LETTER, b"a: b\r\n\r\n" + b"x" * 1_000_000 + b"\r\n"):
        reply, delivered, count = told({}, letter, desk=FakeDesk(dot_within_seconds=-1.0))
        assert delivered.fates == (Fate.NOT_SENT,)
        assert reply.startswith(b"451 4.4.1")
        assert count == 0


def test_a_refusal_in_the_middle_of_a_letter_is_a_refusal():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.reading.clear()
            upstream.answers[b"DATA"].append(b"354 go on\r\n552 5.3.4 that is too much\r\n")
            client = await gate.connect()
            assert (
                await client.mail(b"a: b\r\n\r\n" + b"x" * 30_000_000 + b"\r\n")
            ) == b"552 5.3.4 that is too much\r\n"
            assert gate.desk.delivered[0].fates == (Fate.REFUSED_PERMANENT,)
            upstream.reading.set()

    asyncio.run(story())


def test_a_mail_server_that_takes_no_more_of_a_letter_is_given_up():
    async def story():
        async with (
            FakeUpstream() as upstream,
            Gate(upstream, upstream_options={"block_seconds": 0.3}) as gate,
        ):
            upstream.reading.clear()
            client = await gate.connect()
            assert (await client.mail(b"a: b\r\n\r\n" + b"x" * 30_000_000 + b"\r\n")).startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.NOT_SENT,)
            upstream.reading.set()

    asyncio.run(story())


def test_a_mail_server_that_left_while_the_letter_came_is_reached_again():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope((b"a@example.org", b"b@example.org"))
            await client.say(b"DATA")
            await upstream.hang_up_on_all()
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert len(upstream.letters[0].recipients) == 2

    asyncio.run(story())


def test_if_it_then_answers_otherwise_nothing_is_sent():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            await upstream.hang_up_on_all()
            upstream.answers[b"RCPT"].append(b"550 5.1.1 gone\r\n")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"451 4.4.1")
            assert gate.desk.delivered[0].fates == (Fate.NOT_SENT,)
            assert not upstream.letters

    asyncio.run(story())


def test_a_slow_letter_does_not_pin_the_mail_servers_connection():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"upstream_pin_seconds": 0.02}) as gate:
            client = await gate.connect()
            await client.envelope()
            await client.say(b"DATA")
            client.send(b"Subject: x\r\n")
            await upstream.until(lambda: upstream.commands[-1] == b"RSET\r\n")
            client.send(b"\r\nhello\r\n")
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].letter == LETTER

    asyncio.run(story())


def test_a_client_that_is_silent_in_a_transaction_does_not_pin_the_mail_servers_connection():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"upstream_pin_seconds": 0.02}) as gate:
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"250")
            await upstream.until(lambda: upstream.commands[-1] == b"RSET\r\n")
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"250")
            await upstream.until(lambda: upstream.commands[-1] == b"RSET\r\n")
            assert (await client.say(b"NOOP")).startswith(b"250")
            assert (await client.say(b"DATA")).startswith(b"354")
            client.send(b"Subject: x\r\n\r\nhello\r\n")
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].letter == LETTER
            assert upstream.letters[0].recipients == [b"RCPT TO:<b@example.org>\r\n"]

    asyncio.run(story())


@pytest.mark.parametrize("verb", [b"RCPT", b"DATA", b"."])
def test_a_mail_server_that_takes_its_time_is_waited_for_all_the_same(verb):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"upstream_pin_seconds": 0.02}) as gate:
            client = await gate.connect()
            may_answer = asyncio.Event()
            upstream.answers[verb].append(may_answer)
            asyncio.get_running_loop().call_later(0.2, may_answer.set)
            assert (await client.mail()).startswith(b"250")
            assert b"RSET\r\n" not in upstream.commands

    asyncio.run(story())


def test_a_letter_for_some_of_its_recipients_begins_the_transaction_anew():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, FakeDesk(recipients=(0, 2))) as gate:
            client = await gate.connect()
            assert (await client.mail(to=(b"a@example.org", b"b@example.org", b"c@example.org"))).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<a@example.org>\r\n", b"RCPT TO:<c@example.org>\r\n"]
            assert b"RSET\r\n" in upstream.commands
            assert gate.desk.delivered[0].recipients == (b"a@example.org", b"c@example.org")
            assert gate.desk.delivered[0].fates == (Fate.ACCEPTED, Fate.ACCEPTED)

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_lmtp_answers_for_each_recipient(kind, tmp_path):
    async def story():
        path = tmp_path / "lmtp" if kind == "unix" else None
        async with FakeUpstream(is_lmtp=True, path=path) as upstream, Gate(upstream) as gate:
            assert (await (await gate.connect()).mail(to=(b"a@example.org", b"b@example.org"))).startswith(b"250")
            assert b"LHLO gate.example.org\r\n" in upstream.commands
            client = await gate.connect()
            upstream.answers[b"."] += [b"250 2.0.0 one\r\n", b"550 5.2.1 two\r\n"]
            reply = await client.mail(to=(b"a@example.org", b"b@example.org"))
            assert reply == (
                b"550-5.0.0 refused (550 5.2.1 two): b@example.org\r\n550 5.0.0 delivered: a@example.org\r\n"
            )
            assert gate.desk.delivered[-1].fates == (Fate.ACCEPTED, Fate.REFUSED_PERMANENT)
            upstream.answers[b"."] += [b"550 5.0.0 one\r\n", b"452 4.2.2 two\r\n"]
            assert (await client.mail(to=(b"a@example.org", b"b@example.org"))) == b"452 4.2.2 two\r\n"
            upstream.answers[b"."] += [b"250 2.0.0 one\r\n", CLOSE]
            assert (await client.mail(to=(b"a@example.org", b"b@example.org"))).startswith(b"451 4.4.1")
            assert gate.desk.delivered[-1].fates == (Fate.ACCEPTED, Fate.IN_DOUBT)

    asyncio.run(story())


def test_a_server_without_pipelining_or_size_is_spoken_to_one_by_one_and_not_told_the_size():
    async def story():
        async with FakeUpstream(("XCLIENT ADDR",)) as upstream, Gate(upstream) as gate:
            upstream.answers[b"RCPT"] += [b"550 5.1.1 no\r\n"]
            client = await gate.connect()
            client.send(
                b"MAIL FROM:<a@example.com> SIZE=100 X=y\r\nRCPT TO:<1@example.org>\r\nRCPT TO:<2@example.org>\r\n"
            )
            assert [(await client.reply())[:3] for _ in range(3)] == [b"250", b"550", b"250"]
            assert b"MAIL FROM:<a@example.com> X=y\r\n" in upstream.commands
            upstream.answers[b"MAIL"].append(b"550 5.1.8 no\r\n")
            await client.say(b"RSET")
            client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<1@example.org>\r\n")
            assert [(await client.reply())[:3] for _ in range(2)] == [b"550", b"550"]
            assert upstream.commands[-1].startswith(b"MAIL")

    asyncio.run(story())


def test_without_pipelining_each_recipient_is_asked_for_though_one_before_was_refused():
    async def story():
        keywords = ("XCLIENT NAME ADDR PORT PROTO HELO",)
        async with FakeUpstream(keywords=keywords) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.say(b"MAIL FROM:<a@example.com>")
            upstream.answers[b"RCPT"].append(b"550 5.1.1 <no@example.org>: no such user\r\n")
            client.send(b"RCPT TO:<no@example.org>\r\nRCPT TO:<yes@example.org>\r\nDATA\r\n")
            assert [(await client.reply())[:3] for _ in range(3)] == [b"550", b"250", b"354"]
            client.send(b"x\r\n")
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<yes@example.org>\r\n"]

    asyncio.run(story())


def test_a_full_spool_is_later_and_the_session_goes_on(tmp_path):
    async def story():
        spool = SpoolLimits(letter_bytes_max=50_000_000, memory_bytes_max=1000, directory=tmp_path / "missing")
        async with FakeUpstream() as upstream, Gate(upstream, spool=spool) as gate:
            client = await gate.connect()
            assert (await client.mail(b"a: b\r\n\r\n" + b"x" * 500_000 + b"\r\n")).startswith(b"452 4.3.1")
            assert (await client.mail()).startswith(b"250")
            assert gate.notes.lines[0][1] == "smtp.not_kept"

    asyncio.run(story())


def test_proxy_v2_names_the_client_on_every_connection():
    async def story():
        async with (
            FakeUpstream(KEYWORDS[:-1], is_proxied=True) as upstream,
            Gate(upstream, identity=IdentityMode.PROXY) as gate,
        ):
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            assert (await client.mail()).startswith(b"250")
            asked, first, second = upstream.heard
            assert asked.startswith(b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
            port = client.writer.get_extra_info("sockname")[1]
            addresses = bytes((127, 0, 0, 1)) * 2 + port.to_bytes(2, "big") + gate.port.to_bytes(2, "big")
            for heard in (first, second):
                assert heard.startswith(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + addresses)

    asyncio.run(story())


def test_a_client_named_by_proxy_is_greeted_by_its_own_name_and_hears_what_is_said_against_it():
    async def story():
        async with (
            FakeUpstream(KEYWORDS[:-1], is_proxied=True) as upstream,
            Gate(upstream, identity=IdentityMode.PROXY) as gate,
        ):
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            assert [line for line in upstream.commands if line.startswith(b"EHLO")][
                -1
            ] == b"EHLO client.example.com\r\n"
            upstream.answers[b"EHLO"].append(b"550 5.7.1 no such name\r\n")
            assert await client.say(b"MAIL FROM:<a@b.example>") == b"550 5.7.1 no such name\r\n"
            # Who knows nothing of PROXY takes the header for a command: a mistake in somebody's settings, so "later".
            upstream.answers[b"EHLO"].append(b"500 5.5.2 what?\r\n")
            assert (await client.say(b"MAIL FROM:<a@b.example>")).startswith(b"451 4.4.1")

    asyncio.run(story())


def test_without_identity_nothing_is_told():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, identity=IdentityMode.NONE) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            assert not [line for line in upstream.commands if line.startswith(b"XCLIENT")]

    asyncio.run(story())


def test_values_are_frozen():
    delivered = told({})[1]
    with pytest.raises(AttributeError):
        delivered.detail = "x"
