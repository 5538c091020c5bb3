"""Which newer features an office understands. An office refuses the whole of a question that it cannot read.

The office publishes them (`/.well-known/pennyred`). A gate asks when it first needs to know, and again from time to
time.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from pennyred.gate.issuers.asking import Asker, RequestRefused
from pennyred.http.messages import INTRODUCTION_PATH, Issuer
from pennyred.postage.errors import Malformed, Unavailable

KEEP_SECONDS = 600.0
"""How long an answer is used: an office may be upgraded, or set back to an earlier release."""
PAUSE_SECONDS = 60.0
"""How long nobody asks in passing (`knows`) after that was in vain."""
_OK = 200


class Abilities:
    """The features of one office, as a gate knows them."""

    def __init__(self, asker: Asker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._asker = asker
        self._clock = clock
        self._known: frozenset[str] = frozenset()
        self._until = 0.0
        self._asking = asyncio.Lock()
        self._pause_until = 0.0
        self._passing: asyncio.Task[None] | None = None

    def knows(self, name: str) -> bool:
        """Whether the office has the feature `name`, as far as is known. Nobody waits: it is asked in passing.

        That goes past the asker's insistence, so that an office that answers questions about stamps and keeps this page
        from us is never taken for silent.
        """
        now = self._clock()
        if now >= max(self._until, self._pause_until) and self._passing is None:
            self._passing = asyncio.ensure_future(self._ask_in_passing())
        return name in self._known

    async def has(self, name: str) -> bool:
        """Whether the office has the feature `name`; raises `Unavailable` if that cannot be found out now."""
        async with self._asking:  # others who ask meanwhile get the same answer
            if self._clock() >= self._until:
                try:
                    self._known = await self._asker.get(INTRODUCTION_PATH, read_abilities)
                except RequestRefused:  # an old office does not even have this page
                    self._known = frozenset()
                self._until = self._clock() + KEEP_SECONDS
        return name in self._known

    def forget(self) -> None:
        """Ask again next time: the office has not understood what it said it would."""
        self._known = frozenset()
        self._until = 0.0

    def close(self) -> None:
        """Break off what is being asked in passing."""
        if self._passing is not None:
            self._passing.cancel()

    async def _ask_in_passing(self) -> None:
        try:
            status, octets = await self._asker.once(INTRODUCTION_PATH, None)
            if status == _OK:
                self._known = read_abilities(octets)
                self._until = self._clock() + KEEP_SECONDS
                return
            self._known = frozenset()
            self._pause_until = self._clock() + PAUSE_SECONDS
        except (Unavailable, Malformed):
            self._pause_until = self._clock() + PAUSE_SECONDS
        finally:
            self._passing = None


def read_abilities(octets: bytes) -> frozenset[str]:
    """Read the features out of an office's answer; raises `Malformed`."""
    try:
        return frozenset(msgspec.json.decode(octets, type=Issuer).abilities)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("not what a post office says of itself") from error
