"""The front door: how many, how long, TLS, and closing in good order."""

import asyncio
import smtplib
import socket
import ssl
import threading
from dataclasses import replace

import pytest
import trustme
from tests.support.fake_upstream import FakeUpstream
from tests.support.smtp_gate import FakeDesk, Gate, eventually

from pennyred.gate.door.server import listening_socket, require_free

LETTER = b"Subject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_no_more_connections_than_allowed():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"connections_max": 2}) as gate:
            first, second, third = await gate.connect(), await gate.connect(), await gate.connect(b"")
            assert await third.rest() == b"421 4.3.2 Too busy, try again later\r\n"
            await first.say(b"QUIT")
            await first.rest()
            await eventually(lambda: not (gate.server.sessions > 1))
            await gate.connect()
            assert (await second.mail()).startswith(b"250")

    asyncio.run(story())


def test_stopping_finishes_the_letters_in_hand_and_lets_nobody_else_begin():
    async def story():
        desk = FakeDesk(may_go=asyncio.Event())
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            idle, busy = await gate.connect(), await gate.connect()
            await busy.envelope()
            await busy.say(b"DATA")
            sending = await gate.connect()
            await sending.envelope()
            await sending.say(b"DATA")
            busy.send(LETTER + b".\r\nMAIL FROM:<again@example.com>\r\n")
            await desk.entered.wait()
            stopping = asyncio.create_task(gate.server.stop(10))
            assert await idle.rest() == b"421 4.3.2 Shutting down, try again later\r\n"
            with pytest.raises(OSError):
                await gate.connect(b"")
            desk.may_go.set()
            sending.send(LETTER + b".\r\n")
            for client in (busy, sending):
                said = await client.rest()
                assert said.startswith(b"250 2.0.0 Ok: queued as ")
                assert said.endswith(b"421 4.3.2 Shutting down, try again later\r\n")
            await stopping
            assert len(upstream.letters) == 2

    asyncio.run(story())


def test_what_is_not_done_in_time_is_broken_off():
    async def story():
        desk = FakeDesk(may_go=asyncio.Event())
        async with FakeUpstream() as upstream, Gate(upstream, desk) as gate:
            stuck, sending = await gate.connect(), await gate.connect()
            await sending.envelope()
            await sending.say(b"DATA")
            await stuck.envelope()
            await stuck.say(b"DATA")
            stuck.send(LETTER + b".\r\n")
            await desk.entered.wait()
            await gate.server.stop(0.05)
            assert await stuck.rest() == b""
            assert await sending.rest() == b""
            assert not upstream.letters
            assert gate.pool.open_count == 0

    asyncio.run(story())


def test_a_silent_client_is_told_and_hung_up_on():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, options={"read_timeout_seconds": 0.05}) as gate:
            client = await gate.connect(b"")
            said = await client.rest()
            assert said.startswith(b"220 ")
            assert said.endswith(b"421 4.4.2 Too slow, closing\r\n")

    asyncio.run(story())


def test_a_client_that_does_not_listen_does_not_stay():
    async def story():
        options = {"read_timeout_seconds": 0.3, "idle_commands_max": 10**9}
        async with FakeUpstream() as upstream, Gate(upstream, options=options) as gate:
            client = await gate.connect()
            client.reader._transport.pause_reading()
            for _ in range(200):
                client.send(b"HELP\r\n" * 10_000)
            await eventually(lambda: not (gate.server.sessions))
            client.abort()

    asyncio.run(story())


def test_starttls_begins_the_session_anew(server_tls, client_tls):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, tls=server_tls) as gate:
            client = await gate.connect(b"")
            await client.reply()
            assert b"STARTTLS" in await client.say(b"EHLO plain.example")
            await client.envelope()
            assert (await client.say(b"STARTTLS now")).startswith(b"501")
            assert (await client.say(b"STARTTLS")).startswith(b"220")
            await client.writer.start_tls(client_tls, server_hostname="127.0.0.1")
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"503")
            assert b"STARTTLS" not in await client.say(b"EHLO tls.example")
            assert (await client.say(b"STARTTLS")).startswith(b"503")
            letter = b"Subject: x\r\n\r\n" + b"y" * 3_000_000 + b"\r\n"
            assert (await client.mail(letter)).startswith(b"250")
            assert upstream.letters[0].letter == letter
            assert gate.desk.envelopes[0].helo == "tls.example"

    asyncio.run(story())


def test_commands_sent_along_with_starttls_in_plain_text_are_thrown_away(server_tls, client_tls):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, tls=server_tls) as gate:
            client = await gate.connect()
            client.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<injected@example.com>\r\n")
            assert (await client.reply()).startswith(b"220")
            await client.writer.start_tls(client_tls, server_hostname="127.0.0.1")
            assert (await client.say(b"NOOP")).startswith(b"250")
            assert (await client.say(b"MAIL FROM:<a@example.com>")).startswith(b"503")
            assert not [line for line in upstream.commands if b"injected" in line]

    asyncio.run(story())


