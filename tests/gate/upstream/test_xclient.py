"""What the mail server hears of a client, over sockets, and what becomes of one it does not understand."""

import asyncio
from ipaddress import ip_network

import pytest
from tests.support.fake_upstream import CLOSE, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import Gate

from pennyred.gate.letterbox import HostName
from pennyred.gate.smtp import replies
from pennyred.gate.upstream.endpoint import IdentityMode

FRONTS = {"trusted_fronts": (ip_network("127.0.0.0/8"),)}
EVERYTHING = (*KEYWORDS[:-1], "XCLIENT NAME ADDR PORT PROTO HELO REVERSE_NAME LOGIN DESTADDR DESTPORT")
NOT_UNDERSTOOD = b"501 5.5.4 Bad ADDR syntax: IPV6:2001:db8::7\r\n"


def told(upstream: FakeUpstream) -> list[dict[bytes, bytes]]:
    """The attributes of each XCLIENT."""
    lines = [line.split()[1:] for line in upstream.commands if line.startswith(b"XCLIENT")]
    return [dict(word.split(b"=", 1) for word in line) for line in lines]


def story_of(story, *, keywords=EVERYTHING, options=FRONTS, **gate):
    async def whole():
        async with FakeUpstream(keywords) as upstream, Gate(upstream, options=options, **gate) as found:
            await story(upstream, found)

    asyncio.run(whole())


async def fronted(gate, *lines: bytes):
    """A session of a front that has said these, and EHLO after each that begins it anew."""
    client = await gate.connect(b"EHLO front.example")
    for line in lines:
        assert (await client.say(line)).startswith(b"2")
        if line.startswith(b"XCLIENT"):
            await client.say(b"EHLO client.example")
    return client


def test_a_client_is_told_with_the_address_that_it_has_connected_to_and_by_both_of_its_names():
    async def lookup(address):
        return HostName("", "unproven.example")

    async def story(upstream, gate):
        await (await gate.connect()).mail()
        [attributes] = told(upstream)
        assert (attributes[b"NAME"], attributes[b"REVERSE_NAME"]) == (b"[UNAVAILABLE]", b"unproven.example")
        assert (attributes[b"DESTADDR"], attributes[b"DESTPORT"]) == (b"127.0.0.1", b"%d" % gate.port)
        assert (attributes[b"LOGIN"], attributes[b"PROTO"]) == (b"[UNAVAILABLE]", b"ESMTP")

    story_of(story, options={}, name_lookup=lookup)


def test_what_a_front_tells_is_passed_on_and_nothing_of_its_own_connection():
    async def story(upstream, gate):
        client = await fronted(gate, b"XCLIENT NAME=[TEMPUNAVAIL] REVERSE_NAME=r.example LOGIN=a+40b ADDR=198.51.100.7")
        await client.mail()
        client = await fronted(gate, b"XCLIENT DESTADDR=192.0.2.25 DESTPORT=2525 PROTO=SMTP ADDR=198.51.100.8")
        await client.mail()
        first, second = told(upstream)
        assert (first[b"NAME"], first[b"REVERSE_NAME"]) == (b"[TEMPUNAVAIL]", b"r.example")
        assert (first[b"LOGIN"], first[b"DESTADDR"], first[b"DESTPORT"]) == (b"a@b", b"[UNAVAILABLE]", b"[UNAVAILABLE]")
        assert (second[b"LOGIN"], second[b"DESTADDR"], second[b"DESTPORT"]) == (
            b"[UNAVAILABLE]",
            b"192.0.2.25",
            b"2525",
        )
        assert second[b"PROTO"] == b"SMTP"

    story_of(story)


