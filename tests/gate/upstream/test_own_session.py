"""What the mail server says of the gate's own session is no word on anybody's letter: the client hears "later"."""

import asyncio

import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import Gate, mail_server

from pennyred.gate.letterbox import Fate
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.endpoint import IdentityMode
from pennyred.gate.upstream.probing import probe_upstream

LETTER = b"Subject: x\r\n\r\nhello\r\n"
LATER = b"451 4.4.1 "
ABOUT_US = [
    b"530 5.7.0 Must issue a STARTTLS command first\r\n",
    b"530 5.5.1 Invalid command: Must issue an AUTH command first\r\n",
    b"530 Authentication required\r\n",
    b"530-5.7.57 SMTP; Client was not authenticated\r\n530 5.7.57 to send anonymous mail\r\n",
    b"534 5.7.9 Authentication mechanism is too weak\r\n",
    b"535 5.7.8 Authentication credentials invalid\r\n",
    b"538 5.7.11 Encryption required for requested authentication mechanism\r\n",
    b"503 5.5.1 Error: send HELO/EHLO first\r\n",
    b"503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining\r\n",
    b"503 out of turn\r\n",
    b"500 5.5.2 Error: command not recognized\r\n",
    b"502 5.5.1 Error: command not implemented\r\n",
    b"550 5.5.1 Protocol error\r\n",
    b"554 5.5.1 Error: no valid recipients\r\n",
    b"554 5.7.10 Encryption needed\r\n",
    b"523 5.7.10 Encryption needed\r\n",
    b"523 Encryption needed\r\n",
    b"524 Encryption required for requested authentication mechanism\r\n",
]
ABOUT_A_LETTER = [
    b"550 5.1.1 no such user\r\n",
    b"550 5.7.1 Relay access denied\r\n",
    b"550 5.7.26 Unauthenticated email is not accepted\r\n",
    b"550 5.5.10 what is this\r\n",
    b"554 5.7.1 Client host rejected: Access denied\r\n",
    b"501 5.1.7 Bad sender address syntax\r\n",
    b"504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname\r\n",
    b"555 5.5.4 Unsupported option\r\n",
    b"553 5.6.7 no SMTPUTF8\r\n",
    b"552 5.3.4 too big\r\n",
    b"523 5.3.4 the letter is too big for this mailbox\r\n",
    b"524 5.2.4 a list that cannot be expanded\r\n",
    b"450 4.7.1 greylisted\r\n",
    b"454 4.7.0 TLS not available\r\n",
    b"421 4.7.0 too many connections from you\r\n",
]
VERBS = pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA"])


def replies_to(verb: bytes, reply: bytes, *, is_pipelined: bool, **kwargs) -> tuple[bytes, Gate, FakeUpstream]:
    """What the client hears where the mail server says this, once and again on each new connection, to this verb."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, **kwargs) as gate:
            upstream.answers[verb] += [reply] * 3
            client = await gate.connect()
            lines = [b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.org>", b"DATA"]
            if is_pipelined:
                client.send(b"".join(line + b"\r\n" for line in lines[:2]))
                heard = [await client.reply(), await client.reply()]
            else:
                heard = await client.converse(*lines[:2])
            if all(one.startswith(b"250") for one in heard):
                assert (await client.say(lines[2])).startswith(b"354")
                client.send(LETTER)
                heard.append(await client.say(b"."))
            place = {b"MAIL": 0, b"RCPT": 1, b"DATA": 2, b".": 2}[verb]
            assert all(one.startswith(b"250") for one in heard[:place]) or is_pipelined
            return heard[place] if not (is_pipelined and verb == b"RCPT") else heard[0], gate, upstream

    return asyncio.run(story())


@VERBS
@pytest.mark.parametrize("reply", ABOUT_US)
@pytest.mark.parametrize("is_pipelined", [True, False])
def test_a_refusal_of_the_gates_own_session_is_later_and_in_the_log(verb, reply, is_pipelined):
    heard, gate, upstream = replies_to(verb, reply, is_pipelined=is_pipelined)
    assert heard.startswith(LATER)
    text = reply.split(b"\r\n")[0][4:].decode()
    if verb == b"DATA":
        [delivered] = gate.desk.delivered
        assert delivered.fates == (Fate.NOT_SENT,)
        assert text in delivered.detail
    else:
        details = [facts["detail"] for _, event, facts in gate.notes.lines if event == "smtp.unavailable"]
        assert details
        assert all(text in detail and "own session" in detail for detail in details)
    assert upstream.letters == []


@VERBS
@pytest.mark.parametrize("reply", ABOUT_A_LETTER)
def test_a_word_on_a_client_or_a_letter_is_passed_on_as_it_was_said(verb, reply):
    heard, _, _ = replies_to(verb, reply, is_pipelined=False)
    assert heard == reply


@pytest.mark.parametrize("reply", [one for one in ABOUT_US if one[:9] not in (b"550 5.5.1", b"554 5.5.1")])
@pytest.mark.parametrize("is_lmtp", [True, False])
def test_after_the_letter_too_it_is_no_word_on_the_letter(reply, is_lmtp, tmp_path):
    async def story():
        upstream = FakeUpstream(is_lmtp=is_lmtp, path=tmp_path / "lmtp" if is_lmtp else None)
        async with upstream, Gate(upstream) as gate:
            upstream.answers[b"."].append(reply)
            client = await gate.connect()
            assert (await client.mail(LETTER)).startswith(LATER)
            assert gate.desk.delivered[0].fates == (Fate.REFUSED_TEMPORARY,)
            assert (await client.mail(LETTER)).startswith(b"250")

    asyncio.run(story())


@pytest.mark.parametrize(
    "reply", [*ABOUT_A_LETTER[:4], b"554 5.5.1 Error: no such content\r\n", *ABOUT_A_LETTER[-6:-3]]
)
def test_and_what_is_a_word_on_it_stays_one(reply):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[b"."].append(reply)
            client = await gate.connect()
            assert await client.mail(LETTER) == reply
            assert gate.desk.delivered[0].fates == (Fate.REFUSED_PERMANENT,)

    asyncio.run(story())


def test_a_recipient_of_whom_the_client_heard_no_yes_does_not_get_the_letter():
    """The mail server has said yes to one of two, and that it wants TLS to the other: the client heard "later" of both."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope((b"ann@example.org",))
            upstream.answers[b"RCPT"] += [b"250 2.1.5 Ok\r\n", ABOUT_US[0]]
            client.send(b"RCPT TO:<bob@example.org>\r\nRCPT TO:<carl@example.org>\r\n")
            assert [(await client.reply())[:10] for _ in range(2)] == [LATER, LATER]
            await client.say(b"DATA")
            client.send(LETTER)
            assert (await client.say(b".")).startswith(b"250")
            assert upstream.letters[0].recipients == [b"RCPT TO:<ann@example.org>\r\n"]
            assert gate.desk.envelopes[0].recipients == (b"ann@example.org",)

    asyncio.run(story())


