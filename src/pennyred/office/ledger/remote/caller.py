"""One connection to the ledger's process, as that process sees it: asks come in, answers go out, both are bounded."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from pennyred.office.ledger.remote.asks import VERSION, Ask, Hello, Status
from pennyred.office.ledger.remote.bookkeeping import read_ask
from pennyred.office.ledger.remote.frames import FrameReader, frame_of
from pennyred.postage.errors import Malformed
from pennyred.postage.reasons import Reason

ASKS_PER_CALLER_MAX = 10_000
"""Asks of one connection that are not answered yet; no more are read before half of them are."""
UNREAD_SECONDS_MAX = 30.0
"""How long a caller may leave its answers unread; then it is cut off, as they take memory."""
_OTHER_VERSION = "the service runs another version of this program: restart it"


class Caller(asyncio.Protocol):
    """A connection. What it asks stands in `asks` until the server takes it."""

    def __init__(self, life: int, on_ask: Callable[["Caller"], object], on_end: Callable[["Caller"], object]) -> None:
        """`life` tells this process from those before it; `on_ask` is called where the first ask waits."""
        self.asks: deque[Ask] = deque()
        self.worker: int | None = None
        """Which worker it is, -1 for a command; None before its hello."""
        self._life = life
        self._on_ask = on_ask
        self._on_end = on_end
        self._frames = FrameReader()
        self._unanswered = 0
        self._answers: list[bytes] = []
        self._is_read = True
        self._can_write = True
        self._cut: asyncio.TimerHandle | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen to it."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's name
        """End: what was asked is done all the same, what was not begun is not."""
        self.asks.clear()
        if self._cut is not None:
            self._cut.cancel()
        self._on_end(self)

    def data_received(self, data: bytes) -> None:
        """Read asks. Whoever does not follow the rules is cut off; nobody but this program should be here."""
        is_first = not self.asks
        try:
            for body in self._frames.feed(data):
                self._hear(read_ask(body))
        except Malformed:
            self._transport.abort()
            return
        if is_first and self.asks:
            self._on_ask(self)
        self._read_or_wait()

    def pause_writing(self) -> None:
        """The other side reads slowly: nothing more is read from it before it has read what is there."""
        self._can_write = False
        self._read_or_wait()
        self._cut = self._loop.call_later(UNREAD_SECONDS_MAX, self._transport.abort)

    def resume_writing(self) -> None:
        """The other side has read."""
        self._can_write = True
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        self._read_or_wait()

    def answer(self, frame: bytes) -> None:
        """Send an answer, together with all others of this turn."""
        self._unanswered -= 1
        if not self._answers:
            self._loop.call_soon(self._flush)
        self._answers.append(frame)

    def hang_up(self) -> None:
        """Close, once what was answered is sent."""
        self._flush()
        self._transport.close()

    def _hear(self, ask: Ask) -> None:
        if isinstance(ask, Hello) == (self.worker is not None):
            raise Malformed("no hello at the beginning, or one later")
        self._unanswered += 1
        if not isinstance(ask, Hello):
            self.asks.append(ask)
        elif ask.version == VERSION:
            self.worker = ask.worker
            self.answer(frame_of((ask.id, Status.VALUE, self._life)))
        else:
            self.worker = -1
            self.answer(frame_of((ask.id, Status.UNAVAILABLE, (Reason.LEDGER_UNAVAILABLE, _OTHER_VERSION, True))))
            self._loop.call_soon(self.hang_up)

    def _read_or_wait(self) -> None:
        """Read on, or stop reading: it depends on how much waits in either direction."""
        limit = ASKS_PER_CALLER_MAX if self._is_read else ASKS_PER_CALLER_MAX // 2
        is_wanted = self._can_write and self._unanswered < limit
        if is_wanted == self._is_read or self._transport.is_closing():
            return
        self._is_read = is_wanted
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _flush(self) -> None:
        if self._answers and not self._transport.is_closing():
            self._transport.write(b"".join(self._answers))
        self._answers.clear()
        self._read_or_wait()


def adopt(loop: asyncio.AbstractEventLoop, connected: socket.socket, caller: Caller) -> "asyncio.Task[Any]":
    """Give the connection to the caller."""
    return loop.create_task(loop.connect_accepted_socket(lambda: caller, connected))
