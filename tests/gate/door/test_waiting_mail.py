"""MAIL waits for the first RCPT where a connection is at hand: one round trip less, and no other outcome."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, KEYWORDS, FakeUpstream
from tests.support.memory_gate import MemoryGate
from tests.support.smtp_gate import FakeDesk, Gate, RawClient

from pennyred.gate.smtp import replies
from pennyred.gate.upstream.endpoint import IdentityMode

MAIL = b"MAIL FROM:<alice@example.com>"
BOB, CAROL, DAVE = (b"RCPT TO:<%b@example.org>" % name for name in (b"bob", b"carol", b"dave"))


async def known(gate: Gate) -> RawClient:
    """A client for whom a connection is at hand: it has sent a letter."""
    client = await gate.connect()
    assert (await client.mail()).startswith(b"250")
    return client


def story_of(story, upstream: FakeUpstream | None = None, **options) -> None:
    async def run() -> None:
        async with upstream or FakeUpstream() as server, Gate(server, **options) as gate:
            await story(server, gate)

    asyncio.run(run())


def test_mail_and_the_first_recipient_go_in_one_write():
    with MemoryGate() as gate:
        client = gate.client()
        client.send(MAIL + b"\r\n" + BOB + b"\r\nDATA\r\n")
        client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n")
        [mail_server] = gate.upstream.sessions
        written: list[bytes] = []
        mail_server.transport._hear = lambda data: (written.append(data), mail_server.hear(data))
        assert client.send(MAIL + b"\r\n") == replies.SENDER_NOTED
        assert written == []
        assert client.send(BOB + b"\r\n").startswith(b"250 ")
        assert written == [MAIL + b"\r\n" + BOB + b"\r\n"]


@pytest.mark.parametrize("identity", list(IdentityMode))
def test_the_next_letter_is_delivered_as_the_first_was(identity):
    keywords = (*KEYWORDS, "XFORWARD NAME ADDR PORT PROTO HELO")

    async def story(upstream, gate):
        client = await known(gate)
        assert (await client.say(MAIL + b" SIZE=100 BODY=8BITMIME")).startswith(b"250 ")
        assert (await client.say(BOB)).startswith(b"250 2.1.5 ")
        assert (await client.say(CAROL)).startswith(b"250 2.1.5 ")
        assert (await client.say(b"DATA")).startswith(b"354 ")
        client.send(b"Subject: x\r\n\r\nhello\r\n")
        assert (await client.say(b".")).startswith(b"250 ")
        assert upstream.letters[-1].mail == MAIL + b" SIZE=100 BODY=8BITMIME\r\n"
        assert upstream.letters[-1].recipients == [BOB + b"\r\n", CAROL + b"\r\n"]

    story_of(story, FakeUpstream(keywords, is_proxied=identity is IdentityMode.PROXY), identity=identity)


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (b"550-5.1.8 one\r\n550 5.1.8 two\r\n", b"550-5.1.8 one\r\n550 5.1.8 two\r\n"),
        (b"450 4.1.8 no such domain\r\n", b"450 4.1.8 no such domain\r\n"),
        (b"452 4.3.1 disk full\r\n", b"452 4.3.1 disk full\r\n"),
        (b"552 5.3.4 too big\r\n", b"554 5.3.4 too big\r\n"),  # 552 to RCPT is "too many" to some, and they come again
    ],
)
def test_if_mail_is_refused_every_recipient_hears_it_and_there_are_none(refusal, told):
    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"].append(refusal)
        assert await client.say(MAIL) == replies.SENDER_NOTED
        assert await client.say(BOB) == told
        heard = len(upstream.commands)
        client.send(CAROL + b"\r\n" + DAVE + b"\r\n")
        assert [await client.reply(), await client.reply()] == [told, told]
        assert await client.say(b"DATA") == replies.NO_VALID_RECIPIENTS
        assert await client.say(MAIL) == replies.NESTED_MAIL
        assert [line for line in upstream.commands[heard:] if not line.startswith(b"RSET")] == []
        assert await client.say(b"RSET") == replies.RESET
        assert (await client.mail()).startswith(b"250 ")

    story_of(story)


def test_a_chunk_for_no_recipient_is_refused():
    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"].append(b"550 5.1.8 no\r\n")
        assert await client.say(MAIL) == replies.SENDER_NOTED
        assert await client.say(BOB) == b"550 5.1.8 no\r\n"
        client.send(b"BDAT 3 LAST\r\nx\r\n")
        assert await client.reply() == replies.NO_VALID_RECIPIENTS
        assert len(upstream.letters) == 1

    story_of(story)


def test_a_refused_sender_is_one_error_however_many_recipients_hear_it():
    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"] += [b"550 5.1.8 no\r\n", b"550 5.1.8 nor this\r\n"]
        for _ in range(2):
            assert await client.say(MAIL) == replies.SENDER_NOTED
            for number in range(10):
                assert (await client.say(b"RCPT TO:<%d@example.org>" % number)).startswith(b"550 5.1.8 ")
            assert await client.say(b"RSET") == replies.RESET
        assert await client.say(b"FOO") == replies.UNRECOGNISED
        assert await client.reply() == replies.TOO_MANY_ERRORS

    story_of(story, options={"errors_max": 3})


def test_a_goodbye_in_answer_to_mail_ends_the_session_at_the_first_recipient():
    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"] += [b"421 4.7.0 too much of you\r\n"] * 2
        assert await client.say(MAIL) == replies.SENDER_NOTED
        client.send(BOB + b"\r\n" + CAROL + b"\r\n")
        assert await client.rest() == b"421 4.7.0 too much of you\r\n"

    story_of(story)


def test_if_the_mail_server_has_gone_meanwhile_recipients_are_put_off_until_it_is_back():
    async def story(upstream, gate):
        client = await known(gate)
        assert await client.say(MAIL) == replies.SENDER_NOTED
        upstream.answers[b"MAIL"] += [CLOSE, CLOSE]
        assert (await client.say(BOB)).startswith(b"451 4.4.1 ")
        assert (await client.say(CAROL)).startswith(b"250 2.1.5 ")
        assert (await client.say(BOB)).startswith(b"250 2.1.5 ")
        assert (await client.say(b"DATA")).startswith(b"354 ")
        client.send(b"Subject: x\r\n\r\nhello\r\n")
        assert (await client.say(b".")).startswith(b"250 ")
        assert upstream.letters[-1].recipients == [CAROL + b"\r\n", BOB + b"\r\n"]

    story_of(story)


def test_a_recipient_that_the_gate_refuses_itself_does_not_begin_it():
    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"].append(b"550 5.1.8 no\r\n")
        heard = len(upstream.commands)
        assert await client.say(MAIL) == replies.SENDER_NOTED
        assert (await client.say(b"RCPT TO:<broken")).startswith(b"501 ")
        assert await client.say(b"DATA") == replies.RCPT_FIRST
        assert upstream.commands[heard:] == []
        client.send(b"RCPT TO:<broken\r\n" + BOB + b"\r\nRCPT TO:<broken\r\n" + CAROL + b"\r\n")
        said = [await client.reply() for _ in range(4)]
        assert [reply[:3] for reply in said] == [b"501", b"550", b"501", b"550"]

    story_of(story)


def test_a_transaction_without_recipients_never_reaches_the_mail_server():
    async def story(upstream, gate):
        client = await known(gate)
        heard = len(upstream.commands)
        for _ in range(3):
            assert await client.say(MAIL) == replies.SENDER_NOTED
            assert await client.say(b"RSET") == replies.RESET
        assert upstream.commands[heard:] == []
        assert gate.pool.idle_count == 1

    story_of(story)


def test_two_kinds_of_recipients_are_kept_apart_all_the_same():
    async def story(upstream, gate):
        client = await known(gate)
        assert await client.say(MAIL) == replies.SENDER_NOTED
        client.send(b"".join(b"RCPT TO:<%b@example.org>\r\n" % name for name in (b"free", b"bob", b"free2")))
        said = [await client.reply() for _ in range(3)]
        assert [reply[:3] for reply in said] == [b"250", b"452", b"250"]
        assert said[1] == replies.OTHER_CLASS

    story_of(story, desk=FakeDesk(is_free=lambda mailbox: mailbox.startswith(b"free")))


@pytest.mark.parametrize(
    ("keywords", "mail"),
    [
        (tuple(keyword for keyword in KEYWORDS if keyword != "PIPELINING"), MAIL),
        (KEYWORDS, MAIL + b" SIZE=49000000"),
        (KEYWORDS, MAIL + b" AUTH=<>"),
        (KEYWORDS, MAIL + b" BODY=8BITMIME SMTPUTF8"),
        (KEYWORDS, MAIL + b" RET=HDRS"),
    ],
    ids=["without pipelining", "too big for it", "a login", "beyond ASCII", "a report that is wished for"],
)
def test_what_may_be_refused_for_itself_is_said_at_once(keywords, mail):
    keywords = tuple("SIZE 48000000" if keyword.startswith("SIZE") else keyword for keyword in keywords)

    async def story(upstream, gate):
        client = await known(gate)
        upstream.answers[b"MAIL"].append(b"552 5.3.4 no\r\n")
        assert await client.say(mail) == b"552 5.3.4 no\r\n"
        assert await client.say(BOB) == replies.MAIL_FIRST

    story_of(story, FakeUpstream(keywords))


def test_a_client_that_came_with_other_words_is_heard_at_mail_by_a_mail_server_that_must_be_told():
    """No connection is at hand that knows it by them: what the mail server says of the client, it hears at MAIL."""

    async def story(upstream, gate):
        await known(gate)
        other = await gate.connect(b"EHLO other.example.com")
        upstream.answers[b"XCLIENT"].append(b"554 5.7.1 not you\r\n")
        assert await other.say(MAIL) == b"554 5.7.1 not you\r\n"

    story_of(story)
