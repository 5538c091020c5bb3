"""Answers asks of other processes with the ledger of this one."""

import asyncio
import os
import secrets
import socket
from collections import deque
from collections.abc import Collection
from functools import partial
from typing import Any

from pennyred.office.ledger.owned.ledger import OwnedLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.remote import place
from pennyred.office.ledger.remote.asks import Ask, Back, Books, Status
from pennyred.office.ledger.remote.back import ComingBack
from pennyred.office.ledger.remote.caller import Caller, adopt
from pennyred.office.ledger.remote.frames import frame_of
from pennyred.office.ledger.requests import Request
from pennyred.postage.errors import OutcomeUnknown, Unavailable
from pennyred.postage.reasons import Reason

STAMPS_PER_TURN_MAX = 4096
"""How many rows the asks of one turn of the loop may touch together; connections are asked in rotation."""
CALLERS_MAX = 1000
"""How many connections there may be; workers and commands have one each."""
_ACCEPT_PAUSE_SECONDS = 1.0
_FINISH_SECONDS = 10.0


class LedgerServer:
    """Serves from `start` until `stop`. The ledger is closed by whoever has opened it."""

    def __init__(self, ledger: Ledger, listener: socket.socket, log: Any, *, awaited: Collection[int] = ()) -> None:
        """`awaited` are the workers that ran before this process was started (see `back`)."""
        self._books = Books(ledger)
        self._owned = ledger if isinstance(ledger, OwnedLedger) else None
        """Can be asked without a task for each ask."""
        self._listener = listener
        self._log = log
        self._allowed = frozenset({0, os.geteuid()})
        self._life = secrets.randbits(62)
        self._callers: set[Caller] = set()
        self._ready: deque[Caller] = deque()
        """Connections with asks, in rotation."""
        self._kept: list[tuple[Caller, Ask]] = []
        """What waits until all are back, in order."""
        self._back = ComingBack(awaited, self._take_up)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._is_turning = False

    def start(self) -> None:
        """Begin to answer."""
        self._loop = asyncio.get_running_loop()
        self._back.begin()
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def stop(self) -> None:
        """Let nobody in any more, answer what was asked, and hang up. The listener stays open."""
        self._loop.remove_reader(self._listener.fileno())
        deadline = self._loop.time() + _FINISH_SECONDS
        while (self._tasks or self._ready or self._kept) and self._loop.time() < deadline:
            await asyncio.wait(self._tasks or [asyncio.create_task(asyncio.sleep(0.01))], timeout=0.1)
        for caller in self._callers.copy():
            caller.hang_up()

    @property
    def workers(self) -> int:
        """How many workers are connected."""
        return sum(caller.worker is not None and caller.worker >= 0 for caller in self._callers)

    def _accept(self) -> None:
        try:
            connected = place.accept(self._listener, self._allowed)
        except OSError:  # too many files are open
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(_ACCEPT_PAUSE_SECONDS, self._loop.add_reader, self._listener.fileno(), self._accept)
            return
        if connected is None:
            return
        if len(self._callers) >= CALLERS_MAX:
            connected.close()
            return
        caller = Caller(self._life, self._wake, self._forget)
        self._callers.add(caller)
        self._note(adopt(self._loop, connected, caller))

    def _forget(self, caller: Caller) -> None:
        self._callers.discard(caller)

    def _wake(self, caller: Caller) -> None:
        """Asks of this connection are there."""
        self._ready.append(caller)
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Begin what waits, one ask of each connection after the other, as much as a turn may take."""
        weight, ready = 0, self._ready
        while ready and weight < STAMPS_PER_TURN_MAX:
            caller = ready.popleft()
            if not caller.asks:  # it has hung up
                continue
            ask = caller.asks.popleft()
            weight += ask.weight
            if caller.asks:
                ready.append(caller)
            if self._back.holds_up(ask):
                self._kept.append((caller, ask))
            elif self._owned is not None and (request := ask.request) is not None:
                self._begin(self._owned, request, caller, ask)
            else:
                self._note(self._loop.create_task(self._serve(caller, ask)))
        if ready:
            self._loop.call_soon(self._turn)
        else:
            self._is_turning = False

    def _take_up(self) -> None:
        """All are back: begin what has waited for that."""
        kept, self._kept = self._kept, []
        for caller, ask in reversed(kept):
            is_first = not caller.asks
            caller.asks.appendleft(ask)
            if is_first:
                self._wake(caller)

    def _begin(self, ledger: OwnedLedger, request: Request, caller: Caller, ask: Ask) -> None:
        try:
            future = ledger.begin(request)
        except Exception as error:  # noqa: BLE001 - who has asked waits for an answer
            caller.answer(frame_of((ask.id, *self._trouble(ask, error))))
            return
        self._tasks.add(future)
        future.add_done_callback(partial(self._end, caller, ask))

    def _end(self, caller: Caller, ask: Ask, future: "asyncio.Future[list[Any]]") -> None:
        """Answer what was begun."""
        self._tasks.discard(future)
        try:
            frame = frame_of((ask.id, Status.VALUE, future.result()))
        except Exception as error:  # noqa: BLE001 - who has asked waits for an answer
            frame = frame_of((ask.id, *self._trouble(ask, error)))
        caller.answer(frame)

    async def _serve(self, caller: Caller, ask: Ask) -> None:
        """Do it and answer; every ask is answered, whatever happens."""
        try:
            value = await ask.of(self._books)
            frame = frame_of((ask.id, Status.VALUE, value))
        except Exception as error:  # noqa: BLE001 - who has asked waits for an answer
            frame = frame_of((ask.id, *self._trouble(ask, error)))
        caller.answer(frame)
        if isinstance(ask, Back):
            self._back.back(caller.worker)

    def _trouble(self, ask: Ask, error: Exception) -> tuple[Status, Any]:
        """What to say instead of a value. Mistakes of this program are logged here, where their trace is."""
        if isinstance(error, Unavailable):
            status = Status.OUTCOME_UNKNOWN if isinstance(error, OutcomeUnknown) else Status.UNAVAILABLE
            return status, (error.reason, str(error), error.is_silence)
        if isinstance(error, ValueError):
            return Status.BAD_VALUE, str(error)
        self._log.error("service.broken_off", work=f"ledger {type(ask).__name__}", exc_info=error)
        return Status.UNAVAILABLE, (Reason.LEDGER_UNAVAILABLE, "a mistake in the ledger's process, see its log", False)

    def _note(self, task: asyncio.Task[Any]) -> None:
        """Keep a task from being collected, as the loop only has weak references to it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
