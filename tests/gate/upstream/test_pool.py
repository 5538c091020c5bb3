"""The mail server's connections: at most so many, used again only when surely clean, each told who the client is."""

import asyncio

import pytest
from tests.support.fake_upstream import CLOSE, KEYWORDS, FakeUpstream
from tests.support.smtp_gate import Gate, eventually, mail_server

from pennyred.gate.upstream.addresses import Address
from pennyred.gate.upstream.connection import Connection
from pennyred.gate.upstream.endpoint import Endpoint, parse_capabilities, parse_url
from pennyred.gate.upstream.identity import ClientIdentity
from pennyred.gate.upstream.pool import PoolExhausted, UpstreamPool
from pennyred.postage.errors import Unavailable

ALICE = ClientIdentity("192.0.2.1", 1234, "alice.example")
BOB = ClientIdentity("2001:db8::1", 1234, "bob.example", name="bob.example.net")


def pooled(upstream: FakeUpstream, **options) -> UpstreamPool:
    return UpstreamPool(mail_server(upstream.url, **options))


def test_a_client_is_told_once_and_the_next_one_anew():
    async def story():
        async with FakeUpstream() as upstream:
            pool = pooled(upstream)
            for client in (ALICE, ALICE, BOB, ALICE):
                pool.release(await pool.acquire(client))
            assert [line for line in upstream.commands if not line.startswith(b"EHLO")] == [
                b"XCLIENT NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=ESMTP HELO=alice.example ADDR=192.0.2.1\r\n",
                b"XCLIENT NAME=bob.example.net PORT=[UNAVAILABLE] PROTO=ESMTP HELO=bob.example ADDR=IPV6:2001:db8::1\r\n",
                b"XCLIENT NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=ESMTP HELO=alice.example ADDR=192.0.2.1\r\n",
            ]
            assert [line for line in upstream.commands if line.startswith(b"EHLO")] == [
                b"EHLO gate.example.org\r\n",
                b"EHLO alice.example\r\n",
                b"EHLO bob.example\r\n",
                b"EHLO alice.example\r\n",
            ]
            assert len(upstream.heard) == 1
            await pool.close()
            await upstream.until(lambda: upstream.open_count == 0)
            assert upstream.commands[-1] == b"QUIT\r\n"

    asyncio.run(story())


def test_a_connection_that_knows_the_client_already_is_preferred():
    async def story():
        async with FakeUpstream() as upstream:
            pool = pooled(upstream)
            first, second = await pool.acquire(ALICE), await pool.acquire(BOB)
            pool.release(first)
            pool.release(second)
            assert await pool.acquire(ALICE) is first
            pool.release(first)
            assert await pool.acquire(BOB) is second
            pool.release(second)
            await pool.close()

    asyncio.run(story())


def test_who_has_said_helo_is_told_as_such_and_is_offered_nothing():
    """Postfix writes "with ESMTP" behind EHLO, whatever XCLIENT said before it, and takes no pipelining behind HELO."""

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"HELO client.example.com")
            assert (await client.mail()).startswith(b"250")
            told = upstream.commands[upstream.commands.index(b"HELO client.example.com\r\n") - 1 :]
            assert b" PROTO=SMTP " in told[0]
            assert told[2] == b"MAIL FROM:<alice@example.com>\r\n"
            second = await gate.connect()
            assert b"PIPELINING" in await second.say(b"EHLO client.example.com"), "others are offered what there is"

    asyncio.run(story())


@pytest.mark.parametrize("sessions", [1, 10])
def test_a_connection_told_for_good_serves_the_sessions_of_that_client_and_nobody_elses(sessions):
    async def story():
        async with FakeUpstream(is_believing_once=True) as upstream, Gate(upstream) as gate:
            for _ in range(sessions):
                client = await gate.connect()
                assert (await client.mail()).startswith(b"250")
                await client.close()
            assert len(upstream.heard) == 1
            other = await gate.connect(b"EHLO other.example.com")
            assert (await other.mail()).startswith(b"250")
            assert len(upstream.heard) == 2
            assert not any(b"550" in line for line in upstream.heard)

    asyncio.run(story())


