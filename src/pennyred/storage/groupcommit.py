"""Many callers, one transaction: a thread owns a connection and does everybody's work in batches.

A commit with synchronous=FULL costs a disk flush, whatever it contains. So callers queue their requests, each with the
function that answers it. One thread takes all that wait, runs them in one transaction, flushes once and wakes all
callers. While it flushes, the next batch gathers; there is no delay on purpose. Requests of one function are answered
by one call of it, because fewer statements can read and write the rows of many.

A function that raises must not fail the requests of others. So the transaction is rolled back, and each request gets
its own; therefore functions may change nothing but the database. If the world outside fails (`is_world`), the whole
batch fails with `Unavailable`. A cancelled caller only loses its answer: its request is still done, once or not at all.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pennyred.failures import told
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage import database, statements
from pennyred.storage.noting import NoteBatch

Connection = TypeVar("Connection", bound=statements.Connection)
Request = TypeVar("Request")
Answer = TypeVar("Answer")

WEIGHT_PER_BATCH_MAX = 4096
"""How much work one transaction takes (see `answer`); other processes wait for its end."""
_PAUSE_SECONDS = 0.02
JOBS_WAITING_MAX = 10_000
"""How many requests may wait; more get `Unavailable`, as they would wait for seconds, and memory is limited."""


@dataclass(slots=True)
class _Job:
    """One caller's request, and the future for its answer."""

    function: Callable[[Any, Sequence[Any]], Sequence[Any]]
    request: Any
    weight: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Give the caller its answer, in its own event loop, unless it was cancelled."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


