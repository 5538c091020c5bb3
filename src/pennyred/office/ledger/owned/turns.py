"""The asks of one turn of the event loop, answered together in the loop itself.

Whatever happens in a turn, everybody who asked is answered: by the answer, by the error of what was asked, or by
`Unavailable`. What must be durable is answered when it is on the disk; so is what rests on it, as "already settled"
does. Nobody waits longer than `PATIENCE_SECONDS`.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import apsw

from pennyred.days import utc_day
from pennyred.failures import told
from pennyred.office.ledger.owned.asks import Ask, Kind
from pennyred.office.ledger.owned.books import Books, Work
from pennyred.office.ledger.owned.checkpoints import Checkpoints
from pennyred.office.ledger.owned.flushing import Flusher
from pennyred.office.ledger.requests import HoldRequest, Request
from pennyred.office.ledger.sqlite.moved import is_world
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.noting import NoteBatch

ASKS_WAITING_MAX = 10_000
"""So many may wait; more get `Unavailable`, as they would wait for seconds, and memory is limited."""
STAMPS_A_TURN_MAX = 4096
"""So much is answered before the loop turns to others."""
PATIENCE_SECONDS = 10.0
"""How long an ask waits for its turn, for somebody else's lock on the file, and for the disk."""
HELD_SECONDS = 1.0
"""How long a hold is in memory alone."""
_TICK_SECONDS = 0.25
_BUSY_PAUSE_SECONDS = 0.005


