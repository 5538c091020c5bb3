"""Many callers, one transaction, for PostgreSQL: like `groupcommit` for SQLite, but inside the event loop.

A transaction costs the same round trips and the same flush, whatever it contains. While transactions are under way,
requests gather; the next transaction takes all of them. Requests of one function are answered by one call of it. A
function that raises must not fail the requests of others: the transaction is rolled back, and each request gets its
own. A cancelled caller only loses its answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.noting import NoteBatch
from pennyred.storage.postgres import Connection, Pool, is_world, persist, unavailable

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Function = Callable[[Connection, Sequence[Any]], Awaitable[Sequence[Any]]]

WEIGHT_PER_BATCH_MAX = 2048
JOBS_WAITING_MAX = 10_000
"""How many requests may wait; more get `Unavailable`, as they would wait for seconds, and memory is limited."""
TRANSACTIONS_MAX = 2
"""How many transactions are under way at once: while the server works on one, this process prepares the next."""


@dataclass(slots=True)
class _Job:
    function: Function
    request: Any
    weight: int
    future: asyncio.Future[Any]


class MergedWork:
    """Answers requests for one database in batches; for use in one event loop."""

    def __init__(
        self,
        pool: Pool,
        url: str,
        *,
        reason: Reason,
        transactions_max: int = TRANSACTIONS_MAX,
        note_batch: NoteBatch | None = None,
    ) -> None:
        """`reason` and `url` are for `Unavailable` and its text; `note_batch` is called after each transaction."""
        self._pool = pool
        self._url = url
        self._reason = reason
        self._note_batch = note_batch
        self._transactions_max = transactions_max
        self._waiting: deque[_Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def answer(
        self,
        function: Callable[[Connection, Sequence[Request]], Awaitable[Sequence[Answer]]],
        request: Request,
        *,
        weight: int = 1,
    ) -> Answer:
        """Let `function` answer `request`, perhaps together with others; it must be safe to repeat.

        When this returns, it is committed. Raises `Unavailable`, or what `function` raises.
        """
        if self._is_closing:
            raise Unavailable(self._reason, "the database is closed")
        if len(self._waiting) >= JOBS_WAITING_MAX:
            raise Unavailable(self._reason, "too many are waiting for the database")
        loop = asyncio.get_running_loop()
        job = _Job(function, request, weight, loop.create_future())
        self._waiting.append(job)
        loop.call_soon(self._begin)  # requests of one turn of the loop go together
        answer: Answer = await job.future
        return answer

    async def close(self) -> None:
        """Answer all requests that wait; the pool stays open. May be called again."""
        self._is_closing = True
        while self._waiting or self._running:
            self._begin()
            await asyncio.wait(self._running)

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._transactions_max:
            task = asyncio.ensure_future(self._answer_all(self._next_batch()))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    def _next_batch(self) -> list[_Job]:
        jobs = [self._waiting.popleft()]
        weight = jobs[0].weight
        while self._waiting and weight + self._waiting[0].weight <= WEIGHT_PER_BATCH_MAX:
            jobs.append(self._waiting.popleft())
            weight += jobs[-1].weight
        return jobs

    async def _answer_all(self, jobs: list[_Job]) -> None:
        """Answer all in one transaction; if one of several raises, answer each in its own."""
        if await self._measured(jobs) or len(jobs) == 1:
            return
        for job in jobs:
            await self._measured([job])

    async def _measured(self, jobs: list[_Job]) -> bool:
        """Do `_transact`, and report how long it took."""
        begun = time.perf_counter()
        is_answered = await self._transact(jobs)
        if self._note_batch is not None:
            future = jobs[0].future
            error = future.exception() if future.done() and not future.cancelled() else None
            self._note_batch(len(jobs), time.perf_counter() - begun, not isinstance(error, Unavailable))
        return is_answered

    async def _transact(self, jobs: list[_Job]) -> bool:
        """Answer these in one transaction; False if a function raised: then nothing was done.

        A single job gets what was raised as its answer.
        """
        groups: dict[Function, list[_Job]] = {}
        for job in jobs:
            groups.setdefault(job.function, []).append(job)

        async def work(connection: Connection) -> list[tuple[_Job, Any]]:
            answered: list[tuple[_Job, Any]] = []
            for function, its_jobs in groups.items():
                answers = await function(connection, [job.request for job in its_jobs])
                answered += zip(its_jobs, answers, strict=True)
            return answered

        try:
            answered = await persist(self._pool, work, is_repeatable=True)
        except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
            if is_world(error):
                _fail(jobs, unavailable(self._reason, self._url, error))
                return True
            if len(jobs) == 1:
                _fail(jobs, error)
            return False
        for job, answer in answered:
            if not job.future.done():
                job.future.set_result(answer)
        return True


def _fail(jobs: Sequence[_Job], error: BaseException) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
