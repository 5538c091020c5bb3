"""TLS with a client: cut anywhere, held up, broken off, and full of nonsense."""

import asyncio
import ssl
import tracemalloc

import pytest
import trustme
from tests.support.fake_upstream import KEYWORDS, FakeUpstream
from tests.support.smtp_gate import Gate, eventually

LETTER = b"Subject: x\r\n\r\n" + b"hello\r\n" * 20_000
_CA = trustme.CA()
SERVER = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_CA.issue_cert("localhost").configure_cert(SERVER)
CLIENT = ssl.create_default_context()
_CA.configure_trust(CLIENT)


class TlsClient:
    """A client whose records the test cuts as it likes."""

    def __init__(self, raw) -> None:
        self.raw = raw
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = CLIENT.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.heard = b""

    async def shake_hands(self, piece: int = 1 << 20) -> None:
        self.raw.send(b"STARTTLS\r\n")
        assert (await self.raw.reply()).startswith(b"220")
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.send_records(piece)
                self.incoming.write(await self.raw.reader.read(1 << 16))
            else:
                await self.send_records(piece)
                return

    async def send_records(self, piece: int = 1 << 20) -> None:
        records = self.outgoing.read()
        for start in range(0, len(records), piece):
            self.raw.send(records[start : start + piece])
            await self.raw.writer.drain()
            if piece < 100:
                await asyncio.sleep(0)

    async def say(self, text: bytes, piece: int = 1 << 20) -> None:
        self.tls.write(text)
        await self.send_records(piece)

    async def reply(self) -> bytes:
        while b"\n" not in self.heard:
            try:
                self.heard += self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                if not (data := await self.raw.reader.read(1 << 16)):
                    return b""
                self.incoming.write(data)
        line, _, self.heard = self.heard.partition(b"\n")
        return line + b"\n"


