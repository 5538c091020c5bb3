"""Do blocking work in a thread, and always wait for its end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: Callable[[], T]) -> T:
    """Do `work` in a thread and wait for its end, even if the caller is cancelled.

    So whatever the work uses may be closed when this returns, and never before. Raises what `work` raises.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # mark it as seen, as nobody waits for it
        raise
