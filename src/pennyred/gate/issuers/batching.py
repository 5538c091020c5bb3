"""Many callers, one request: what several letters ask at nearly the same time travels together.

A question is a list that is never split. It waits a few milliseconds for company, longer only while as many requests
are under way as may be; then all that waits goes at once. Questions that must not travel together have other keys.
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
    """What goes into one request, and how many there are."""

    linger_seconds: float = 0.002
    items_max: int = ITEMS_MAX
    bytes_max: int = 2 * 2**20
    requests_max: int = 8
    """Under way at once."""
    waiting_max: int = 20_000
    """Items; beyond, callers are told `Unavailable`."""
    wait_seconds: float = 15.0
    """For an answer, waiting included."""


@dataclass(slots=True, eq=False)
class _Question(Generic[Item, Answer]):
    items: Sequence[Item]
    size: int
    future: asyncio.Future[list[Answer]]


class Batcher(Generic[Item, Answer]):
    """`send` is given a key and questions, and answers each in order; it raises `Unavailable` for all of them."""

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
        """The answers to one question of `size` bytes, about. Raises `Unavailable`.

        Who is cancelled only loses its answer: what was asked may be done all the same.
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
        """Whoever waits is told `Unavailable`."""
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
        """What waits under this key has had its time."""
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
            if key in self._queues and self._is_full(key):  # after those of other keys
                self._due[key] = None
            elif key in self._queues:
                self._wait_for_more(key)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dispatch()

    def _take(self, key: Hashable) -> list[_Question[Item, Answer]]:
        """The oldest questions, as many as fit; at least one where there is one."""
        queue, taken, items, size = self._queues[key], list[_Question[Item, Answer]](), 0, 0
        while queue:
            question = queue[0]
            items, size = items + len(question.items), size + question.size
            if taken and (items > self._limits.items_max or size > self._limits.bytes_max):
                break
            queue.popleft()
            self._items -= len(question.items)
            if question.future.done():  # nobody waits for it any more
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
            for question in questions:  # one of them spoils it for all: each by itself
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
