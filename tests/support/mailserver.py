"""The scripted mail server on an event loop of its own, so that a test can speak SMTP the plain, blocking way."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.support.fake_upstream import FakeUpstream, Taken

WAIT_SECONDS = 60.0


class MailServer:
    """A context manager; everything may be called from the test's thread."""

    def __init__(self, **script: Any) -> None:
        self._script = script
        self._started = threading.Event()

    def __enter__(self) -> "MailServer":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """It dies; may be called again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with FakeUpstream(**self._script) as self.fake:
            self._started.set()
            await self._stop.wait()

    @property
    def port(self) -> int:
        return self.fake.port

    @property
    def letters(self) -> list[Taken]:
        return list(self.fake.letters)

    def answer(self, verb: bytes, *answers: object) -> None:
        """The next answers to a verb; `b"."` is the final dot."""
        self._loop.call_soon_threadsafe(self.fake.answers[verb].extend, answers)

    def hold_back(self, verb: bytes, then: object = None) -> Callable[[], None]:
        """The next answer to a verb waits until the function that is returned is called; it is yes, or `then`."""
        event = asyncio.Event()
        self.answer(verb, event if then is None else (event, then))
        return lambda: self._loop.call_soon_threadsafe(event.set) and None

    def forget(self) -> None:
        """Letters and commands heard so far."""
        self.fake.letters.clear()
        self.fake.commands.clear()
        self.fake.answers.clear()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened here."""
        waiting = asyncio.run_coroutine_threadsafe(self.fake.until(condition), self._loop)
        waiting.result(WAIT_SECONDS)

    def forget_answers(self) -> None:
        """From now on it is a good mail server; who hangs goes on hanging."""
        self._loop.call_soon_threadsafe(self.fake.answers.clear)

    def hang_up_on_all(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self.fake.drop_all)
