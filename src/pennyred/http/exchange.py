"""One HTTP connection: uvicorn's class, with a deadline for each thing that we wait for.

We wait for one thing at a time, the phase::

    HEADER    the header of a request; from the connection for the first one, then from its first octet
    BODY      the rest of a request
    WORK      nothing from the client: the application has a whole request
    ANSWER    that the client reads the answer
    IDLE      another request on a connection that is kept open
    CLOSING   that our last octets have gone out
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
"""How much of a stranger's data is parsed in one turn of the event loop, so that he cannot hold up the mail."""
HEADER_OCTETS_MAX = 16 * 1024
"""The longest header of a request; also the longest trailer after its chunks."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a client may take for each phase, in seconds."""

    request_seconds: float = 20
    """For HEADER: to the end of a request's header, TLS included for the first one."""
    body_seconds: float = 30
    answer_seconds: float = 30
    keep_alive_seconds: float = 15


class Phase(Enum):
    """What we wait for; the module's docstring explains each."""

    HEADER = auto()
    BODY = auto()
    WORK = auto()
    ANSWER = auto()
    IDLE = auto()
    CLOSING = auto()


class Exchange(H11Protocol):
    """One connection that speaks HTTP; made for it after the TLS handshake."""

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
        """Data for the next turns of the loop; meanwhile nothing more is read from the socket."""
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
        """Begin: the connection is made."""
        super().connection_made(transport)
        self._guest.end = transport.abort
        self._look_at_clock()
        if self._guest.is_gone:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: the connection is closed, by either side."""
        self._guest.leave()
        self._guest.closed()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request, or of several."""
        is_behind = bool(self._unread)
        self._unread += data
        if not is_behind:
            self._read_on()

    def _read_on(self) -> None:
        """Parse the next slice now and the rest in later turns of the loop; for a known client, all of it at once."""
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
        """Refuse what is no HTTP and close. It is not said in the middle of an answer, where it would be garbage."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(NOT_HTTP)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def on_response_complete(self) -> None:
        """Go on after an answer has been handed to the transport."""
        self._guest.speaks_for_itself()
        super().on_response_complete()
        self._enter(self._now())

    def pause_writing(self) -> None:
        """Note that the client does not read the answer, or reads too slowly."""
        super().pause_writing()
        self._is_stuck = True
        self._enter(self._now())

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        self._is_stuck = False
        self._enter(self._now())

    def shutdown(self) -> None:
        """Stop because the program ends; the rest of a request is not awaited."""
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
        """Begin another phase, with its own deadline."""
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
        """Give up if the deadline has passed, else wait on.

        There is one timer; a later deadline does not move it, because most waits end long before their deadline.
        """
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
            or self.transport.is_closing()  # it has gone, `connection_lost` comes soon
            or self.transport.get_write_buffer_size()
        ):
            self.transport.abort()
            return
        if self._phase is Phase.HEADER or (self._phase is Phase.BODY and not self.cycle.response_started):
            self.transport.write(TOO_SLOW)
        self.transport.close()
        self._enter(Phase.CLOSING)


class _ToLog(logging.Handler):
    """Writes to our log what uvicorn says of an exception that left the application: a mistake of ours."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record, unless it is only about the program's end."""
        error = record.exc_info[1] if record.exc_info else None
        if self._log is not None and not isinstance(error, asyncio.CancelledError):
            self._log.error("service.internal_error", detail=record.getMessage().strip(), exc_info=error)


def quiet_logger(log: Any) -> logging.Logger:
    """A logger for uvicorn, which would otherwise write a line for all the nonsense that strangers send."""
    logger = logging.Logger("http", logging.ERROR)  # noqa: LOG001 - not shared with other servers
    logger.addHandler(_ToLog(log))
    logging.getLogger("uvicorn.error").disabled = True  # it tells only what clients do while the program stops
    return logger
