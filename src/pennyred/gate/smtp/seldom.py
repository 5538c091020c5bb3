"""A log line that strangers can cause as often as they like, written at most once a minute."""

import time
from typing import Any

PAUSE_SECONDS = 60.0


class Seldom:
    """One log event. Occurrences that were not logged are in the next line's count."""

    __slots__ = ("_count", "_event", "_log", "_quiet_until")

    def __init__(self, log: Any, event: str) -> None:
        self._log = log
        self._event = event
        self._count = 0
        self._quiet_until = 0.0

    def note(self, **facts: Any) -> None:
        """Count an occurrence. Log it with these facts, and the count since the last line, if that is a minute old."""
        self._count += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            self._log.warning(self._event, times=self._count, **facts)
            self._count = 0
            self._quiet_until = now + PAUSE_SECONDS