class GroupCommit(Generic[Connection]):
    """One connection and one thread that answers requests in batches, a transaction for each batch."""

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        reason: Reason,
        begin: str = "BEGIN IMMEDIATE",
        note_batch: NoteBatch | None = None,
        is_world: Callable[[BaseException], bool] = database.is_world,
        patience_seconds: float = 0.0,
        place: str = "",
    ) -> None:
        """Take over `connection` and start the thread; `begin` is `BEGIN` for a connection that only reads.

        `reason` is the reason that `Unavailable` gives, and `place` how its text names the database. `note_batch` is
        called after each transaction, in the thread. `is_world` tells the database's trouble from a mistake; after
        trouble before the commit, a transaction is tried again for `patience_seconds`.
        """
        self._connection = connection
        self._begin = begin
        self._reason = reason
        self._note_batch = note_batch
        self._is_world = is_world
        self._patience_seconds = patience_seconds
        self._place = f"{place}: " if place else ""
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._gathering: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._waiting = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """Run `work` in a transaction that others share; when this returns, it is committed.

        Raises `Unavailable`, or what `work` raises.
        """
        return await self.answer(lambda connection, _: [work(connection)], None)

    async def answer(
        self,
        function: Callable[[Connection, Sequence[Request]], Sequence[Answer]],
        request: Request,
        *,
        weight: int = 1,
    ) -> Answer:
        """Let `function` answer `request`, perhaps together with others: it gets a list and returns a list.

        `weight` is roughly how many rows the request touches. Raises `Unavailable`, or what `function` raises.
        """
        loop = asyncio.get_running_loop()
        job = _Job(function, request, weight, loop, loop.create_future())
        with self._lock:
            if self._is_closing:
                raise Unavailable(self._reason, "the database is closed")
            if self._waiting >= JOBS_WAITING_MAX:
                raise Unavailable(self._reason, "too many are waiting for the database")
            self._waiting += 1
            if loop in self._gathering:
                self._gathering[loop].append(job)
            else:
                # Requests of one turn of the loop are handed over together, so that the thread does not begin a
                # transaction for the first of them alone.
                self._gathering[loop] = [job]
                loop.call_soon(self._hand_over, loop)
        answer: Answer = await job.future
        return answer

    async def close(self) -> None:
        """Answer all requests that wait, then close the connection. May be called again."""
        with self._lock:
            if not self._is_closing:
                self._is_closing = True
                for jobs in self._gathering.values():
                    self._queue.put(jobs)
                self._gathering.clear()
                self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            jobs = self._gathering.pop(loop, None)
            if jobs is not None:
                self._queue.put(jobs)

    def _run(self) -> None:
        """The thread's work: batch after batch, until closed."""
        handed: deque[_Job] = deque()
        is_open = True
        while is_open or handed:
            is_open = self._take_handed(handed, is_open=is_open)
            if jobs := _next_batch(handed):
                self._answer_all(jobs)
                _deliver(jobs)
                with self._lock:
                    self._waiting -= len(jobs)
        self._connection.close()

    def _take_handed(self, handed: deque[_Job], *, is_open: bool) -> bool:
        """Move all requests from the queue to `handed`, and wait if there are none; False after closing."""
        while is_open:
            try:
                jobs = self._queue.get(block=not handed)
            except queue.Empty:
                break
            if jobs is None:
                return False
            handed.extend(jobs)
        return is_open

    def _answer_all(self, jobs: list[_Job]) -> None:
        """Answer all in one transaction; if one of several raises, answer each in its own."""
        if self._transact(jobs) or len(jobs) == 1:
            return
        for job in jobs:
            job.error = None
            self._transact([job])

    def _transact(self, jobs: list[_Job]) -> bool:
        """Answer these in one transaction; False if a function raised: then nothing was done, each has the error."""
        begun = time.perf_counter()
        is_answered = self._attempt(jobs)
        if self._note_batch is not None:
            is_done = not isinstance(jobs[0].error, Unavailable)
            self._note_batch(len(jobs), time.perf_counter() - begun, is_done)
        return is_answered

    def _attempt(self, jobs: list[_Job]) -> bool:
        deadline = time.monotonic() + self._patience_seconds
        pause_seconds = _PAUSE_SECONDS
        while True:
            is_committing = False
            try:
                self._connection.execute(self._begin)
                for function, its_jobs in _by_function(jobs):
                    answers = function(self._connection, [job.request for job in its_jobs])
                    for job, answer in zip(its_jobs, answers, strict=True):
                        job.answer = answer
                is_committing = True
                self._connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is; the thread must live
                self._undo()
                if not self._is_world(error):
                    _fail(jobs, error)
                    return False
                if is_committing or time.monotonic() + pause_seconds > deadline:
                    _fail(jobs, Unavailable(self._reason, f"{self._place}{told(error)}"))
                    return True
                time.sleep(pause_seconds)
                pause_seconds *= 2
            else:
                return True

    def _undo(self) -> None:
        """Roll back, if the transaction is still open: SQLite itself ends it after some errors."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except Exception as error:
                if not self._is_world(error):
                    raise
                return  # if the disk fails, SQLite rolls back by itself; the next BEGIN shows if it did not


def _fail(jobs: Sequence[_Job], error: BaseException) -> None:
    for job in jobs:
        job.error = error


def _next_batch(handed: deque[_Job]) -> list[_Job]:
    """Take jobs in order until they weigh enough for a batch; at least one if there is one."""
    jobs: list[_Job] = []
    weight = 0
    while handed and weight < WEIGHT_PER_BATCH_MAX:
        jobs.append(handed.popleft())
        weight += jobs[-1].weight
    return jobs


def _by_function(
    jobs: list[_Job],
) -> list[tuple[Callable[[Any, Sequence[Any]], Sequence[Any]], list[_Job]]]:
    """Group requests by function. All were waiting at the same time, so no caller relies on their order."""
    groups: dict[Any, list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.function, []).append(job)
    return list(groups.items())


def _deliver(jobs: list[_Job]) -> None:
    """Wake the callers, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_to_loop, its_jobs)
        except RuntimeError:
            continue  # that loop is closed, so nobody waits in it


def _deliver_to_loop(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
