"""The time of day, for programs: what decides something is told the time by its caller."""

import time


def clock() -> int:
    """The time of day, in seconds since 1970 UTC."""
    return int(time.time())
