"""Many callers, one transaction: the thread that owns a connection and does everybody's work in batches.

A commit with synchronous=FULL costs a disk flush, whatever it holds. So callers queue their jobs (functions of the
connection), and one thread a process takes what is waiting, runs it in one transaction, flushes once and wakes all.
While it flushes, the next batch gathers; nobody waits on purpose.

A job that raises must not fail the others: the transaction is rolled back and each job is run again in one of its own,
so jobs must have no effect but on the database. A world that does not answer (`WORLD_ERRORS`) fails the whole batch
with `Unavailable`. A caller who is cancelled only loses its answer: its job runs all the same, once or not at all.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apsw

from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.storage.database import WORLD_ERRORS

T = TypeVar("T")

JOBS_PER_BATCH_MAX = 512
WEIGHT_PER_BATCH_MAX = 4096
"""Bounds the length of a transaction, during which other processes wait."""
JOBS_WAITING_MAX = 10_000
"""Beyond, callers are told `Unavailable`: they would wait for seconds, and memory is not without end."""


@dataclass(slots=True)
class _Job:
    """One caller's work, and where the answer goes."""

    work: Callable[[apsw.Connection], Any]
    weight: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)

    def deliver(self) -> None:
        """Wake the caller, in its own event loop, unless it has gone."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommit:
    """One connection, one thread, batched transactions."""

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        name: str,
        reason: Reason,
        begin: str = "BEGIN IMMEDIATE",
    ) -> None:
        """Take over `connection` and start; `begin` is `BEGIN` for one that only reads.

        `reason` is what `Unavailable` will say.
        """
        self._connection = connection
        self._begin = begin
        self._reason = reason
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing_lock = threading.Lock()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[apsw.Connection], T], *, weight: int = 1) -> T:
        """Run `work` in a transaction shared with others; when this returns, it is committed.

        `weight` is roughly how many rows it touches. Raises Unavailable, or what `work` raises.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, weight, loop, loop.create_future())
        with self._closing_lock:
            if self._is_closing:
                raise Unavailable(self._reason, "the database is closed")
            if self._queue.qsize() >= JOBS_WAITING_MAX:
                raise Unavailable(self._reason, "too many are waiting for the database")
            self._queue.put(job)
        answer: T = await job.future
        return answer

    async def close(self) -> None:
        """Finish what is queued, then close the connection. May be called again."""
        self.close_soon()
        await asyncio.to_thread(self._thread.join)

    def close_soon(self) -> None:
        """Take no more jobs; the thread ends after those queued."""
        with self._closing_lock:
            if not self._is_closing:
                self._is_closing = True
                self._queue.put(None)

    def _run(self) -> None:
        """The thread: batch after batch until closed."""
        is_open = True
        while is_open:
            jobs, is_open = self._gather()
            if jobs:
                self._run_batch(jobs)
                _deliver(jobs)
        self._connection.close()

    def _gather(self) -> tuple[list[_Job], bool]:
        """Wait for a job, and take what else is waiting, within the bounds of a batch."""
        jobs: list[_Job] = []
        weight = 0
        item = self._queue.get()
        while item is not None:
            jobs.append(item)
            weight += item.weight
            if len(jobs) >= JOBS_PER_BATCH_MAX or weight >= WEIGHT_PER_BATCH_MAX:
                return jobs, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _run_batch(self, jobs: list[_Job]) -> None:
        """Run all in one transaction; where one of several raises, each in its own."""
        if self._run_transaction(jobs) or len(jobs) == 1:
            return
        for job in jobs:
            job.error = None
            self._run_transaction([job])

    def _run_transaction(self, jobs: list[_Job]) -> bool:
        """Run these jobs in one transaction; False when one raised: then nothing was done and each has the error."""
        try:
            self._connection.execute(self._begin)
            for job in jobs:
                job.result = job.work(self._connection)
            self._connection.execute("COMMIT")
        except WORLD_ERRORS as error:
            self._undo()
            for job in jobs:
                job.error = Unavailable(self._reason, f"{type(error).__name__}: {error}")
            return True
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it, whatever it is; the thread must live
            self._undo()
            for job in jobs:
                job.error = error
            return False
        return True

    def _undo(self) -> None:
        """Roll back what is left of the transaction: SQLite itself ends it after some errors."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except WORLD_ERRORS:
                return  # SQLite rolls back by itself when the disk fails; the next BEGIN says if it did not


def _deliver(jobs: list[_Job]) -> None:
    """Wake the callers, one wake-up an event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, its_jobs)
        except RuntimeError:
            continue  # that loop was closed meanwhile: nobody waits


def _deliver_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