@pytest.mark.parametrize("reply", [*ABOUT_US[:1], *ABOUT_US[7:12]])
@pytest.mark.parametrize("identity", [IdentityMode.XCLIENT, IdentityMode.PROXY])
def test_ehlo_in_the_clients_name_answered_so_is_later(reply, identity):
    """The client's name is the gate's to say; whether it was disliked is another matter."""

    async def story():
        upstream = FakeUpstream(is_proxied=identity is IdentityMode.PROXY)
        async with upstream, Gate(upstream, identity=identity) as gate:
            client = await gate.connect()  # what is offered is known from here on
            hello = b"250-upstream.example.org\r\n250 XCLIENT NAME ADDR PORT PROTO HELO\r\n"
            upstream.answers[b"EHLO"] += [reply] * 3 if identity is IdentityMode.PROXY else [reply, hello, reply]
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(LATER)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        (b"220", b"554 5.3.2 not for you\r\n"),
        (b"220", b"530 5.7.0 no\r\n"),
        (b"220", b"421 4.3.2 too many connections\r\n"),
        (b"EHLO", b"502 5.5.1 what?\r\n"),
        (b"EHLO", b"554 5.7.1 who are you\r\n"),
        (b"XCLIENT", b"550 5.7.0 insufficient authorization\r\n"),
    ],
)
def test_a_mail_server_that_does_not_let_the_gate_in_is_later(verb, reply):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[verb] += [reply] * 9
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(LATER)
            assert any(reply[4:-2].decode() in str(facts) for _, _, facts in gate.notes.lines)

    asyncio.run(story())


def test_xforward_that_is_refused_is_later():
    async def story():
        keywords = ("PIPELINING", "XFORWARD NAME ADDR PORT PROTO HELO")
        async with FakeUpstream(keywords=keywords) as upstream, Gate(upstream, identity=IdentityMode.XFORWARD) as gate:
            upstream.answers[b"XFORWARD"] += [b"550 5.7.0 not you\r\n"] * 4
            client = await gate.connect()
            assert await client.say(b"MAIL FROM:<a@example.com>") == replies.SENDER_NOTED
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(LATER)

    asyncio.run(story())


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT"])
@pytest.mark.parametrize("reply", ABOUT_US)
def test_check_hears_it_too(verb, reply):
    async def probed():
        async with FakeUpstream() as upstream:
            upstream.answers[verb].append(reply)
            options = mail_server(upstream.url)
            return await probe_upstream(options, "postmaster@elsewhere.example.net")

    probe = asyncio.run(probed())
    assert "own session" in probe.error
    assert reply.split(b"\r\n")[0][4:].decode() in probe.error


def test_a_session_refused_is_not_said_on_a_kept_connection():
    """It is closed; the next letter has a new one."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail(LETTER)).startswith(b"250")
            upstream.answers[b"MAIL"] += [ABOUT_US[0], ABOUT_US[0]]
            assert await client.say(b"MAIL FROM:<a@example.com>") == replies.SENDER_NOTED
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(LATER)
            assert gate.pool.idle_count == 0
            assert (await client.say(b"RSET")).startswith(b"250")
            assert (await client.mail(LETTER)).startswith(b"250")

    asyncio.run(story())