def with_client(story, keywords=KEYWORDS, **options):
    async def whole():
        async with FakeUpstream(keywords) as upstream, Gate(upstream, tls=SERVER, options=options) as gate:
            client = TlsClient(await gate.connect())
            await story(gate, client)
        return gate, upstream

    return asyncio.run(whole())


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_a_letter_in_records_cut_anywhere_arrives_whole(piece):
    async def story(_gate, client):
        await client.shake_hands(piece)
        letter = LETTER if piece > 100 else LETTER[:301]
        await client.say(b"HELO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", piece)
        assert [(await client.reply())[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        await client.say(letter + b".\r\n", piece)
        assert (await client.reply()).startswith(b"250")

    _, upstream = with_client(story)
    assert upstream.letters[0].letter == (LETTER if piece > 100 else LETTER[:301])


def test_requiretls_is_offered_and_taken_where_the_client_has_tls_and_the_mail_server_knows_it():
    async def story(_gate, client):
        assert b"REQUIRETLS" not in await client.raw.say(b"EHLO c.example")
        assert (await client.raw.say(b"MAIL FROM:<a@x.example> REQUIRETLS")).startswith(b"530 5.7.0 ")
        await client.shake_hands()
        await client.say(b"EHLO c.example\r\n")
        offered = []
        while not offered or offered[-1][3:4] == b"-":
            offered.append((await client.reply()).strip())
        assert b"REQUIRETLS" in {line[4:] for line in offered}
        await client.say(b"MAIL FROM:<a@x.example> requiretls\r\n")
        assert (await client.reply()).startswith(b"250")

    _, upstream = with_client(story, (*KEYWORDS, "REQUIRETLS"))
    assert b"MAIL FROM:<a@x.example> requiretls\r\n" in upstream.heard[-1]


@pytest.mark.parametrize("when", ["in the handshake", "after it"])
@pytest.mark.parametrize(
    "nonsense", [b"\0" * 500, b"NOOP\r\nNOOP\r\nNOOP\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 70_000]
)
def test_nonsense_ends_the_session_and_is_no_command(when, nonsense):
    async def story(gate, client):
        if when == "after it":
            await client.shake_hands()
        else:
            client.raw.send(b"STARTTLS\r\n")
            await client.raw.reply()
        client.raw.send(nonsense)
        await client.raw.rest()
        await eventually(lambda: not gate.server.sessions)

    gate, _ = with_client(story)
    assert gate.desk.letters == []


def test_a_handshake_that_is_never_finished_is_given_up():
    async def story(gate, client):
        client.raw.send(b"STARTTLS\r\n")
        await client.raw.reply()
        client.raw.send(b"\x16\x03\x01")
        assert await client.raw.rest() == b""
        await eventually(lambda: not gate.server.sessions)

    with_client(story, read_timeout_seconds=0.1)


@pytest.mark.parametrize("state", ["handshake", "idle", "letter"])
@pytest.mark.parametrize("way", ["reset", "half-close", "close_notify"])
def test_a_client_that_leaves_leaves_nothing_behind(state, way):
    async def story(gate, client):
        if state == "handshake":
            client.raw.send(b"STARTTLS\r\n")
            await client.raw.reply()
        else:
            await client.shake_hands()
        if state == "letter":
            await client.say(b"HELO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhalf of it")
            assert [(await client.reply())[:3] for _ in range(4)][-1] == b"354"
        if way == "reset":
            client.raw.abort()
        elif way == "half-close" or state == "handshake":
            client.raw.writer.write_eof()
        else:
            with pytest.raises(ssl.SSLError):
                client.tls.unwrap()
            await client.send_records()
        await eventually(lambda: not gate.server.sessions)
        assert gate.desk.letters == []

    with_client(story)


def test_an_idle_connection_keeps_no_buffers_after_a_letter():
    """The event loop's own TLS keeps 256 KiB for each. What OpenSSL holds is in the benchmark (tests/bench/memory.py)."""

    async def story(gate, client):
        await client.shake_hands()
        await client.say(b"NOOP\r\n")
        await client.reply()
        [session] = gate.server._house.sessions
        tracemalloc.start()
        await client.say(
            b"HELO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + LETTER + b".\r\n"
        )
        for _ in range(5):
            await client.reply()
        transport = session.wire.transport
        assert (transport._incoming.pending, transport._outgoing.pending) == (0, 0)
        ours = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(inclusive=True, filename_pattern="*/gate/door/tls.py")]
        )
        tracemalloc.stop()
        assert sum(trace.size for trace in ours.traces) < 20_000

    with_client(story)


def test_stopping_waits_for_nobody_who_has_not_shaken_hands():
    async def story(gate, client):
        client.raw.send(b"STARTTLS\r\n")
        await client.raw.reply()
        await eventually(lambda: any(session.wire.is_shaking_hands for session in gate.server._house.sessions))
        async with asyncio.timeout(20):
            await gate.server.stop(60)
        await client.raw.rest()

    with_client(story)


def test_a_client_that_fails_the_handshake_and_takes_no_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr("pennyred.gate.door.wire._LINGER_SECONDS", 0.05)

    async def story(gate, client):
        [session] = gate.server._house.sessions
        client.raw.send(b"STARTTLS\r\n")
        await client.raw.reply()
        # As if its window were closed for good: what is written stays here.
        monkeypatch.setattr("pennyred.gate.door.tls.TlsTransport._give_up", give_up_without_closing)
        client.raw.send(b"nonsense" * 10)
        await eventually(lambda: session.wire.transport is None)

    def give_up_without_closing(self, error):
        self._shaken.set_exception(error)

    with_client(story)


def test_starttls_by_a_client_that_has_left_meanwhile_is_no_mistake():
    async def story(gate, client):
        client.raw.send(b"EHLO c.example\r\n" + b"NOOP\r\n" * 50 + b"STARTTLS\r\n")
        client.raw.abort()
        await eventually(lambda: not gate.server.sessions)
        assert gate.notes.lines == []

    with_client(story)


def failures(gate) -> list[dict]:
    return [facts for _, event, facts in gate.notes.lines if event == "smtp.tls_failed"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"EHLO again.example\r\n", "WRONG_VERSION_NUMBER"),
        (b"GET / HTTP/1.0\r\n\r\n", "HTTP_REQUEST"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "UNEXPECTED_MESSAGE"),
        (b"\x16\x03\x01\x02\x00\x01", "the client hung up"),
    ],
)
def test_a_handshake_that_fails_leaves_a_line_with_the_reason(said, reason):
    async def story(gate, client):
        client.raw.send(b"STARTTLS\r\n")
        await client.raw.reply()
        client.raw.send(said)
        if reason == "the client hung up":
            client.raw.writer.write_eof()
        await client.raw.rest()
        await eventually(lambda: not gate.server.sessions)
        [line] = failures(gate)
        assert (line["reason"], line["client"], line["times"]) == (reason, "127.0.0.1", 1)

    with_client(story)


def test_one_that_takes_too_long_does_too():
    async def story(gate, client):
        client.raw.send(b"STARTTLS\r\n")
        await client.raw.rest()
        await eventually(lambda: not gate.server.sessions)
        assert [line["reason"] for line in failures(gate)] == ["no handshake in time"]

    with_client(story, read_timeout_seconds=0.2)


def test_what_is_no_tls_after_the_handshake_does_too():
    async def story(gate, client):
        await client.shake_hands()
        client.raw.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await client.raw.rest()
        await eventually(lambda: not gate.server.sessions)
        [line] = failures(gate)
        assert line["reason"] == "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"

    with_client(story)


def test_each_reason_has_one_line_a_minute_however_often_it_comes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pennyred.gate.smtp.seldom.time.monotonic", lambda: now[0])

    async def story(gate, client):
        async def fail(said: bytes) -> None:
            one = await gate.connect()
            one.send(b"STARTTLS\r\n")
            await one.reply()
            one.send(said)
            await one.rest()

        for _ in range(5):
            await fail(b"nonsense" * 10)
        await fail(b"GET / HTTP/1.0\r\n\r\n")
        assert [(line["reason"], line["times"]) for line in failures(gate)] == [
            ("WRONG_VERSION_NUMBER", 1),
            ("HTTP_REQUEST", 1),
        ]
        now[0] += 61
        await fail(b"nonsense" * 10)
        assert failures(gate)[-1]["times"] == 5

    with_client(story)


def test_a_handshake_that_goes_well_leaves_none():
    async def story(gate, client):
        await client.shake_hands()
        await client.say(b"QUIT\r\n")
        await client.reply()
        await client.raw.rest()
        assert gate.notes.lines == []

    with_client(story)
