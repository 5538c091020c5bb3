"""The connection to the ledger's process, as those see it that ask: where it is lost, all is asked again."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.asks import VERSION, Ask, Back, Hello, Hold, Status
from pennyred.office.ledger.remote.frames import FrameReader, frame_of
from pennyred.postage.errors import Malformed, OutcomeUnknown, PennyRedError, Unavailable
from pennyred.postage.reasons import Reason

ASKS_WAITING_MAX = 10_000
"""How many asks may wait; more get `Unavailable` at once, as they would wait for seconds, and memory is limited."""
WAITING_BYTES_MAX = 64 * 2**20
PATIENCE_SECONDS = 1.5
"""How long asks wait for a ledger process that is being started anew; then all get `Unavailable` until it is there."""
HELLO_SECONDS = 5.0
"""How long a process may take to answer the first word on a connection; then another connection is tried."""
_TICK_SECONDS = 0.5
_PAUSE_SECONDS = 0.01
_PAUSE_SECONDS_MAX = 0.25

_decoder = msgspec.msgpack.Decoder(tuple[int, int, msgspec.Raw])
_trouble = msgspec.msgpack.Decoder(tuple[Reason, str, bool])
_text = msgspec.msgpack.Decoder(str)


@dataclass(slots=True)
class _Waiting:
    """An ask without an answer."""

    ask: Ask
    frame: bytes
    future: "asyncio.Future[Any]"
    ends_at: float
    is_sent: bool = False

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Wire(asyncio.Protocol):
    """One connection; it ends when either side ends it."""

    def __init__(self, hear: Callable[[int, int, msgspec.Raw], None], lose: Callable[["_Wire"], None]) -> None:
        self._hear = hear
        self._lose = lose
        self._frames = FrameReader()
        self.can_write = True
        self.on_writable: Callable[[], None] = lambda: None
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's name
        self.lost.set_result(None)
        self._lose(self)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._hear(*_decoder.decode(body))
        except (Malformed, msgspec.MsgspecError, UnicodeDecodeError):
            self.transport.abort()

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        self.on_writable()


class Connection:
    """Asks the process that has the ledger. `open` has to be called first, in the loop that asks."""

    def __init__(self, socket: Path, worker: int, to_hold_again: Callable[[], Iterable[Hold]]) -> None:
        """`worker` is this process's number, -1 for a command. `to_hold_again` gives what has to be held first on a
        connection to a process that was started anew; the ids of these asks come from `next_id`.
        """
        self._socket = socket
        self._worker = worker
        self._to_hold_again = to_hold_again
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_bytes = 0
        self._id = 0
        self._wire: _Wire | None = None
        """The connection, from the answer to the first word on."""
        self._hello: asyncio.Future[int] | None = None
        self._life = 0
        self._unsent: list[_Waiting] = []
        self._tick: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._has_given_up = False
        self._is_closed = False
        self._trouble: Exception = place.why(socket, ConnectionRefusedError(111, "nobody listens there"))
        self._keeper: asyncio.Task[None] | None = None
        self.losses = 0
        """How often the connection was lost."""

    def next_id(self) -> int:
        """A number for the next ask."""
        self._id += 1
        return self._id

    async def open(self, seconds: float) -> None:
        """Connect. Raises `Unavailable` where no process has answered within so many seconds."""
        self._loop = asyncio.get_running_loop()
        is_up = self._loop.create_future()
        self._keeper = asyncio.create_task(self._keep(is_up))
        done, _ = await asyncio.wait([is_up], timeout=seconds)
        if not done:
            await self.close()
            trouble = self._trouble
            raise trouble if isinstance(trouble, Unavailable) else place.why(self._socket, trouble)

    async def ask(self, ask: Ask) -> Any:
        """The value of the answer. Raises `Unavailable`, also at once where too many wait; else what the operation
        raises: `OutcomeUnknown` where it may have been done and must not be repeated, ValueError.
        """
        if self._is_closed:
            raise self._unavailable("the ledger is closed")
        if self._has_given_up:
            raise self._unavailable(str(self._trouble))
        waiting = self._to_wait(ask)
        if len(self._waiting) >= ASKS_WAITING_MAX or self._waiting_bytes + len(waiting.frame) > WAITING_BYTES_MAX:
            raise self._unavailable("too many are waiting for the ledger")
        self._keep_waiting(waiting)
        self._send(waiting)
        return await waiting.future

    async def close(self) -> None:
        """Wait for what was asked, then close. May be called again."""
        self._is_closed = True
        if self._waiting and not self._has_given_up:
            await asyncio.wait([one.future for one in self._waiting.values()])
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for timer in (self._tick, self._patience):
            if timer is not None:
                timer.cancel()
        if self._wire is not None:
            self._wire.transport.close()
            await asyncio.wait([self._wire.lost])

    def _to_wait(self, ask: Ask) -> _Waiting:
        return _Waiting(ask, frame_of(ask), self._loop.create_future(), self._loop.time() + ask.seconds)

    def _keep_waiting(self, waiting: _Waiting) -> None:
        self._waiting[waiting.ask.id] = waiting
        self._waiting_bytes += len(waiting.frame)
        if self._tick is None:
            self._tick = self._loop.call_later(_TICK_SECONDS, self._look)

    def _drop(self, waiting: _Waiting) -> None:
        del self._waiting[waiting.ask.id]
        self._waiting_bytes -= len(waiting.frame)

    def _send(self, waiting: _Waiting) -> None:
        """Send it with all others of this turn; without a connection it waits for one."""
        if self._wire is not None:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent.append(waiting)

    def _flush(self) -> None:
        wire = self._wire
        if wire is None or not wire.can_write or not self._unsent:
            return
        frames = []
        for waiting in self._unsent:
            if waiting.ask.id in self._waiting:
                waiting.is_sent = True
                frames.append(waiting.frame)
        self._unsent.clear()
        wire.transport.write(b"".join(frames))

    def _hear(self, number: int, status: int, value: msgspec.Raw) -> None:
        """Give an answer to whoever waits for it."""
        if number == 0 and self._hello is not None:
            self._settle(self._hello, Hello.answer, status, value)
            return
        waiting = self._waiting.get(number)
        if waiting is not None:
            self._settle(waiting.future, waiting.ask.answer, status, value)
            self._drop(waiting)

    def _settle(self, future: "asyncio.Future[Any]", answer: Any, status: int, value: msgspec.Raw) -> None:
        if status == Status.VALUE:
            found = answer.decode(value)
            if not future.done():
                future.set_result(found)
            return
        error: Exception
        if status == Status.BAD_VALUE:
            error = ValueError(_text.decode(value))
        else:
            reason, text, is_silence = _trouble.decode(value)
            kind = OutcomeUnknown if status == Status.OUTCOME_UNKNOWN else Unavailable
            error = kind(reason, text, is_silence=is_silence)
        if not future.done():
            future.set_exception(error)

    async def _keep(self, is_up: "asyncio.Future[None]") -> None:
        """Stay connected until cancelled."""
        pause_seconds = _PAUSE_SECONDS
        while True:
            wire: _Wire | None = None
            try:
                wire, life = await self._connect()
            except (OSError, TimeoutError, PennyRedError) as error:
                self._trouble = error if isinstance(error, PennyRedError) else place.why(self._socket, error)
            else:
                self._begin(wire, life)
                pause_seconds = _PAUSE_SECONDS
                if not is_up.done():
                    is_up.set_result(None)
                await asyncio.shield(wire.lost)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)

    async def _connect(self) -> tuple[_Wire, int]:
        """A connection on which the process has said its first word, and which life of the process it is."""
        connected = place.call(self._socket)
        if connected is None:
            raise ConnectionRefusedError(111, "nobody listens there")
        self._hello = hello = self._loop.create_future()
        wire = _Wire(self._hear, self._lose)
        await self._loop.create_unix_connection(lambda: wire, sock=connected)
        wire.transport.write(frame_of(Hello(0, VERSION, self._worker)))
        try:
            await asyncio.wait([hello, wire.lost], timeout=HELLO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return wire, await asyncio.wait_for(hello, 0)  # TimeoutError where there is none
        except BaseException:
            wire.transport.abort()
            raise
        finally:
            self._hello = None

    def _begin(self, wire: _Wire, life: int) -> None:
        """Hold again what was held, then ask again what was not answered, in one write."""
        self._wire, wire.on_writable = wire, self._flush
        self._has_given_up = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        first: list[_Waiting] = []
        if life != self._life:
            first = [self._to_wait(ask) for ask in (*self._to_hold_again(), Back(self.next_id()))]
        self._life = life
        self._unsent = [*first, *self._waiting.values()]
        for waiting in first:
            waiting.future.add_done_callback(_ignore)
            self._keep_waiting(waiting)
        self._flush()

    def _lose(self, wire: _Wire) -> None:
        """The connection is lost: what must not be asked twice has an unknown outcome, the rest waits for the next."""
        if wire is not self._wire:
            return
        self._wire = None
        self._unsent.clear()
        self.losses += 1
        for waiting in list(self._waiting.values()):
            if waiting.future.cancelled() and isinstance(waiting.ask, Hold):
                self._drop(waiting)  # nobody wants it held any more
            elif waiting.is_sent and not waiting.ask.is_repeatable:
                waiting.fail(_unknown())
                self._drop(waiting)
            waiting.is_sent = False
        self._patience = self._loop.call_later(PATIENCE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """There is no connection for too long: nobody waits for one any more."""
        self._has_given_up = True
        for waiting in list(self._waiting.values()):
            waiting.fail(self._unavailable(str(self._trouble)))
            self._drop(waiting)

    def _look(self) -> None:
        """End what has waited too long."""
        now = self._loop.time()
        for waiting in list(self._waiting.values()):
            if waiting.ends_at <= now:
                is_unknown = waiting.is_sent and not waiting.ask.is_repeatable
                waiting.fail(_unknown() if is_unknown else self._unavailable("no answer of the ledger in time"))
                self._drop(waiting)
        self._tick = self._loop.call_later(_TICK_SECONDS, self._look) if self._waiting else None

    def _unavailable(self, text: str) -> Unavailable:
        return Unavailable(Reason.LEDGER_UNAVAILABLE, text)


def _unknown() -> OutcomeUnknown:
    text = "the ledger's process has ended; it is not known whether it was done: look before you repeat it"
    return OutcomeUnknown(Reason.LEDGER_UNAVAILABLE, text)


def _ignore(future: "asyncio.Future[Any]") -> None:
    with contextlib.suppress(Exception):
        future.result()