def test_at_the_limit_a_connection_told_of_somebody_else_makes_room():
    async def story():
        async with FakeUpstream(is_believing_once=True) as upstream:
            pool = pooled(upstream, connections_max=2)
            for client in (ALICE, BOB):
                pool.release(await pool.acquire(client))
            carol = await pool.acquire(ClientIdentity("192.0.2.3", 1, "carol.example"))
            assert (pool.open_count, pool.idle_count) == (2, 1)
            bob = await pool.acquire(BOB)
            assert len(upstream.heard) == 3, "his own was kept"
            pool.release(carol)
            pool.release(bob)
            await pool.close()

    asyncio.run(story())


def test_no_mail_is_sent_as_ourselves_where_xclient_is_not_offered():
    async def story():
        async with FakeUpstream(KEYWORDS[:-1]) as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
            assert not [line for line in upstream.commands if line.startswith(b"MAIL")]
            assert "XCLIENT" in gate.notes.lines[0][2]["detail"]

    asyncio.run(story())


def test_a_mail_server_that_refuses_xclient_is_a_fault_in_somebodys_settings_and_bounces_nothing():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            upstream.answers[b"XCLIENT"] += [b"550 5.7.0 insufficient authorization\r\n"] * 2
            client = await gate.connect()
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")

    asyncio.run(story())


def test_a_client_refused_at_its_hello_hears_it_verbatim_at_mail():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"EHLO bad_name")
            refusal = b"550 5.7.1 <bad_name>: Helo command rejected\r\n"
            upstream.answers[b"EHLO"].append(refusal)
            assert await client.say(b"MAIL FROM:<a@example.com>") == refusal
            assert (await client.say(b"RCPT TO:<b@example.org>")).startswith(b"503")

    asyncio.run(story())


@pytest.mark.parametrize("answer", [CLOSE, b"421 4.4.2 timeout\r\n"])
def test_a_kept_connection_that_has_died_is_replaced_once_and_nobody_notices(answer):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            upstream.answers[b"MAIL"].append(answer)
            assert (await client.mail()).startswith(b"250")
            assert len(upstream.heard) == 2
            assert gate.pool.open_count == 1

    asyncio.run(story())


def test_a_fresh_connection_that_dies_is_not_tried_again():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            upstream.answers[b"MAIL"] += [CLOSE, CLOSE]
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"451 4.4.1")
            assert len(upstream.heard) == 2, "the one that had been asked for its offers, and a new one"

    asyncio.run(story())


@pytest.mark.parametrize("answer", [b"503 5.5.1 what?\r\n", CLOSE, b"250 ok\r\n250 and more\r\n"])
def test_a_connection_in_doubt_after_rset_is_closed(answer):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            await client.envelope()
            upstream.answers[b"RSET"].append(answer)
            await client.say(b"RSET")
            await upstream.until(lambda: upstream.open_count == 0)
            assert (await client.mail()).startswith(b"250")
            assert gate.pool.open_count == 1

    asyncio.run(story())


def test_a_connection_that_has_heard_too_many_refusals_is_not_kept():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, upstream_options={"refusals_max": 2}) as gate:
            client = await gate.connect()
            upstream.answers[b"RCPT"] += [b"550 5.1.1 who?\r\n"] * 2
            await client.say(b"MAIL FROM:<a@example.com>")
            await client.say(b"RCPT TO:<x@example.org>")
            await client.say(b"RCPT TO:<y@example.org>")
            await client.say(b"RSET")
            await upstream.until(lambda: upstream.open_count == 0)

    asyncio.run(story())


def test_old_and_idle_connections_are_closed():
    async def story():
        async with FakeUpstream() as upstream:
            pool = pooled(upstream, idle_seconds_max=0.0)
            pool.release(await pool.acquire(ALICE))
            assert pool.idle_count == 1
            pool._sweep()
            assert (pool.idle_count, pool.open_count) == (0, 0)
            await pool.close()
            pool = pooled(upstream, age_seconds_max=0.0)
            pool.release(await pool.acquire(ALICE))
            assert (pool.idle_count, pool.open_count) == (0, 0)
            await pool.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "scripted",
    [
        {b"220": b"554 5.3.2 no service\r\n"},
        {b"220": b"HTTP/1.1 400 Bad Request\r\n"},
        {b"220": CLOSE},
        {b"EHLO": b"502 5.5.1 what?\r\n"},
        {b"EHLO": b"\x00\xff\r\n"},
        {b"XCLIENT": CLOSE},
    ],
)
def test_a_mail_server_that_makes_no_sense_is_unavailable(scripted):
    async def story():
        async with FakeUpstream() as upstream:
            for verb, answer in scripted.items():
                upstream.answers[verb].append(answer)
            pool = pooled(upstream)
            with pytest.raises(Unavailable):
                await pool.acquire(ALICE)
            assert pool.open_count == 0
            pool.release(await pool.acquire(ALICE))
            await pool.close()

    asyncio.run(story())


