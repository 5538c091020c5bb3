"""Many callers, one request: questions that several letters ask at nearly the same time are sent together.

A question is a list of items, and is never split. It waits a few milliseconds for others. It waits longer only while
the largest number of requests is under way; then all that waits is sent at once. Questions with different keys are
never sent together.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pennyred.gate.issuers.asking import RequestRefused
from pennyred.http.redemptions import ITEMS_MAX
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of one request, and of the number of requests."""

    linger_seconds: float = 0.002
    items_max: int = ITEMS_MAX
    bytes_max: int = 2 * 2**20
    requests_max: int = 8
    """The most requests under way at once."""
    waiting_max: int = 20_000
    """The most items that wait; beyond, callers get `Unavailable`."""
    wait_seconds: float = 15.0
    """The time for an answer, with the waiting before the request."""


@dataclass(slots=True, eq=False)
class _Question(Generic[Item, Answer]):
    items: Sequence[Item]
    size: int
    future: asyncio.Future[list[Answer]]


class Batcher(Generic[Item, Answer]):
    """Collects questions. `send` gets a key and questions and returns the answers in order, or raises `Unavailable`."""

    def __init__(
        self,
        send: Callable[[Any, Sequence[Sequence[Item]]], Awaitable[list[list[Answer]]]],
        limits: BatchLimits,
    ) -> None:
        self._send = send
        self._limits = limits
        self._queues: dict[Hashable, deque[_Question[Item, Answer]]] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}
        self._due: dict[Hashable, None] = {}
        self._items = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, items: Sequence[Item], size: int, key: Hashable = None) -> list[Answer]:
        """Ask one question, of about `size` bytes; returns an answer for each item. Raises `Unavailable`.

        A caller that is cancelled only loses its answer: the question may still be sent and carried out.
        """
        if self._items + len(items) > self._limits.waiting_max:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "too many wait for the office", is_silence=False)
        loop = asyncio.get_running_loop()
        question = _Question[Item, Answer](items, size, loop.create_future())
        self._queues.setdefault(key, deque()).append(question)
        self._items += len(items)
        if key not in self._timers and key not in self._due:
            self._wait_for_more(key)
        elif key in self._timers and self._is_full(key):
            self._begin(key)
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                return await question.future
        except TimeoutError as error:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "too many wait for the office, for too long") from error

    async def close(self) -> None:
        """Raise `Unavailable` in all callers that wait."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        waiting = [question for queue in self._queues.values() for question in queue]
        self._queues.clear()
        self._due.clear()
        _fail(waiting, Unavailable(Reason.OFFICE_UNREACHABLE, "the program stops"))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _is_full(self, key: Hashable) -> bool:
        queue = self._queues[key]
        return (
            sum(len(question.items) for question in queue) >= self._limits.items_max
            or sum(question.size for question in queue) >= self._limits.bytes_max
        )

    def _wait_for_more(self, key: Hashable) -> None:
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._limits.linger_seconds, self._begin, key)

    def _begin(self, key: Hashable) -> None:
        """Send what waits under this key: its time for waiting is over."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        self._due[key] = None
        self._dispatch()

    def _dispatch(self) -> None:
        while self._due and len(self._tasks) < self._limits.requests_max:
            key = next(iter(self._due))
            del self._due[key]
            if questions := self._take(key):
                task = asyncio.create_task(self._carry(key, questions))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            if key in self._queues and self._is_full(key):  # it goes to the end of the queue, after other keys
                self._due[key] = None
            elif key in self._queues:
                self._wait_for_more(key)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dispatch()

    def _take(self, key: Hashable) -> list[_Question[Item, Answer]]:
        """Take the oldest questions, as many as fit into a request; at least one if there is any."""
        queue, taken, items, size = self._queues[key], list[_Question[Item, Answer]](), 0, 0
        while queue:
            question = queue[0]
            items, size = items + len(question.items), size + question.size
            if taken and (items > self._limits.items_max or size > self._limits.bytes_max):
                break
            queue.popleft()
            self._items -= len(question.items)
            if question.future.done():  # its caller was cancelled
                items, size = items - len(question.items), size - question.size
            else:
                taken.append(question)
        if not queue:
            del self._queues[key]
        return taken

    async def _carry(self, key: Hashable, questions: list[_Question[Item, Answer]]) -> None:
        try:
            answers = await self._send(key, [question.items for question in questions])
        except RequestRefused as refused:
            if len(questions) == 1:
                _fail(questions, refused)
                return
            for question in questions:  # one of them makes the office refuse all: send each alone
                await self._carry(key, [question])
        except asyncio.CancelledError:
            _fail(questions, Unavailable(Reason.OFFICE_UNREACHABLE, "the program stops"))
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked gets it, whatever it is
            _fail(questions, error)
        else:
            for question, answer in zip(questions, answers, strict=True):
                if not question.future.done():
                    question.future.set_result(answer)


def _fail(questions: Sequence[_Question[Any, Any]], error: Exception) -> None:
    for question in questions:
        if not question.future.done():
            question.future.set_exception(error)
