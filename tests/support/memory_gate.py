"""A gate with nothing but memory around it: no socket, no waiting, a clock that goes on when it is told to.

The session, the pool and the connections to the mail server are the gate's own; only the transports below them and the
loop's clock are not. So a session can be cut at every octet, and thousands of them take a second.
"""

import asyncio
import contextlib
import ssl
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from pennyred.gate.door.conversation import new_session
from pennyred.gate.door.wire import Wire
from tests.support.fake_upstream import CLOSE, HANG, KEYWORDS
from tests.support.smtp_gate import Gate

_STEPS_MAX = 100_000
"""Of the loop, for one thing that happened; beyond, something turns in a circle."""


class MemoryLoop(asyncio.SelectorEventLoop):
    """Runs until nothing is left to do; whoever asks for a connection gets what `reach` makes."""

    def __init__(self, reach: Callable[[asyncio.Protocol], "MemoryTransport"]) -> None:
        super().__init__()
        self._reach = reach
        self._now = 1000.0
        self._steps = 0
        self.troubles: list[dict[str, Any]] = []
        """What would have gone to the log of asyncio: exceptions that nobody took."""
        self.set_exception_handler(lambda _, trouble: self.troubles.append(trouble))

    def time(self) -> float:
        return self._now

    async def create_connection(self, protocol_factory, *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        return self._reach(protocol), protocol

    def settle(self) -> None:
        self._steps = 0
        self.call_soon(self._look)
        self.run_forever()

    def pass_seconds(self, seconds: float) -> None:
        self._now += seconds
        self.settle()

    def _look(self) -> None:
        self._steps += 1
        assert self._steps < _STEPS_MAX, "the gate turns in a circle"
        if self._ready or (self._scheduled and self._scheduled[0].when() <= self._now):
            self.call_soon(self._look)
        else:
            self.stop()


class MemoryTransport(asyncio.Transport):
    """One end of a connection; the other end is `hear` (bytes, or None at the end) and `feed`."""

    _start_tls_compatible = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Any,
        hear: Callable[[bytes | None], None],
        peer: tuple[str, int] = ("192.0.2.25", 25),
    ) -> None:
        super().__init__({"peername": peer})
        self._loop, self._protocol, self._hear = loop, protocol, hear
        self._inbox: deque[bytes | None] = deque()
        self._is_closing = self._is_lost = self._is_paused = False

    def feed(self, data: bytes | None) -> None:
        """What comes from the other end; None: it says no more."""
        self._inbox.append(data)
        self._loop.call_soon(self._deliver)

    def lose(self) -> None:
        """The other end is gone altogether."""
        self._is_closing = True
        self._loop.call_soon(self._lost, ConnectionResetError("reset by script"))

    def _deliver(self) -> None:
        while self._inbox and not self._is_paused and not self._is_closing:
            data = self._inbox.popleft()
            if isinstance(self._protocol, asyncio.BufferedProtocol) and data:
                _fill(self._protocol, data)
            elif data is not None:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()

    def _lost(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._protocol.connection_lost(error)
            self._hear(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self._loop.call_soon(self._hear, bytes(data))

    def close(self) -> None:
        self._is_closing = True
        self._loop.call_soon(self._lost, None)

    abort = close

    def _force_close(self, error: Exception | None) -> None:
        """What asyncio's TLS does to its transport when the handshake fails."""
        self._is_closing = True
        self._loop.call_soon(self._lost, error)

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol


def _fill(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """As a socket's transport does it for TLS."""
    while data:
        buffer = protocol.get_buffer(len(data))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


@dataclass
class MemoryUpstream:
    """A mail server by the book: a letter ends at CRLF.CRLF. `answers` are as `FakeUpstream`'s, less the events."""

    keywords: tuple[str, ...] = KEYWORDS
    answers: dict[bytes, deque[object]] = field(default_factory=lambda: defaultdict(deque))
    heard: list[bytearray] = field(default_factory=list)
    letters: list[tuple[bytes, list[bytes], bytes]] = field(default_factory=list)
    """MAIL line, RCPT lines, the letter with its dots doubled: of those it answered with 2xx."""
    decide: Callable[[bytes, bytes], object] = lambda verb, what: None
    """What to say to a verb and its line (DATA: of its MAIL; `b"."`: the letter), where `answers` has nothing; None: yes."""
    is_down: bool = False
    sessions: set["_UpstreamSession"] = field(default_factory=set)
    url = "smtp://192.0.2.25"

    @property
    def open(self) -> int:
        return len(self.sessions)

    def hang_up_on_all(self) -> None:
        for session in tuple(self.sessions):
            session.transport.feed(None)

    def reach(self, protocol: asyncio.Protocol) -> MemoryTransport:
        if self.is_down:
            raise ConnectionRefusedError
        session = _UpstreamSession(self)
        session.transport = MemoryTransport(asyncio.get_running_loop(), protocol, session.hear)
        protocol.connection_made(session.transport)
        session.say(b"220", b"220 upstream.example.org ESMTP\r\n")
        return session.transport


_USUAL = {b"XCLIENT": b"220 again\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 2.0.0 Bye\r\n"}


class _UpstreamSession:
    transport: MemoryTransport

    def __init__(self, upstream: MemoryUpstream) -> None:
        self.upstream = upstream
        self.input = b""
        self.is_in_letter = False
        self.mail, self.recipients = b"", list[bytes]()
        self.heard = bytearray()
        upstream.heard.append(self.heard)
        upstream.sessions.add(self)

    def say(self, verb: bytes, usual: bytes, what: bytes = b"") -> bytes:
        answers = self.upstream.answers[verb]
        answer = answers.popleft() if answers else self.upstream.decide(verb, what) or usual
        if answer is CLOSE:
            self.transport.feed(None)
        if answer is CLOSE or answer is HANG:
            return b""
        assert isinstance(answer, bytes)
        self.transport.feed(answer)
        return answer

    def hear(self, data: bytes | None) -> None:
        if data is None:
            self.upstream.sessions.discard(self)
            return
        self.heard += data
        self.input += data
        while True:
            # The CRLF of DATA itself may be the first of the end.
            text, end = (b"\r\n" + self.input, b"\r\n.\r\n") if self.is_in_letter else (self.input, b"\r\n")
            piece, found, rest = text.partition(end)
            if not found:
                return
            self.input = rest
            if self.is_in_letter:
                self.take(piece[2:] + b"\r\n" if piece else b"")
            else:
                self.obey(piece)

    def take(self, stuffed: bytes) -> None:
        self.is_in_letter = False
        if self.say(b".", b"250 2.0.0 Ok: queued\r\n", stuffed).startswith(b"2"):
            self.upstream.letters.append((self.mail, self.recipients, stuffed))
        self.mail, self.recipients = b"", []

    def obey(self, line: bytes) -> None:
        verb = line.partition(b" ")[0].upper()
        if verb == b"EHLO":
            lines = ["upstream.example.org", *self.upstream.keywords]
            usual = "".join(f"250-{text}\r\n" for text in lines[:-1]).encode() + f"250 {lines[-1]}\r\n".encode()
        else:
            usual = _USUAL.get(verb, b"250 2.0.0 Ok\r\n")
        if (verb == b"RCPT" and not self.mail) or (verb == b"DATA" and not self.recipients):
            said = self.say(verb, b"503 5.5.1 out of order\r\n")
        else:
            said = self.say(verb, usual, self.mail if verb == b"DATA" else line)
        if verb == b"RSET":
            self.mail, self.recipients = b"", []
        if verb == b"MAIL" and said.startswith(b"2"):
            self.mail, self.recipients = line, []
        elif verb == b"RCPT" and said.startswith(b"2"):
            self.recipients.append(line)
        elif verb == b"DATA" and said.startswith(b"3"):
            self.is_in_letter = True


class MemoryClient:
    """A client of the gate: `said` is all it heard so far, by TLS once that has begun."""

    def __init__(self, gate: "MemoryGate", session: Wire, address: str) -> None:
        self._loop = gate.loop
        self.said = bytearray()
        self.has_heard_end = False
        self._tls: ssl.SSLObject | None = None
        self.transport = MemoryTransport(gate.loop, session, self._hear, (address, 2525))
        gate.loop.call_soon(session.connection_made, self.transport)
        gate.loop.settle()

    def _hear(self, data: bytes | None) -> None:
        if data is None:
            self.has_heard_end = True
        elif self._tls is None:
            self.said += data
        else:
            self._from_gate.write(data)

    def send(self, data: bytes | None) -> bytes:
        """Say it (None: the end), wait until all is quiet, return what the gate has said to it."""
        before = len(self.said)
        if self._tls is not None and data:
            self._tls.write(data)
            data = self._to_gate.read()
        self.transport.feed(data)
        self._loop.settle()
        self._decrypt()
        return bytes(self.said[before:])

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands; the gate has said that it is ready."""
        self._from_gate, self._to_gate = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_gate, self._to_gate, server_hostname="localhost")
        for _ in range(10):
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                assert not self.has_heard_end
                self._shake()
            else:
                self._shake()
                return
        raise AssertionError("no handshake")

    def _shake(self) -> None:
        if octets := self._to_gate.read():
            self.transport.feed(octets)
        self._loop.settle()

    def _decrypt(self) -> None:
        while self._tls is not None:
            try:
                piece = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self._hang_up()
                return
            self.said += piece

    def _hang_up(self) -> None:
        """The gate has said goodbye by TLS: say it too, so that both may close."""
        self.has_heard_end = True
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()  # type: ignore[union-attr]
        self._tls = None
        self._shake()


@dataclass
class MemoryGate(Gate):
    """Use as a context manager; at the end everything must have been given back, and nothing may have gone wrong."""

    upstream: Any = field(default_factory=MemoryUpstream)

    def __enter__(self) -> Self:
        self.loop = MemoryLoop(self.upstream.reach)
        self.loop.run_until_complete(self._prepare())
        return self

    async def _prepare(self) -> None:
        self.set_up()

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.loop.run_until_complete(self.server.stop(0.0))
            self.loop.settle()
            if kind is None:
                assert (self.server.sessions, self.pool.open_count, self.upstream.open) == (0, 0, 0)
                assert self.server._house.memory.used == 0
                assert self.loop.troubles == []
        finally:
            self.loop.close()

    def client(self, hello: bytes = b"EHLO client.example.com\r\n", address: str = "198.51.100.7") -> MemoryClient:
        """A client that has said hello, if it is to."""
        client = MemoryClient(self, self.loop.run_until_complete(self._session()), address)
        assert client.said.startswith(b"220 ")
        if hello:
            assert client.send(hello).startswith(b"250")
        return client

    def door(self, other: asyncio.Protocol) -> MemoryTransport:
        """The gate as its own mail server: one more session, whose client `other` is. Returns that client's transport."""
        session = new_session(self.server._house).wire
        theirs = MemoryTransport(self.loop, session, lambda data: ours.feed(data), ("192.0.2.25", 25))  # noqa: PLW0108
        ours = MemoryTransport(self.loop, other, theirs.feed)
        other.connection_made(ours)
        session.connection_made(theirs)
        return ours

    async def _session(self) -> Wire:
        return new_session(self.server._house).wire
