"""One HTTP connection: uvicorn's, with a deadline for each thing that we wait for a client to do.

::

    HEADER    the first or next request, from its first octet (from the connection, for the first)
    BODY      the rest of a request
    WORK      nothing: the application has a whole request
    ANSWER    that the client takes what it asked for
    IDLE      another request on a connection that is kept
    CLOSING   that what was said last has gone out
"""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pennyred.http.admission import GUEST, Guest
from pennyred.http.pieces import BoundedConnection
from pennyred.http.turnedaway import NOT_HTTP, TOO_SLOW

SLICE_OCTETS = 2048
"""Of what a stranger sends, read in one turn of the event loop: whatever he thinks out, mail goes on beside it."""
HEADER_OCTETS_MAX = 16 * 1024
"""Of a request's header, and of the fields behind its chunks."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a client may take, in seconds."""

    request_seconds: float = 20
    """From connecting (TLS included), or from its first octet, to the end of a request's header."""
    body_seconds: float = 30
    answer_seconds: float = 30
    keep_alive_seconds: float = 15


class Phase(Enum):
    """What is awaited; see the module."""

    HEADER = auto()
    BODY = auto()
    WORK = auto()
    ANSWER = auto()
    IDLE = auto()
    CLOSING = auto()


class Exchange(H11Protocol):
    """Made for each connection once it speaks HTTP, that is after the handshake of TLS."""

    def __init__(
        self, guest: Guest, deadlines: Deadlines, logger: logging.Logger, accepted_at: float, **own: Any
    ) -> None:
        super().__init__(**own)
        self.conn = BoundedConnection(HEADER_OCTETS_MAX)
        self.app_state = {GUEST: guest}
        self.logger = logger
        self._guest = guest
        self._phase = Phase.HEADER
        self._is_stuck = False
        self._unread = b""
        """What has come, for the next turns of the loop; nothing more is taken from the system meanwhile."""
        self._seconds = {
            Phase.HEADER: deadlines.request_seconds,
            Phase.BODY: deadlines.body_seconds,
            Phase.ANSWER: deadlines.answer_seconds,
            Phase.IDLE: deadlines.keep_alive_seconds,
            Phase.CLOSING: deadlines.answer_seconds,
        }
        self._until: float | None = accepted_at + deadlines.request_seconds
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own is so
        """The client is there."""
        super().connection_made(transport)
        self._guest.end = transport.abort
        self._look_at_clock()
        if self._guest.is_gone:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._guest.leave()
        self._guest.closed()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or several."""
        is_behind = bool(self._unread)
        self._unread += data
        if not is_behind:
            self._read_on()

    def _read_on(self) -> None:
        """Read the next slice, and the others when everybody else has had his turn; a gate's is all there is."""
        if self.transport.is_closing():
            self._unread = b""
            return
        octets = len(self._unread) if self._guest.is_known else SLICE_OCTETS
        piece, self._unread = self._unread[:octets], self._unread[octets:]
        super().data_received(piece)
        self._enter(self._now())
        if self.transport.is_closing():
            self._unread = b""
        elif self._unread:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's shape
        """It is no HTTP. Said only where nothing has been answered yet: the other half of an answer is none."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(NOT_HTTP)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def on_response_complete(self) -> None:
        """An answer has been handed to the transport."""
        self._guest.speaks_for_itself()
        super().on_response_complete()
        self._enter(self._now())

    def pause_writing(self) -> None:
        """The client takes nothing, or too slowly."""
        super().pause_writing()
        self._is_stuck = True
        self._enter(self._now())

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        self._is_stuck = False
        self._enter(self._now())

    def shutdown(self) -> None:
        """The program stops: nobody waits for the rest of a request."""
        if self._phase is Phase.BODY:
            self._give_up()
        else:
            super().shutdown()
            self._enter(self._now())

    def _now(self) -> Phase:
        if self.transport.is_closing():
            return Phase.CLOSING
        if self._is_stuck:
            return Phase.ANSWER
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        if self.cycle is not None and not self.cycle.response_complete:
            return Phase.WORK
        return Phase.HEADER if self.conn.trailing_data[0] else Phase.IDLE

    def _enter(self, phase: Phase) -> None:
        """Wait for something else from now on, and no longer than it may take."""
        if phase is self._phase:
            return
        self._phase = phase
        if phase is Phase.WORK:
            self._guest.works()
            self._until = None
            return
        self._guest.waits()
        self._until = until = self.loop.time() + self._seconds[phase]
        if self._timer is None or until < self._timer.when():
            self._arm(until)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._look_at_clock)

    def _look_at_clock(self) -> None:
        """One timer, set anew only where it is too late: most waits end long before their deadline."""
        self._timer = None
        if self._until is None:
            return
        if self.loop.time() >= self._until:
            self._give_up()
        else:
            self._arm(self._until)

    def _give_up(self) -> None:
        if (
            self._phase in (Phase.ANSWER, Phase.CLOSING)
            or self.transport.is_closing()  # it has gone, and we are about to be told
            or self.transport.get_write_buffer_size()
        ):
            self.transport.abort()
            return
        if self._phase is Phase.HEADER or (self._phase is Phase.BODY and not self.cycle.response_started):
            self.transport.write(TOO_SLOW)
        self.transport.close()
        self._enter(Phase.CLOSING)


class _ToLog(logging.Handler):
    """What uvicorn says of an exception that has come through the application: a mistake of ours."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write it down, unless it is only the program's end."""
        error = record.exc_info[1] if record.exc_info else None
        if self._log is not None and not isinstance(error, asyncio.CancelledError):
            self._log.error("service.internal_error", detail=record.getMessage().strip(), exc_info=error)


def quiet_logger(log: Any) -> logging.Logger:
    """For uvicorn, which would write a line for whatever nonsense a stranger sends."""
    logger = logging.Logger("http", logging.ERROR)  # noqa: LOG001 - nobody else's, so that none is asked twice
    logger.addHandler(_ToLog(log))
    logging.getLogger("uvicorn.error").disabled = True  # its own: what a client does while the program stops
    return logger