class Turns:
    """Takes asks, answers them turn by turn, and writes what has been in memory for long enough."""

    def __init__(
        self,
        books: Books,
        flusher: Flusher,
        checkpoints: Checkpoints,
        *,
        place: str,
        note_batch: NoteBatch | None = None,
    ) -> None:
        """`place` names the ledger to people; `note_batch` is told of each turn."""
        self._books = books
        self._flusher = flusher
        self._checkpoints = checkpoints
        self._place = place
        self._note_batch = note_batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: deque[Ask] = deque()
        self._unflushed: deque[tuple[int, Ask]] = deque()
        """What is answered when so many commits are on the disk."""
        self._promised = 0
        """The last commit that an answer rests on."""
        self._is_turn_coming = False
        self._tick: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None  # one for all light turns: each would begin one that stays
        self._is_failing = False
        """Whether the last write has failed. Until one has worked, nothing new is held: nobody could book it."""
        self._barred_until = 0.0
        """Until then somebody else writes in the file, by the loop's clock."""
        self._is_closed = False

    def begin(self, kind: Kind, what: Request | Work) -> asyncio.Future[Any]:
        """Ask; the future has the answer, or what a work raises. Raises `Unavailable` where none can be awaited."""
        loop = self._bind()
        if len(self._asked) + len(self._unflushed) >= ASKS_WAITING_MAX:
            raise self._unavailable("too many are waiting for the ledger")
        return self._enter(loop, kind, what)

    async def read(self, work: Work) -> Any:
        """Read from the file, at once. What it says is told when it is on the disk."""
        loop = self._bind()
        one = Ask(Kind.NOTE, work, loop.create_future(), loop.time())
        try:
            one.answer = self._books.read(work)
        except Exception as error:
            if is_world(error):
                raise self._unavailable(told(error)) from error
            raise
        self._deliver([one])
        return await one.future

    async def close(self) -> None:
        """Answer all that wait, and write what only memory knows. May be called again."""
        if not self._is_closed:
            last = self._enter(self._bind(), Kind.WORK, lambda _: None)
            self._is_closed = True
            with contextlib.suppress(Unavailable):
                await last
            if self._tick is not None:
                self._tick.cancel()

    def _bind(self) -> asyncio.AbstractEventLoop:
        """The one loop that this is used from."""
        if self._is_closed:
            raise self._unavailable("the ledger is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("a ledger's owner is one event loop")
            self._loop, self._tick, self._retry, self._is_turn_coming = loop, None, None, False
        return loop

    def _enter(self, loop: asyncio.AbstractEventLoop, kind: Kind, what: Request | Work) -> asyncio.Future[Any]:
        one = Ask(kind, what, loop.create_future(), loop.time())
        self._asked.append(one)
        if not self._is_turn_coming:
            self._is_turn_coming = True
            loop.call_soon(self._turn)
        return one.future

    def _unavailable(self, sentence: str) -> Unavailable:
        return Unavailable(Reason.LEDGER_UNAVAILABLE, f"{self._place}: {sentence}")

    # --- a turn

    def _turn(self) -> None:
        self._is_turn_coming = False
        asks = self._take_light() if self._is_barred() else self._take()
        try:
            if asks:
                self._answer(asks)
        except BaseException as error:
            for one in asks:
                one.fail(error)
            raise
        finally:
            self._checkpoints.begin_if_due(self._arrange)
            self._arrange()

    def _take(self) -> list[Ask]:
        """What one transaction can answer: a work alone, or requests of one UTC day."""
        asked, weight, day = self._asked, 0, None
        taken: list[Ask] = []
        while asked and weight < STAMPS_A_TURN_MAX:
            one = asked[0]
            if one.kind is Kind.WORK:
                return taken or [asked.popleft()]
            if one.kind is Kind.REQUEST:
                its_day = utc_day(one.what.now)
                if day not in (None, its_day):
                    break
                day = its_day
            taken.append(asked.popleft())
            weight += one.weight
        return taken

    def _take_light(self) -> list[Ask]:
        """What can be answered while nothing can be written."""
        light = [one for one in self._asked if not one.needs_disk]
        if light:
            day = utc_day(light[0].what.now)
            light = [one for one in light if utc_day(one.what.now) == day][:STAMPS_A_TURN_MAX]
            taken = set(map(id, light))
            self._asked = deque(one for one in self._asked if id(one) not in taken)
        return light

    def _answer(self, asks: list[Ask]) -> None:
        """Answer these in one transaction; where one of several has an error of its own, each in its own."""
        asks = self._less_refused(asks)
        if not asks:
            return
        begun, commits = time.perf_counter(), self._books.commits
        try:
            self._attempt(asks)
        except apsw.BusyError:
            self._asked.extendleft(reversed(asks))
            self._barred_until = self._now() + _BUSY_PAUSE_SECONDS
            return
        except Exception as error:  # noqa: BLE001 - the caller gets it, whatever it is
            self._fail(asks, error)
        else:
            if self._books.commits > commits:
                self._is_failing = False
                if any(one.needs_disk for one in asks):
                    self._promised = self._books.commits
            self._deliver(asks)
        if self._note_batch is not None:
            self._note_batch(len(asks), time.perf_counter() - begun, not isinstance(asks[0].error, Unavailable))

    def _attempt(self, asks: Sequence[Ask]) -> None:
        if asks[0].kind is Kind.WORK:
            asks[0].answer = self._books.do(asks[0].what)
            return
        requests = [one for one in asks if one.kind is Kind.REQUEST]
        notes = [one for one in asks if one.kind is Kind.NOTE]
        answers, done = self._books.redeem(
            [one.what for one in requests], [one.what for one in notes], since=self._now()
        )
        for one, answer in zip((*requests, *notes), (*answers, *done), strict=True):
            one.answer = answer

    def _less_refused(self, asks: list[Ask]) -> list[Ask]:
        """While writing fails nothing is held: letters would go out that nobody can book."""
        if not self._is_failing:
            return asks
        refused = [one for one in asks if isinstance(one.what, HoldRequest)]
        for one in refused:
            one.fail(self._unavailable("nothing can be written, so nothing is held"))
        return [one for one in asks if one.error is None]

    def _fail(self, asks: Sequence[Ask], error: Exception) -> None:
        if is_world(error):
            self._is_failing = self._is_failing or any(one.needs_disk for one in asks)
            self._flusher.look_at(error)
            error = self._unavailable(told(error))
        if isinstance(error, Unavailable) or len(asks) == 1:
            for one in asks:
                one.fail(error)
        else:
            for one in asks:
                self._answer([one])

    # --- the disk

    def _deliver(self, asks: Sequence[Ask]) -> None:
        """Answer those who need not wait; the others when what they rest on is on the disk."""
        if self._promised > self._flusher.flushed:
            self._flusher.flush(lambda: self._books.commits, self._release)
        is_safe = self._promised <= self._flusher.flushed
        for one in asks:
            if is_safe or not one.rests_on_disk():
                one.deliver()
            else:
                self._unflushed.append((self._promised, one))
        if self._unflushed:
            self._arrange()

    def _release(self) -> None:
        """Answer those whose commits are on the disk now, and flush for the others."""
        waiting, flusher = self._unflushed, self._flusher
        while waiting and waiting[0][0] <= flusher.flushed:
            waiting.popleft()[1].deliver()
        if flusher.has_failed:
            self._is_failing = True
            while waiting:
                waiting.popleft()[1].fail(self._unavailable("the disk does not work"))
        elif waiting:
            flusher.flush(lambda: self._books.commits, self._release)

    # --- time

    def _now(self) -> float:
        assert self._loop is not None, "asked before"
        return self._loop.time()

    def _is_barred(self) -> bool:
        return self._checkpoints.bars_writes or self._now() < self._barred_until

    def _arrange(self) -> None:
        """See to the next turn, and to the next look at the time."""
        loop = self._loop
        assert loop is not None, "asked before"
        if self._asked and not self._is_turn_coming:
            if self._is_barred():  # a light ask that comes meanwhile has its turn at once
                if self._retry is None:
                    self._retry = loop.call_later(_BUSY_PAUSE_SECONDS, self._try_again)
            else:
                self._is_turn_coming = True
                loop.call_soon(self._turn)
        memory = self._books.memory
        if self._tick is None and (
            memory.unwritten or memory.pairs or self._asked or self._unflushed or self._is_failing
        ):
            self._tick = loop.call_later(_TICK_SECONDS, self._look_at_time)

    def _try_again(self) -> None:
        self._retry = None
        self._arrange()

    def _look_at_time(self) -> None:
        self._tick = None
        self._end_waiting()
        if not self._is_barred():
            self._write_aged()
        self._arrange()

    def _end_waiting(self) -> None:
        """Nobody waits for ever. Whether it has happened is then unknown, as with any `Unavailable`."""
        until = self._now() - PATIENCE_SECONDS
        late = self._unavailable("it takes too long")
        while self._asked and self._asked[0].asked_at < until:
            one = self._asked.popleft()
            self._is_failing = self._is_failing or one.needs_disk  # somebody has the file locked
            one.fail(late)
        while self._unflushed and self._unflushed[0][1].asked_at < until:
            self._unflushed.popleft()[1].fail(late)

    def _write_aged(self) -> None:
        """Write what has been in memory for long enough; it is flushed with the next payment.

        While writing fails, see whether it works again.
        """
        commits = self._books.commits
        try:
            if self._is_failing:
                self._books.probe()
            else:
                self._books.write_aged(self._now() - HELD_SECONDS)
        except apsw.BusyError:
            return
        except Exception as error:
            if not is_world(error):
                raise
            self._is_failing = True
            self._flusher.look_at(error)
        else:
            if self._books.commits > commits:
                self._is_failing = False
