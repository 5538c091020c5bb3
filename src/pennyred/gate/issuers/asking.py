"""Asks one office over HTTP: one question at a time, with a deadline, repetitions and the receiver's token.

Every question may be repeated safely. It is repeated after a failed connection and after 5xx, with growing pauses,
until its deadline. Whatever goes wrong is `Unavailable` ("later"), also if the gate's own settings are the cause: no
letter is refused because of a wrong token. The office's answer is not trusted: its length is limited, and the caller
reads it.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from pennyred.failures import told
from pennyred.gate.issuers.circuit import Circuit
from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.reasons import Reason

ANSWER_BYTES_MAX = 8 * 2**20
KEEP_ALIVE_SECONDS = 10.0
"""Less than an office's own 15 s (`http.server`), so that the gate usually closes an idle connection first."""
LOUD_SECONDS = 60.0
"""The pause between two log lines about a token or a question that the office refuses."""
_TEXT_MAX = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a gate waits for an office."""

    deadline_seconds: float = 10.0
    """The time for an answer, with all repetitions. An SMTP client waits for its reply meanwhile."""
    attempt_seconds: float = 4.0
    """The time for one attempt, so that a dead connection leaves time for another attempt."""
    pause_seconds: float = 0.1
    """The pause before the first repetition, roughly; it doubles each time."""
    connections_max: int = 8


class RequestRefused(Unavailable):
    """The office refuses the question itself (4xx): one side has an error. Other questions may still be answered."""


class _Failed(Exception):  # noqa: N818 - an attempt's end, never seen outside
    def __init__(self, why: str, *, is_worth_repeating: bool) -> None:
        super().__init__(why)
        self.is_worth_repeating = is_worth_repeating


class Asker:
    """Asks the office at `url` with the receiver's `token`, from `start` until `close`."""

    def __init__(
        self,
        url: str,
        token: str,
        log: Any,
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._log = log
        self._patience = patience or Patience()
        self._clock = clock
        self._jitter = jitter
        self._circuit = Circuit(clock, jitter)
        self._session: aiohttp.ClientSession | None = None
        self._quiet_until = 0.0

    def start(self) -> None:
        """Make the pool of connections; an event loop must be running."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._patience.connections_max, keepalive_timeout=KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=self._patience.attempt_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small compressed answer must not become a large one
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def replace_token(self, token: str) -> None:
        """Use another token from now on. The office is asked at once, even if it has refused the old one."""
        self._token = token
        self._circuit.close()

    async def post(self, path: str, body: bytes | None, read: Callable[[bytes], T]) -> T:
        """Ask, and return what `read` makes of the answer (`read` raises `Malformed`).

        Without a body the page is only read (GET). Raises `Unavailable` or `RequestRefused`.
        """
        try:
            async with asyncio.timeout(self._patience.deadline_seconds):
                return await self._insist(path, body, read)
        except TimeoutError as error:
            self._failed(why := f"no answer within {self._patience.deadline_seconds:g} s")
            raise self._unavailable(why) from error

    async def get(self, path: str, read: Callable[[bytes], T]) -> T:
        """Read a page (GET), as `post` does without a body."""
        return await self.post(path, None, read)

    async def once(self, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Make one attempt, which changes nothing for others; returns the HTTP status and the answer.

        Without a body the page is only read (GET). Raises `Unavailable` if there is no answer.
        """
        try:
            return await self._exchange(path, body)
        except _Failed as failed:
            raise self._unavailable(str(failed)) from failed

    async def _insist(self, path: str, body: bytes | None, read: Callable[[bytes], T]) -> T:
        pause_seconds = self._patience.pause_seconds
        while True:
            if not self._circuit.admits():
                raise self._unavailable("it did not answer before, and is left alone for a while")
            try:
                answer = read(self._taken(*await self._exchange(path, body)))
            except (_Failed, Malformed) as failed:
                self._failed(str(failed))
                if not isinstance(failed, _Failed) or not failed.is_worth_repeating:
                    raise self._unavailable(str(failed)) from failed
            else:
                if self._circuit.close():
                    self._log.info("office.up", office=self._url)
                return answer
            await asyncio.sleep(pause_seconds * (0.5 + self._jitter()))
            pause_seconds *= 2

    async def _exchange(self, path: str, body: bytes | None) -> tuple[int, bytes]:
        assert self._session is not None
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                self._url + path,
                data=body,
                headers={"Authorization": f"Bearer {self._token}"},
                allow_redirects=False,  # the token must not go to another place
            ) as response:
                answer = bytearray()
                while piece := await response.content.read(ANSWER_BYTES_MAX):
                    answer += piece
                    if len(answer) > ANSWER_BYTES_MAX:
                        raise _Failed("an answer without end", is_worth_repeating=False)
                return response.status, bytes(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _Failed(told(error)[:_TEXT_MAX], is_worth_repeating=True) from error

    def _taken(self, status: int, answer: bytes) -> bytes:
        """The answer, if the status is good; else raises `RequestRefused` or `_Failed`."""
        match status:
            case 200:
                return answer
            case 401 | 403:
                self._say_loudly("office.refuses_token", status)
                raise _Failed(f"it refuses our token ({status})", is_worth_repeating=False)
            case 429:
                raise _Failed("it is asked too often (429)", is_worth_repeating=False)
            case _ if status >= 500:
                raise _Failed(f"it answers {status}", is_worth_repeating=True)
            case _:
                text = answer[:_TEXT_MAX].decode("ascii", "backslashreplace")
                self._say_loudly("office.refuses_request", status, text)
                raise RequestRefused(Reason.OFFICE_UNREACHABLE, f"{self._url}: {status}", is_silence=False)

    def _failed(self, why: str) -> None:
        if self._circuit.failed():
            self._log.warning("office.down", office=self._url, why=why)

    def _say_loudly(self, event: str, status: int, text: str = "") -> None:
        """Log at level error what an admin has to mend: once a minute, not for each letter."""
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + LOUD_SECONDS
            self._log.error(event, office=self._url, status=status, detail=text)

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: {why}")