def test_of_the_next_client_a_front_speaks_for_nothing_is_known_from_the_last():
    async def story(upstream, gate):
        client = await fronted(gate, b"XCLIENT NAME=a.example LOGIN=ann PROTO=SMTP", b"XCLIENT ADDR=198.51.100.7")
        await client.mail()
        assert (await client.say(b"XCLIENT ADDR=198.51.100.8")).startswith(b"220")
        await client.say(b"EHLO client.example")
        await client.mail()
        first, second = told(upstream)
        assert (first[b"NAME"], first[b"LOGIN"], first[b"PROTO"]) == (b"a.example", b"ann", b"SMTP")
        assert (second[b"NAME"], second[b"LOGIN"], second[b"PROTO"]) == (b"[UNAVAILABLE]", b"[UNAVAILABLE]", b"ESMTP")
        assert b"REVERSE_NAME" not in second

    story_of(story)


def test_nobody_else_logs_in_by_xclient():
    async def story(upstream, gate):
        client = await gate.connect()
        assert (await client.say(b"XCLIENT LOGIN=ann ADDR=198.51.100.7")).startswith(b"550 5.7.0")
        await client.mail()
        assert told(upstream)[0][b"LOGIN"] == b"[UNAVAILABLE]"

    story_of(story, options={})


@pytest.mark.parametrize("command", [b"XCLIENT", b"XFORWARD"])
def test_a_front_that_knows_no_name_has_not_said_what_the_address_is_called(command):
    """Postfix's XFORWARD has no word for that."""

    async def lookup(address):
        return HostName("proven.example", "proven.example")

    async def story(upstream, gate):
        client = await fronted(gate, command + b" NAME=[UNAVAILABLE] ADDR=198.51.100.7")
        await client.mail()
        [attributes] = told(upstream)
        assert (attributes[b"NAME"], attributes[b"REVERSE_NAME"]) == (b"[UNAVAILABLE]", b"proven.example")

    story_of(story, name_lookup=lookup)


@pytest.mark.parametrize("front", [b"XCLIENT ADDR=IPV6:2001:db8::7", b"XFORWARD ADDR=IPV6:2001:db8::7"])
def test_a_client_that_the_mail_server_does_not_understand_hears_later_and_why_and_others_pass(front):
    async def story(upstream, gate):
        upstream.answers[b"XCLIENT"] += [NOT_UNDERSTOOD]
        client = await fronted(gate, front)
        said = await client.say(b"MAIL FROM:<a@example.com>")
        assert said.startswith(b"451 4.3.5 Try again later: the mail server does not understand who this client is")
        assert b"(identity-refused)" in said
        [(_, event, facts)] = gate.notes.lines
        assert event == "smtp.identity_refused"
        assert "told of an IPv6 client: XCLIENT: 501 5.5.4 Bad ADDR syntax" in facts["detail"]
        assert (await (await fronted(gate, b"XCLIENT ADDR=192.0.2.1")).mail()).startswith(b"250")

    story_of(story)


def test_so_it_is_with_xforward():
    async def story(upstream, gate):
        upstream.answers[b"XFORWARD"] += [NOT_UNDERSTOOD]
        client = await gate.connect()
        assert await client.say(b"MAIL FROM:<a@example.com>") == replies.SENDER_NOTED
        assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"451 4.3.5")
        assert (await client.say(b"RSET")).startswith(b"250")
        assert (await client.mail()).startswith(b"250")

    keywords = (*KEYWORDS[:-1], "XFORWARD NAME ADDR PROTO HELO")
    story_of(story, keywords=keywords, options={}, identity=IdentityMode.XFORWARD)


@pytest.mark.parametrize(
    "refusal",
    [
        b"554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied\r\n",
        b"550 5.7.1 Client host rejected\r\n",
        b"450 4.7.25 Client host rejected: cannot find your hostname\r\n",
        b"521 5.3.2 no mail from there\r\n",
    ],
)
def test_a_client_refused_in_answer_to_xclient_hears_that(refusal):
    """Postfix judges clients there where smtpd_delay_reject = no."""

    async def story(upstream, gate):
        client = await gate.connect()
        upstream.answers[b"XCLIENT"].append(refusal)
        assert await client.say(b"MAIL FROM:<a@example.com>") == refusal

    story_of(story, options={})


