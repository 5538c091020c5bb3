"""The gate's state, opened anew for each story: what one has written the next one finds."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pennyred.gate.memory.store import GateState
from pennyred.storage.passing import Looker

NOW = 1_790_000_000


def teller_of(part: str) -> Callable[[Path, Callable[[Any], Awaitable[None]]], None]:
    """Tells a story of one part of the state in a file."""

    def on(path: Path, story: Callable[[Any], Awaitable[None]]) -> None:
        async def whole() -> None:
            state = GateState.open(path, now=NOW)
            try:
                await story(getattr(state, part))
            finally:
                await state.close()

        asyncio.run(whole())

    return on


async def time_passes(path: Path | str, until: int) -> None:
    """Let so much time have passed for the state that what is over by then is forgotten, with the next occasion."""
    state = GateState.open(path, now=until)
    passed = [0.0]
    looker = Looker(lambda: until, monotonic=lambda: passed[0])
    await state.passed.look(looker)
    passed[0] = 1e9
    assert (await state.passed.look(looker)).until == until
    await state.close()
