"""The dialogue: what goes to the mail server and comes back as it was, and what is answered here."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate

from pennyred.gate.letterbox import Due, Duplicate, Later
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.postage.reasons import Reason

LETTER = b"Subject: x\r\n\r\nhello\r\n"


def test_a_letter_goes_through_and_the_mail_servers_word_comes_back():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert await client.mail(LETTER) == b"250 2.0.0 Ok: queued as 0\r\n"
            assert await client.say(b"QUIT") == b"221 2.0.0 Bye\r\n"
            assert await client.reply() == b""
            [taken] = upstream.letters
            assert taken.letter == LETTER
            assert taken.mail == b"MAIL FROM:<alice@example.com>\r\n"
            [envelope] = gate.desk.envelopes
            assert envelope.sender == b"alice@example.com"
            assert envelope.recipients == (b"bob@example.org",)
            assert (envelope.source_ip, envelope.source_known) == ("127.0.0.1", True)
            assert envelope.helo == "client.example.com"

    asyncio.run(story())


@pytest.mark.parametrize(
    "line",
    [
        b'MAIL FROM:<"u+x y"@example.com> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ314',
        b"mail from: <@relay.example:alice@example.com>",
        b"MAIL FROM:<> AUTH=<> MT-PRIORITY=3",
        "MAIL FROM:<jürgen@münchen.example> SMTPUTF8".encode(),
    ],
)
def test_mail_and_rcpt_reach_the_mail_server_byte_for_byte(line):
    rcpt = b'RCPT To:<"B b"@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@example.org'

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.say(line)).startswith(b"250")
            assert (await client.say(rcpt)).startswith(b"250")
            assert upstream.commands[-2:] == [line + b"\r\n", rcpt + b"\r\n"]

    asyncio.run(story())


def test_replies_of_the_mail_server_come_back_verbatim_with_all_their_lines():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            sender_refused = b"550-5.1.8 one\r\n550 5.1.8 two\r\n"
            upstream.answers[b"MAIL"].append(sender_refused)
            unknown = b"550 5.1.1 <x>: who?\r\n"
            upstream.answers[b"RCPT"] += [unknown, b"450 4.2.0 greylisted\r\n", b"251 2.1.5 will forward\r\n"]
            upstream.answers[b"."].append(b"554-5.6.0 no\r\n554-\r\n554 5.6.0 never\r\n")
            client = await gate.connect()
            assert await client.say(b"MAIL FROM:<a@example.com>") == sender_refused
            assert (await client.say(b"RCPT TO:<x@example.org>")).startswith(b"503")
            assert (await client.say(b"MAIL FROM:<b@example.com>")).startswith(b"250")
            assert await client.say(b"RCPT TO:<x@example.org>") == unknown
            assert (await client.say(b"DATA")) == b"554 5.5.1 No valid recipients\r\n"
            assert await client.say(b"RCPT TO:<y@example.org>") == b"450 4.2.0 greylisted\r\n"
            assert await client.say(b"RCPT TO:<z@example.org>") == b"251 2.1.5 will forward\r\n"
            assert (await client.say(b"DATA")).startswith(b"354")
            client.send(LETTER)
            assert await client.say(b".") == b"554-5.6.0 no\r\n554-\r\n554 5.6.0 never\r\n"
            assert gate.desk.envelopes[0].recipients == (b"z@example.org",)

    asyncio.run(story())


def test_pipelined_commands_are_answered_in_order_and_go_upstream_together():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[b"RCPT"] += [b"250 2.1.5 one\r\n", b"550 5.1.1 two\r\n", b"250 2.1.5 three\r\n"]
            client = await gate.connect()
            client.send(
                b"MAIL FROM:<a@example.com>\r\nRCPT TO:<1@example.org>\r\nRCPT TO:<2@example.org>\r\n"
                b"RCPT TO:<broken\r\nRCPT TO:<3@example.org>\r\nDATA\r\n"
            )
            replies = [await client.reply() for _ in range(6)]
            assert [reply[:3] for reply in replies] == [b"250", b"250", b"550", b"501", b"250", b"354"]
            assert replies[2] == b"550 5.1.1 two\r\n"
            client.send(LETTER + b".\r\nMAIL FROM:<b@example.com>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
            assert [(await client.reply())[:3] for _ in range(5)] == [b"250", b"250", b"250", b"250", b"221"]
            assert gate.desk.envelopes[0].recipients == (b"1@example.org", b"3@example.org")
            assert len(upstream.letters[0].recipients) == 2

    asyncio.run(story())


def test_ehlo_offers_what_the_mail_server_offers_too_and_the_price():
    async def hello_of(keywords, **kwargs) -> list[bytes]:
        async with FakeUpstream(keywords) as upstream, Gate(upstream, **kwargs) as gate:
            client = await gate.connect(b"")
            await client.reply()
            return (await client.say(b"EHLO c.example")).splitlines()

    async def story():
        keywords = (*KEYWORDS, "CHUNKING", "BINARYMIME", "AUTH PLAIN", "MT-PRIORITY MIXER", "REQUIRETLS")
        full = await hello_of(keywords, options={"price": 2})
        assert full[0] == b"250-gate.example.org"
        assert {line[4:] for line in full[1:]} == {
            b"PIPELINING", b"CHUNKING", b"SIZE 50000000", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"SMTPUTF8", b"DSN",
            b"MT-PRIORITY MIXER", b"XPOSTAGE 2 post.example.org",
        }  # fmt: skip
        poor = await hello_of(("SIZE 1000", "XCLIENT ADDR"))
        assert {line[4:] for line in poor[1:]} == {
            b"PIPELINING",
            b"CHUNKING",
            b"SIZE 1000",
            b"XPOSTAGE 1 post.example.org",
        }

    asyncio.run(story())


def test_what_the_mail_server_offers_is_asked_once_and_its_silence_does_no_harm():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            for _ in range(3):
                await gate.connect()
            assert len(upstream.heard) == 1
            await upstream.stop()
        async with FakeUpstream() as upstream:
            await upstream.stop()
            async with Gate(upstream) as gate:
                client = await gate.connect()
                # Whose letter needs SMTPUTF8 and is not offered it sends it back, though it need only wait.
                assert b"\r\n250-SMTPUTF8\r\n" in await client.say(b"EHLO c.example")
                reply = await client.say(b"MAIL FROM:<a@example.com> SMTPUTF8")
                assert reply.startswith(b"451 4.4.1 ")
                assert (await client.say(b"NOOP")).startswith(b"250")

    asyncio.run(story())


def test_answers_of_the_desk_become_the_replies_of_the_contract():
    async def said(answer) -> bytes:
        options = {"help_url": "https://example.org/post"}
        async with FakeUpstream() as upstream, Gate(upstream, FakeDesk(answer=answer), options=options) as gate:
            client = await gate.connect()
            reply = await client.mail()
            assert not upstream.letters
            assert (await client.mail()) == reply, "the session goes on"
            return reply

    async def story():
        assert await said(Duplicate()) == b"250 2.0.0 Already delivered; not charged again (duplicate)\r\n"
        spent = await said(Due(0, Reason.SPENT))
        assert spent.startswith(b"550 5.7.1 Postage due: bob@example.org: ")
        assert spent.endswith(b" (spent); see https://example.org/post\r\n")
        assert (await said(Due(0, Reason.OVER_CAP))).startswith(b"450 4.7.1 Postage due: ")
        assert (await said(Later(Reason.IN_PROGRESS))).startswith(b"451 4.3.0 ")
        assert b"(ref abc)" in await said(Later(Reason.INTERNAL, "abc"))
        assert (await said(Later(Reason.UPSTREAM_UNAVAILABLE))).startswith(b"451 4.4.1 ")

    asyncio.run(story())


def test_a_due_letter_names_its_recipient_and_says_what_to_do():
    async def story():
        desk = FakeDesk(answer=Due(1, Reason.NO_STAMP))
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            client = await gate.connect()
            assert await client.mail(to=(b"ann@example.org", b"bob@example.org")) == (
                b"550 5.7.1 Postage due: bob@example.org needs a 1-cent stamp from post.example.org (no-stamp)\r\n"
            )
            assert not upstream.letters

    asyncio.run(story())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<a@example.com", b"501"),
        (b"MAIL FROM:<a@example.com> SIZE=50000001", b"552"),
        (b"RCPT TO:<b@example.org>", b"503"),
        (b"DATA", b"503"),
        (b"DATA now", b"501"),
        (b"EHLO", b"501"),
        (b"HELO ", b"501"),
        (b"VRFY bob", b"252"),
        (b"EXPN list", b"502"),
        (b"ETRN example.org", b"502"),
        (b"HELP", b"214"),
        (b"HELP MAIL", b"214"),
        (b"NOOP anything", b"250"),
        (b"RSET", b"250"),
        (b"AUTH PLAIN AGEAYg==", b"502"),
        (b"BDAT 0 LAST", b"503"),
        (b"STARTTLS", b"454"),
        (b"XCLIENT ADDR=192.0.2.1", b"550"),
        (b"XFORWARD ADDR=192.0.2.1", b"550"),
        (b"FOO", b"500"),
        (b"", b"500"),
        (b"NOOP \x00", b"500"),
        (b"NOOP a\rb", b"500"),
        (b"NO\xc3\x96P", b"500"),
        (b"NOOP " + b"x" * 3000, b"500"),
        (b"x" * 300_000, b"500"),
        ("MAIL FROM:<jürgen@example.com>".encode(), b"553"),
        (b"MAIL FROM:<j\xff@example.com> SMTPUTF8", b"501"),
    ],
)
def test_each_command_has_its_answer_and_the_session_goes_on(line, code):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            reply = await client.say(line)
            assert reply.startswith(code)
            assert reply.endswith(b"\r\n")
            assert (await client.mail()).startswith(b"250")

    asyncio.run(story())


def test_commands_out_of_order_are_refused():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"")
            await client.reply()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"503")
            assert (await client.say(b"HELO c.example")) == b"250 gate.example.org\r\n"
            await client.envelope()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"503")
            assert (await client.say(b"RSET")).startswith(b"250")
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"503")

    asyncio.run(story())


def test_a_browser_is_shown_the_door():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"")
            await client.reply()
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@example.com>\r\n")
            assert (await client.rest()).startswith(b"421")

    asyncio.run(story())


def test_a_letter_too_big_is_heard_to_its_end_and_refused():
    async def story():
        spool = SpoolLimits(letter_bytes_max=100_000)
        async with FakeUpstream() as upstream, Gate(upstream, spool=spool) as gate:
            client = await gate.connect()
            assert (await client.mail(b"a: b\r\n\r\n" + b"x" * 200_000 + b"\r\n")) == b"552 5.3.4 Letter too big\r\n"
            assert (await client.mail(b"a: b\r\n\r\n" + b"x" * 90_000 + b"\r\n")).startswith(b"250")
            assert len(upstream.letters) == 1

    asyncio.run(story())


def test_a_header_without_end_is_refused_as_too_big():
    async def story():
        spool = SpoolLimits(letter_bytes_max=10_000_000, header_bytes_max=50_000)
        async with FakeUpstream() as upstream, Gate(upstream, spool=spool) as gate:
            client = await gate.connect()
            assert (await client.mail(b"a: b\r\n" * 20_000)).startswith(b"552 5.3.4 Header")
            spool_of_many_fields = b"a: b\r\n" * 8_000
            assert (await client.mail(spool_of_many_fields)).startswith(b"250")

    asyncio.run(story())


def test_bare_newlines_are_refused_where_the_settings_say_so():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"is_bare_newline_refused": True}) as gate:
            client = await gate.connect()
            for odd in (b"\n", b"\r", b"\r\r\n"):
                assert (await client.mail(b"a: b\r\n\r\nx" + odd + b"y\r\n")).startswith(b"554 5.6.0 ")
            assert (await client.mail(b"a: b\r\n\r\nx\r\n")).startswith(b"250")

    asyncio.run(story())


def test_too_many_recipients_are_deferred_and_the_others_get_the_letter():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"recipients_max": 3}) as gate:
            client = await gate.connect()
            client.send(
                b"MAIL FROM:<a@example.com>\r\n" + b"".join(b"RCPT TO:<b%d@example.org>\r\n" % n for n in range(5))
            )
            codes = [(await client.reply())[:3] for _ in range(6)]
            assert codes == [b"250", b"250", b"250", b"250", b"452", b"452"]
            assert (await client.say(b"DATA")).startswith(b"354")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert len(upstream.letters[0].recipients) == 3

    asyncio.run(story())


def test_too_many_errors_end_the_session_and_a_letter_taken_clears_them():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"errors_max": 3}) as gate:
            client = await gate.connect()
            await client.say(b"FOO")
            await client.say(b"FOO")
            assert (await client.mail()).startswith(b"250")
            await client.say(b"FOO")
            await client.say(b"FOO")
            assert (await client.say(b"FOO")).startswith(b"500")
            assert (await client.reply()).startswith(b"421 4.7.0")
            assert await client.reply() == b""

    asyncio.run(story())


def test_commands_that_bring_no_letter_nearer_are_counted():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"idle_commands_max": 10}) as gate:
            client = await gate.connect()
            client.send(b"NOOP\r\n" * 50)
            said = await client.rest()
            assert said.count(b"250 ") == 10
            assert said.endswith(b"letter, closing\r\n")

    asyncio.run(story())


def test_a_goodbye_of_the_mail_server_is_passed_on_and_kept():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            upstream.answers[b"RCPT"].append(b"421 4.7.0 too many\r\n")
            assert (await client.say(b"RCPT TO:<c@example.org>")) == b"421 4.7.0 too many\r\n"
            assert await client.reply() == b""

    asyncio.run(story())


def test_a_mail_server_lost_between_recipients_costs_nobody_his_place():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope((b"a@example.org",))
            upstream.answers[b"RCPT"].append(CLOSE)
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"451 4.4.1")
            assert (await client.say(b"RCPT TO:<c@example.org>")).startswith(b"250")
            await client.say(b"DATA")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<a@example.org>\r\n", b"RCPT TO:<c@example.org>\r\n"]

    asyncio.run(story())