def test_a_failed_handshake_ends_the_session_quietly(server_tls):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, tls=server_tls) as gate:
            client = await gate.connect()
            assert (await client.say(b"STARTTLS")).startswith(b"220")
            client.send(b"this is no handshake\r\n" * 10)
            await client.rest()
            await eventually(lambda: not (gate.server.sessions))
            assert [line[1] for line in gate.notes.lines] == ["smtp.tls_failed"]

    asyncio.run(story())


def test_a_client_that_leaves_tls_in_the_commit_cancels_nothing(server_tls, client_tls):
    async def story():
        desk = FakeDesk(may_go=asyncio.Event())
        async with FakeUpstream() as upstream, Gate(upstream, desk, tls=server_tls) as gate:
            client = await gate.connect()
            await client.say(b"STARTTLS")
            await client.writer.start_tls(client_tls, server_hostname="127.0.0.1")
            await client.say(b"EHLO tls.example")
            await client.envelope()
            await client.say(b"DATA")
            client.send(LETTER + b".\r\n")
            await desk.entered.wait()
            await client.close()
            desk.may_go.set()
            await upstream.until(lambda: upstream.letters)

    asyncio.run(story())


def test_a_new_certificate_serves_from_the_next_session_on(server_tls):
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert (await client.say(b"STARTTLS")).startswith(b"454")
            gate.server.replace_tls(server_tls)
            assert (await client.say(b"STARTTLS")).startswith(b"220")
            await client.close()

    asyncio.run(story())


def test_smtplib_from_many_threads_delivers_everything_once():
    def send(port: int, number: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            for index in range(5):
                letter = f"Subject: {number}-{index}\r\n\r\n.\r\n".encode()
                client.sendmail("a@example.com", ["b@example.org", "c@example.org"], letter)

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, upstream_options={"connections_max": 8}) as gate:
            threads = [asyncio.to_thread(send, gate.port, number) for number in range(8)]
            await asyncio.gather(*threads)
            subjects = [taken.letter.split(b"\r\n")[0] for taken in upstream.letters]
            assert sorted(subjects) == sorted(f"Subject: {n}-{i}".encode() for n in range(8) for i in range(5))
            assert len(upstream.heard) <= 8
        assert threading.active_count() < 100

    asyncio.run(story())


def test_it_runs_on_uvloop_too(server_tls, client_tls):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def story():
        async with FakeUpstream() as upstream, Gate(upstream, tls=server_tls) as gate:
            client = await gate.connect()
            assert (await client.mail()).startswith(b"250")
            await client.envelope()
            await client.say(b"DATA")
            client.send(LETTER + b".\r\n")
            client.writer.write_eof()
            assert (await client.rest()).startswith(b"250")
            other = await gate.connect()
            await other.say(b"STARTTLS")
            await other.writer.start_tls(client_tls, server_hostname="127.0.0.1")
            await other.say(b"EHLO tls.example")
            assert (await other.mail(b"a: b\r\n\r\n" + b"x" * 2_000_000 + b"\r\n")).startswith(b"250")
            assert len(upstream.letters) == 3

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


def test_several_workers_listen_on_one_port():
    first = listening_socket("127.0.0.1", 0, is_shared=True)
    second = listening_socket("127.0.0.1", first.getsockname()[1], is_shared=True)
    with pytest.raises(OSError):
        listening_socket("127.0.0.1", first.getsockname()[1])
    with pytest.raises(OSError, match=f"127.0.0.1:{first.getsockname()[1]}: somebody else listens there already"):
        require_free([("127.0.0.1", 0), first.getsockname()])
    first.close()
    second.close()
    require_free([("127.0.0.1", 0)])
    if socket.has_ipv6:
        listening_socket("::1", 0).close()


def test_new_options_count_whole_and_at_once_also_for_those_who_are_connected():
    async def story():
        async with FakeUpstream() as upstream, Gate(upstream) as gate:
            client = await gate.connect()
            assert b"XPOSTAGE 1 " in await client.say(b"EHLO client.example.com")
            new = replace(gate.server._house.options, price=3, recipients_max=1)
            gate.server.replace_rules(new)
            assert b"XPOSTAGE 3 " in await client.say(b"EHLO client.example.com")
            await client.envelope((b"ann@example.org",))
            assert (await client.say(b"RCPT TO:<bob@example.org>")).startswith(b"452 ")
            assert gate.server._house.options is new

    asyncio.run(story())
