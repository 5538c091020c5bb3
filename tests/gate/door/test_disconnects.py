"""A client that leaves, at every state: nothing is left behind, and the mail server's connection is fit for the next."""

import asyncio
import ssl

import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import Gate, eventually

STATES = {
    "before hello": [],
    "after hello": [b"EHLO c.example\r\n"],
    "in a command": [b"EHLO c.example\r\n", b"MAIL FR"],
    "after MAIL": [b"EHLO c.example\r\n", b"MAIL FROM:<a@example.com>\r\n"],
    "after RCPT": [b"EHLO c.example\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.org>\r\n"],
    "after DATA": [b"EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"],
    "in the letter": [
        b"EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhel"
    ],
    "before the dot": [
        b"EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhel\r\n.\r"
    ],
}


@pytest.mark.parametrize("way", ["close", "half-close", "reset"])
@pytest.mark.parametrize("state", STATES)
def test_leaving_gives_everything_back(state, way):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"")
            await client.reply()
            for data in STATES[state]:
                client.send(data)
                if data.endswith(b"\r\n"):
                    await client.reply()
            if way == "close":
                await client.close()
            elif way == "half-close":
                client.writer.write_eof()
            else:
                client.abort()
            if way == "half-close":
                await client.rest()
            other = await gate.connect()
            assert (await other.mail()).startswith(b"250")
            assert not [envelope for envelope in gate.desk.envelopes if envelope.helo == "c.example"]
            assert len(upstream.letters) == 1
            await other.say(b"QUIT")
            await eventually(lambda: not (gate.server.sessions))
            assert gate.pool.idle_count <= gate.pool.open_count <= 2

    asyncio.run(story())


def test_a_client_that_has_closed_its_half_before_a_handshake_is_not_waited_for():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, tls=context) as gate:
            client = await gate.connect(b"")
            client.send(b"EHLO c.example\r\nSTARTTLS\r\n")
            client.writer.write_eof()
            await client.rest()
            await eventually(lambda: not gate.server.sessions)

    asyncio.run(story())


@pytest.mark.parametrize("last", [b"", b"QUIT\r\n"])
def test_a_client_that_closes_its_half_after_the_dot_hears_what_became_of_its_letter(last):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect(b"")
            client.send(STATES["after DATA"][0] + b"Subject: x\r\n\r\nhello\r\n.\r\n" + last)
            client.writer.write_eof()
            heard = await client.rest()
            assert b"\r\n250 2.0.0 Ok: queued as 0\r\n" in heard
            assert heard.endswith(b"221 2.0.0 Bye\r\n") == bool(last)
            assert len(upstream.letters) == 1

    asyncio.run(story())
