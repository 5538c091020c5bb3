"""What an office understands that those of earlier releases do not: a question that it cannot read, it refuses whole.

An office says it of itself (`/.well-known/pennyred`); a gate asks before it first needs to know, and then now and then.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from pennyred.gate.issuers.asking import Asker, RequestRefused
from pennyred.http.messages import INTRODUCTION_PATH, Issuer
from pennyred.postage.errors import Malformed

KEEP_SECONDS = 600.0
"""How long an answer is believed: offices are brought up to date, and set back."""


class Abilities:
    """One office's, as a gate knows them."""

    def __init__(self, asker: Asker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._asker = asker
        self._clock = clock
        self._known: frozenset[str] = frozenset()
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def has(self, name: str) -> bool:
        """Whether the office has it; raises `Unavailable` where that cannot be known now."""
        async with self._asking:  # whoever comes meanwhile has the same answer
            if self._clock() >= self._until:
                try:
                    self._known = await self._asker.get(INTRODUCTION_PATH, read_abilities)
                except RequestRefused:  # not even this page
                    self._known = frozenset()
                self._until = self._clock() + KEEP_SECONDS
        return name in self._known

    def forget(self) -> None:
        """It has not understood what it said it would."""
        self._until = 0.0


def read_abilities(octets: bytes) -> frozenset[str]:
    """What an office says of itself; raises `Malformed`."""
    try:
        return frozenset(msgspec.json.decode(octets, type=Issuer).abilities)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("not what a post office says of itself") from error
