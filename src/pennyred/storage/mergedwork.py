"""Many callers, one transaction, for PostgreSQL: what `groupcommit` is for SQLite, inside the event loop.

A transaction costs the same round trips and the same flush whatever it holds. While transactions are under way, what is
asked gathers; the next one takes all of it. Requests of one function are answered by one call of it. A function that
raises must not fail the requests of others: the transaction is rolled back and each is answered in one of its own. A
caller who is cancelled only loses its answer.
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
"""Beyond, callers are told `Unavailable`: they would wait for seconds, and memory is not without end."""
TRANSACTIONS_MAX = 2
"""Under way at once: while the server works on one, this process prepares the next."""


@dataclass(slots=True)
class _Job:
    function: Function
    request: Any
    weight: int
    future: asyncio.Future[Any]


class MergedWork:
    """Work for one database; belongs to one event loop."""

    def __init__(
        self,
        pool: Pool,
        url: str,
        *,
        reason: Reason,
        transactions_max: int = TRANSACTIONS_MAX,
        note_batch: NoteBatch | None = None,
    ) -> None:
        """`reason` is what `Unavailable` will say; `url` only for its text; `note_batch` hears of each transaction."""
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
        """Have `function` answer `request`, perhaps among others; what it does must be repeatable.

        When this returns, it is committed. Raises Unavailable, or what `function` raises.
        """
        if self._is_closing:
            raise Unavailable(self._reason, "the database is closed")
        if len(self._waiting) >= JOBS_WAITING_MAX:
            raise Unavailable(self._reason, "too many are waiting for the database")
        loop = asyncio.get_running_loop()
        job = _Job(function, request, weight, loop.create_future())
        self._waiting.append(job)
        loop.call_soon(self._begin)  # what is asked in the same turn of the loop goes together
        answer: Answer = await job.future
        return answer

    async def close(self) -> None:
        """Carry out what was asked; the pool stays open. May be called again."""
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
        """Answer all in one transaction; where one of several raises, each in its own."""
        if await self._measured(jobs) or len(jobs) == 1:
            return
        for job in jobs:
            await self._measured([job])

    async def _measured(self, jobs: list[_Job]) -> bool:
        """As `_transact`, and tell how long it took."""
        begun = time.perf_counter()
        is_answered = await self._transact(jobs)
        if self._note_batch is not None:
            future = jobs[0].future
            error = future.exception() if future.done() and not future.cancelled() else None
            self._note_batch(len(jobs), time.perf_counter() - begun, not isinstance(error, Unavailable))
        return is_answered

    async def _transact(self, jobs: list[_Job]) -> bool:
        """Answer these in one transaction; False when a function raised: then nothing was done.

        A job that is alone is told what was raised.
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
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it, whatever it is
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
