"""A gate's door on a free port with a desk by script behind it, and a client that speaks raw SMTP to it."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from pennyred.config import GateSettings
from pennyred.gate.door.server import GateServer, listening_socket
from pennyred.gate.letterbox import Answer, Delivered, Delivery, Envelope, Letter, Relay
from pennyred.gate.smtp.spool import SpoolLimits
from pennyred.gate.upstream.choice import Upstreams
from pennyred.gate.upstream.deadlines import Deadlines
from pennyred.gate.upstream.endpoint import IdentityMode, UpstreamOptions
from pennyred.programs.gate_parts import gate_options, letter_memory, upstream_options
from tests.support.fake_upstream import FakeUpstream

SECONDS_MAX = 20
"""No wait in these tests takes longer unless it is broken."""


def mail_server(url: str, **changes: Any) -> UpstreamOptions:
    """A mail server's options as the settings are by default, but for these; each deadline goes by its own name."""
    [usual] = upstream_options(GateSettings(upstream=(url,), hostname="gate.example.org"))
    deadlines = {one.name: changes.pop(one.name) for one in fields(Deadlines) if one.name in changes}
    return replace(usual, deadlines=replace(usual.deadlines, **deadlines), **changes)


class Notes:
    """Stands in for the log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append(("warning", event, facts))

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append(("info", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        self.lines.append(("error", event, facts))


@dataclass
class FakeDesk:
    """Passes every letter on, unless told otherwise; remembers what it saw."""

    fields: bytes = b""
    recipients: tuple[int, ...] | None = None
    answer: Answer | Exception | None = None
    """Instead of delivering."""
    dot_within_seconds: float = 1000.0
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event | None = None
    """Waits for it before it delivers."""
    envelopes: list[Envelope] = field(default_factory=list)
    letters: list[bytes] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    is_free: Callable[[bytes], bool | None] | None = None
    """Which recipients need no stamp, as far as that is known; None: it makes no difference."""

    async def free_recipients(
        self, sender: bytes, source_ip: str, mailboxes: Sequence[bytes]
    ) -> list[bool | None] | None:
        return None if self.is_free is None else [self.is_free(mailbox) for mailbox in mailboxes]

    async def take(self, letter: Letter, envelope: Envelope, delivery: Delivery) -> Answer:
        self.envelopes.append(envelope)
        self.letters.append(letter.header.raw + b"".join(letter.body()))  # type: ignore[attr-defined]
        self.entered.set()
        try:
            if self.may_go is not None:
                await self.may_go.wait()
            if isinstance(self.answer, Exception):
                raise self.answer
            if self.answer is not None:
                return self.answer
            which = range(len(envelope.recipients)) if self.recipients is None else self.recipients
            deadline = asyncio.get_running_loop().time() + self.dot_within_seconds
            delivered = await delivery.send(which, self.fields, letter.header.raw, dot_before=deadline)
            self.delivered.append(delivered)
            return Relay(delivered)
        finally:
            self.done.set()


async def eventually(condition) -> None:
    """Give way to the others until something has come true that nobody announces."""
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


class RawClient:
    """Says bytes, hears replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> bytes:
        """The next reply, all its lines; empty at the end of the connection."""
        lines = b""
        async with asyncio.timeout(SECONDS_MAX):
            while line := await self.reader.readline():
                lines += line
                if line[3:4] != b"-":
                    break
        return lines

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def say(self, line: bytes) -> bytes:
        self.send(line + b"\r\n")
        return await self.reply()

    async def converse(self, *lines: bytes) -> list[bytes]:
        return [await self.say(line) for line in lines]

    async def mail(
        self, letter: bytes = b"Subject: x\r\n\r\nhello\r\n", to: tuple[bytes, ...] = (b"bob@example.org",)
    ) -> bytes:
        """A whole transaction; the reply to the letter (`letter` is put on the wire as it is)."""
        await self.envelope(to)
        assert (await self.say(b"DATA")).startswith(b"354")
        self.send(letter)
        return await self.say(b".")

    async def envelope(self, to: tuple[bytes, ...] = (b"bob@example.org",)) -> None:
        assert (await self.say(b"MAIL FROM:<alice@example.com>")).startswith(b"250")
        for recipient in to:
            assert (await self.say(b"RCPT TO:<%s>" % recipient)).startswith(b"250")

    async def rest(self) -> bytes:
        """All that comes until the end of the connection."""
        async with asyncio.timeout(SECONDS_MAX):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        self.writer.transport.abort()


@dataclass
class Gate:
    """Use as an asynchronous context manager; at the end everything must have been given back."""

    upstream: FakeUpstream
    desk: FakeDesk = field(default_factory=FakeDesk)
    tls: ssl.SSLContext | None = None
    identity: IdentityMode = IdentityMode.XCLIENT
    options: dict[str, Any] = field(default_factory=dict)
    spool: SpoolLimits = field(default_factory=lambda: SpoolLimits(letter_bytes_max=50_000_000))
    upstream_options: dict[str, Any] = field(default_factory=dict)
    name_lookup: Any = None
    tally: Any = None
    """Counts shared with others; None: this gate's own."""
    others: tuple[FakeUpstream, ...] = ()
    """More mail servers, after the first in preference."""
    is_spread: bool = False
    clock_ahead: float = 0.0
    """Seconds that have passed for those who watch the mail servers' health: for them only what a test says passes."""
    notes: Notes = field(default_factory=Notes)

    def set_up(self) -> None:
        """Pool and server, not yet listening. Needs a running loop."""
        options = [
            mail_server(one.url, **{"identity": self.identity, **self.upstream_options})
            for one in (self.upstream, *self.others)
        ]
        begun = asyncio.get_running_loop().time()
        self.pool = Upstreams(
            options,
            self.notes,
            clock=lambda: begun + self.clock_ahead,
            random=lambda: 0.5,
            is_spread=self.is_spread,
        )
        settings = GateSettings(hostname="gate.example.org", issuers=("post.example.org",))
        memory = letter_memory(settings, self.notes)
        asked = replace(gate_options(settings), **{"spool": self.spool, "added_octets": 0, **self.options})
        self.server = GateServer(
            asked,
            self.desk,
            self.pool,
            self.tls,
            name_lookup=self.name_lookup,
            log=self.notes,
            tally=self.tally,
            memory=memory,
        )

    async def __aenter__(self) -> Self:
        self.set_up()
        listener = listening_socket("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self._clients: list[RawClient] = []
        await self.server.start([listener])
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        async with asyncio.timeout(SECONDS_MAX):
            await self.server.stop(0.0 if self.desk.may_go is None else 5.0)
        assert self.pool.open_count == 0
        assert self.server._house.memory.used == 0

    async def connect(self, hello: bytes = b"EHLO client.example.com", address: str = "127.0.0.1") -> RawClient:
        """A client, at some address of loopback, that has said hello if it is to."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0)))
        self._clients.append(client)
        if hello:
            assert (await client.reply()).startswith(b"220 ")
            assert (await client.say(hello)).startswith(b"250")
        return client
