"""A client's connection: bytes in and out, deadlines, TLS, hanging up. It knows no command.

Input goes into one buffer. Replies are sent in batches (PIPELINING). A letter is handed over in the pieces in which it
came. If the client hangs up, nothing that is in hand is cancelled.
"""

import asyncio
import ssl
from typing import cast

from pennyred.gate.door import tls
from pennyred.gate.door.occupant import Clock, Occupant, Sink

LINE_OCTETS_MAX = 2048
"""The longest command. RFC 5321 asks for 512, its extensions for up to 1,600 more; Postfix takes 2,048."""
_INPUT_BYTES_MAX = 32 * 1024
"""Input that waits: commands, and what came of a letter with them. When there is more, reading pauses."""
_LINGER_SECONDS = 10.0
"""How long a connection that is being closed may take to deliver its last reply."""
_NEVER = float("inf")


class LineTooLong(Exception):  # noqa: N818 - told to the client, not to the log
    """A command is longer than `LINE_OCTETS_MAX`; it has been skipped to its end."""


class Wire(asyncio.Protocol):
    """One client's connection, as asyncio calls it and the session uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, occupant: Occupant) -> None:
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        """The task that serves the client."""
        self.is_tls = False
        self.is_shaking_hands = False
        """Whether the connection is changing to TLS now: nothing may be sent, and no letter is in hand."""
        self._occupant = occupant
        self._clock = clock
        self._input = bytearray()
        self._output: list[bytes] = []
        self._sink: Sink | None = None
        self._sunk: asyncio.Future[None] | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_skipping = False
        self._is_reading_paused = False
        self._has_eof = False
        self._is_closing = False
        self._time_given_at = 0.0
        self._deadline = _NEVER
        self._transfer_deadline = _NEVER
        self._session_deadline = _NEVER
        self._watch: asyncio.TimerHandle | None = None

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session. (STARTTLS does not call it: `start_tls` keeps the session and changes the transport.)"""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses
        if self._occupant.let_in(transport):
            self._session_deadline = self.loop.time() + self._clock.session_timeout_seconds
            self._give_time()
            self.task = self.loop.create_task(self._occupant.converse())

    def data_received(self, data: bytes) -> None:
        """Give input to the letter that comes in, or else add it to the waiting commands."""
        if self._sink is not None:
            self._time_given_at = self.loop.time()
            self._deadline = min(self._time_given_at + self._clock.read_timeout_seconds, self._transfer_deadline)
            self._pour(data)
            return
        self._input += data
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        if len(self._input) > _INPUT_BYTES_MAX and self.transport is not None and not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()
            self._occupant.note_much_input(len(self._input))

    def eof_received(self) -> bool:
        """The client sends no more but may still listen. What it has sent is answered: a half-close cancels nothing."""
        self._has_eof = True
        self._wake()
        return not self.is_tls

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone. The session notices when it next reads; a letter that is being delivered goes on."""
        if isinstance(error, ssl.SSLError) and not self.is_shaking_hands:
            self._occupant.note_tls_failure(error)
        self.transport = None
        self._has_eof = self._is_closing = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        """Make `flush` wait: the client reads too slowly."""
        if self._writable is None:
            self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """Let `flush` go on: the client has read."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # Called by the session

    def say(self, reply: bytes) -> None:
        """Add a reply to the next batch."""
        self._output.append(reply)

    async def flush(self) -> None:
        """Send the batch of replies; if the client reads too slowly, wait for it."""
        if self._output and self._send():
            await self._written()

    async def next_line(self) -> bytes | None:
        """The next command line without its newline; None when no more will come. Raises `LineTooLong`."""
        while True:
            if self._input and (line := self.line_at_hand()) is not None:
                return line
            if self._output and self._send():
                await self._written()
                continue
            if self._has_eof or self._is_closing:
                return None
            if self._is_reading_paused:
                self._resume_reading()
            self._give_time()
            self._arrived = self.loop.create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
            self._deadline = _NEVER

    def line_at_hand(self) -> bytes | None:
        """The next command line if the whole of it has come, else None."""
        end = self._input.find(b"\n")
        if end < 0:
            if len(self._input) > LINE_OCTETS_MAX:
                self._is_skipping = True
                self._input.clear()
            return None
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        if self._is_skipping or len(line) > LINE_OCTETS_MAX:
            self._is_skipping = False
            raise LineTooLong
        return line.removesuffix(b"\r")

    def has_command(self, verb: bytes) -> bool:
        """Whether the next command has come, is not too long, and begins with `verb` (in capitals)."""
        return self._input[: len(verb)].upper() == verb and 0 <= self._input.find(b"\n") <= LINE_OCTETS_MAX

    @property
    def octets_at_hand(self) -> int:
        """How many octets have come that nobody has taken yet."""
        return len(self._input)

    async def pour_into(self, sink: Sink, transfer_timeout_seconds: float) -> bool:
        """Hand input to `sink` until the letter's end; False if the client has gone before."""
        self._sink = sink
        self._transfer_deadline = self.loop.time() + transfer_timeout_seconds
        if self._input:
            waiting = bytes(self._input)
            self._input.clear()
            self._pour(waiting)
        if self._is_reading_paused:
            self._resume_reading()
        if self._sink is not None and not self._has_eof:
            self._give_time(self._transfer_deadline)
            self._sunk = self.loop.create_future()
            await self._sunk
            self._sunk = None
            self._deadline = _NEVER
        is_complete = self._sink is None
        self._sink = None
        return is_complete

    async def start_tls(self, context: ssl.SSLContext, ready: bytes) -> bool:
        """Say `ready` and change to TLS; False if the handshake fails.

        What the client has sent in plain text behind STARTTLS is thrown away (RFC 3207 section 4.2; CVE-2024-34083).
        """
        self.say(ready)
        await self.flush()
        if self.transport is None or self._has_eof:
            return False
        self._resume_reading()
        # From here on nothing in plain text is read: what is in the input after the handshake came by TLS.
        self._input.clear()
        self.is_shaking_hands = True
        self._time_given_at = self.loop.time()
        try:
            self.transport = await tls.start_tls(self.transport, self, context, self._clock.read_timeout_seconds)
        except (OSError, asyncio.CancelledError) as error:
            if isinstance(error, OSError) and not isinstance(error, tls.LeftBefore):
                self._occupant.note_tls_failure(error)
            self.hang_up()
            return False
        finally:
            self.is_shaking_hands = False
        self.is_tls = True
        return True

    def hang_up(self) -> None:
        """Send the last replies and close. A client that does not read them is cut off after `_LINGER_SECONDS`."""
        if self._is_closing:
            return
        self._is_closing = True
        if self.transport is not None:
            if self._output:
                self.transport.write(b"".join(self._output))
                self._output.clear()
            self._deadline = self.loop.time() + _LINGER_SECONDS
            self._arm()
            self.transport.close()
        self._wake()

    def cut_off(self) -> None:
        """Close at once, and send nothing more."""
        self._is_closing = True
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    @property
    def is_waiting(self) -> bool:
        """Whether the session waits for the client's next command."""
        return self._arrived is not None

    @property
    def is_taking(self) -> bool:
        """Whether a letter comes in."""
        return self._sink is not None

    @property
    def silent_seconds(self) -> float:
        """How long the session has waited for the client; 0 if it is not waiting."""
        is_its_turn = self.is_waiting or self._sink is not None or self.is_stuck or self.is_shaking_hands
        return self.loop.time() - self._time_given_at if is_its_turn else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read its replies."""
        return self._writable is not None

    # Deadlines

    def _give_time(self, latest: float | None = None) -> None:
        self._time_given_at = now = self.loop.time()
        until = self._session_deadline if latest is None else latest
        deadline = now + self._clock.read_timeout_seconds
        self._deadline = deadline = min(until, deadline)
        if self._watch is None or deadline < self._watch.when():
            self._arm()

    def _arm(self) -> None:
        """Set the connection's one timer. It looks at the deadlines when it fires, so to put one off costs nothing."""
        if self._watch is not None:
            self._watch.cancel()
        when = min(self._deadline, self.loop.time() + self._clock.read_timeout_seconds)
        self._watch = self.loop.call_at(when, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._watch = None
        if self.transport is None:
            return
        now = self.loop.time()
        if now < self._deadline:
            self._arm()
        elif self._is_closing or self._writable is not None:
            self.cut_off()  # it has not even read earlier replies, so another would not arrive
        else:
            self._occupant.note_timeout(is_session=now >= self._session_deadline)

    # How the session waits

    def _send(self) -> bool:
        """Send the batch of replies; whether the client reads too slowly."""
        output, self._output = self._output, []
        if self.transport is None or self._is_closing:
            return False
        self.transport.write(output[0] if len(output) == 1 else b"".join(output))
        return self._writable is not None

    async def _written(self) -> None:
        """Wait until the client has read."""
        if self._writable is not None:
            self._give_time()
            await self._writable
            self._deadline = _NEVER

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        if (self._has_eof or self._is_closing) and self._sunk is not None and not self._sunk.done():
            self._sunk.set_result(None)

    def _resume_reading(self) -> None:
        if self._is_reading_paused and self.transport is not None:
            self._is_reading_paused = False
            self._occupant.note_much_input(0)
            self.transport.resume_reading()

    def _pour(self, data: bytes) -> None:
        assert self._sink is not None
        rest = self._sink.take(data)
        if rest is not None:
            self._sink = None
            self._input += rest
            if self._sunk is not None and not self._sunk.done():
                self._sunk.set_result(None)