def proxied(story):
    async def whole():
        async with (
            FakeUpstream(KEYWORDS[:-1], is_proxied=True) as upstream,
            Gate(upstream, identity=IdentityMode.PROXY, options=FRONTS) as gate,
        ):
            await story(upstream, gate)

    asyncio.run(whole())


@pytest.mark.parametrize("refusal", [b"554 5.7.1 not you\r\n", b"550 on a list\r\n"])
def test_by_proxy_a_refusal_instead_of_the_greeting_is_the_clients_where_the_gate_itself_is_greeted(refusal):
    async def story(upstream, gate):
        client = await gate.connect()
        upstream.answers[b"220"].append(refusal)
        assert await client.say(b"MAIL FROM:<a@example.com>") == refusal
        assert (await (await gate.connect()).mail()).startswith(b"250")
        assert not [line for line in gate.notes.lines if line[1] == "smtp.upstream_down"], (
            "one client ends nobody's way"
        )

    proxied(story)


@pytest.mark.parametrize("answer", [CLOSE, b"421 4.3.2 Server local error\r\n"])
def test_by_proxy_a_client_that_is_hung_up_on_is_not_understood(answer):
    """Postfix does so to IPv6 clients with inet_protocols = ipv4."""

    async def story(upstream, gate):
        client = await gate.connect()
        upstream.answers[b"220"].append(answer)
        assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.3.5")
        assert [line[1] for line in gate.notes.lines] == ["smtp.identity_refused"]
        assert (await client.mail()).startswith(b"250")

    proxied(story)


def test_by_proxy_one_client_too_many_makes_nobody_look_dead():
    async def story(upstream, gate):
        client = await gate.connect()
        upstream.answers[b"220"].append(b"421 4.7.0 too many connections from you\r\n")
        assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
        assert [line[1] for line in gate.notes.lines] == ["smtp.unavailable"]

    proxied(story)


def test_by_proxy_a_mail_server_that_greets_nobody_is_down_and_bounces_nothing():
    async def story(upstream, gate):
        client = await gate.connect()
        upstream.answers[b"220"] += [b"554 5.3.2 no service\r\n"] * 2
        assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
        assert "smtp.upstream_down" in [line[1] for line in gate.notes.lines]

    proxied(story)


def test_by_proxy_a_greeting_that_is_disliked_is_refused_in_the_mail_servers_words():
    """Exim refuses a name with an underscore so; "later" would have the client come again for days."""

    async def story(upstream, gate):
        client = await gate.connect(b"EHLO bad_name")
        upstream.answers[b"EHLO"].append(b"501 Syntactically invalid EHLO argument(s)\r\n")
        assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"501 Syntactically")

    proxied(story)


def test_by_proxy_who_has_said_helo_is_greeted_so_and_others_are_offered_what_there_is():
    async def story(upstream, gate):
        client = await gate.connect(b"HELO client.example.com")
        assert (await client.mail()).startswith(b"250")
        assert b"HELO client.example.com\r\n" in upstream.commands
        assert b"8BITMIME" in await (await gate.connect()).say(b"EHLO client.example.com")

    proxied(story)


def test_by_proxy_a_client_told_by_a_front_keeps_its_family_and_its_destination():
    async def story(upstream, gate):
        client = await fronted(gate, b"XCLIENT DESTADDR=192.0.2.25 DESTPORT=25 ADDR=198.51.100.7")
        await client.mail()
        client = await fronted(gate, b"XCLIENT DESTADDR=192.0.2.25 DESTPORT=25 ADDR=IPV6:2001:db8::7")
        await client.mail()
        first, second = (heard[12:] for heard in upstream.heard[1:])
        assert first.startswith(b"\x21\x11\x00\x0c" + bytes((198, 51, 100, 7, 192, 0, 2, 25)) + b"\0\0\0\x19")
        assert second[:4] == b"\x21\x21\x00\x24"
        assert second[20:40] == bytes(20), "no destination of another family"

    proxied(story)
