"""Time that passes for an event loop when a test says so: a machine that is slow at that moment changes nothing."""

import asyncio


def let_pass(seconds: float) -> None:
    """Have so many seconds pass at once for the running loop; what was to be done within them it does next."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]  # the loop itself goes by it, too