def test_a_silent_mail_server_is_waited_for_only_so_long():
    async def story():
        async with FakeUpstream() as upstream:
            upstream.answers[b"220"].append(asyncio.Event())
            pool = pooled(upstream, greeting_seconds=0.05)
            with pytest.raises(Unavailable, match="no answer"):
                await pool.acquire(ALICE)
            await pool.close()

    asyncio.run(story())


def test_a_cancelled_wait_leaves_no_connection_behind():
    async def story():
        async with FakeUpstream() as upstream:
            upstream.answers[b"XCLIENT"].append(asyncio.Event())
            pool = pooled(upstream)
            task = asyncio.create_task(pool.acquire(ALICE))
            await upstream.until(lambda: upstream.commands[-1:] and upstream.commands[-1].startswith(b"XCLIENT"))
            task.cancel()
            await asyncio.wait([task])
            assert pool.open_count == 0
            await pool.close()

    asyncio.run(story())


def test_a_closed_pool_lends_nothing():
    async def story():
        async with FakeUpstream() as upstream:
            pool = pooled(upstream)
            lent = await pool.acquire(ALICE)
            await pool.close()
            pool.release(lent)
            assert pool.open_count == 0
            with pytest.raises(PoolExhausted):
                await pool.acquire(ALICE)
            await lent.wait_closed()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("smtp://127.0.0.1:10025", Endpoint("127.0.0.1", 10025)),
        ("smtp://mail.example.org", Endpoint("mail.example.org", 25)),
        ("smtp://[2001:db8::1]:26", Endpoint("2001:db8::1", 26)),
        ("lmtp://127.0.0.1", Endpoint("127.0.0.1", 24, is_lmtp=True)),
        ("lmtp+unix:///run/dovecot/lmtp", Endpoint("", 0, path="/run/dovecot/lmtp", is_lmtp=True)),
    ],
)
def test_urls_name_the_mail_server(url, endpoint):
    assert parse_url(url) == endpoint


@pytest.mark.parametrize(
    "url", ["", "http://x", "smtp://", "smtp://h:99999", "smtp://h/path", "lmtp+unix://host/path", "lmtp+unix://"]
)
def test_other_urls_are_wrong(url):
    with pytest.raises(ValueError):
        parse_url(url)


def test_offers_are_read_whatever_they_look_like():
    from pennyred.gate.letterbox import Reply

    offered = parse_capabilities(
        Reply(250, (b"host", b"size", b"SIZE x", b"Size 5 6", b"", b"xclient addr NAME", b"\xff"))
    )
    assert offered.size_max == 5
    assert offered.xclient == {"ADDR", "NAME"}
    assert {"SIZE", "XCLIENT"} <= offered.keywords


def test_a_greeting_that_comes_before_anybody_has_asked_is_heard():
    class Transport:
        def __init__(self) -> None:
            self.written = b""

        def set_write_buffer_limits(self, high: int) -> None:
            assert high == 0

        def write(self, data: bytes) -> None:
            self.written += data

        def close(self) -> None:
            pass

    async def story():
        connection = Connection(mail_server("smtp://x"), Address("192.0.2.25", 25))
        connection.connection_made(Transport())
        connection.data_received(b"220 early ESMTP\r\n")
        opening = asyncio.create_task(connection.open(None))
        await eventually(lambda: not connection.is_clean)
        connection.data_received(b"250-host\r\n250 PIPELINING\r\n")
        await opening
        assert connection.capabilities.keywords == {"PIPELINING"}
        connection.close("done")

    asyncio.run(story())


def test_closing_waits_for_no_mail_server_that_does_not_answer_rset():
    async def story():
        async with FakeUpstream() as upstream:
            pool = pooled(upstream)
            connection = await pool.acquire(ALICE)
            upstream.answers[b"RSET"].append(asyncio.Event())
            pool.reset(connection)
            await upstream.until(lambda: b"RSET\r\n" in upstream.commands)
            async with asyncio.timeout(20):
                await pool.close()
            assert pool.open_count == 0

    asyncio.run(story())
