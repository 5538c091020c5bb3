"""How often DNS is asked for keys that nobody has found yet: what stamps name is a stranger's to invent.

So many a minute for one source, more for all sources of one office together, and so many at once. Each office has its
own measure: whoever invents selectors of one keeps no key of another from being found. Keys that are known are asked
for again without any of this.
"""

from collections import Counter
from collections.abc import Callable

UNDER_WAY_MAX = 16
"""Of one office, at once: where its DNS is silent each takes ten seconds."""
PER_SOURCE_MAX = 10
"""A minute. An office has one or two new keys a year."""
PER_OFFICE_MAX = 600
SOURCES_MAX = 5000
"""Told apart in one minute; of more only the sum counts."""
_MINUTE_SECONDS = 60


class KeyQuestions:
    """For one worker; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._minute = 0.0
        self._by_office: Counter[str] = Counter()
        self._by_source: Counter[tuple[str, str]] = Counter()

    def may_ask(self, issuer: str, source: str, *, under_way: int) -> bool:
        """Count one more; False where it is too many. `source` is a network, empty where it is not known."""
        minute = self._clock() // _MINUTE_SECONDS
        if minute != self._minute:
            self._minute = minute
            self._by_office.clear()
            self._by_source.clear()
        if under_way >= UNDER_WAY_MAX or self._by_office[issuer] >= PER_OFFICE_MAX:
            return False
        if source:
            if self._by_source[issuer, source] >= PER_SOURCE_MAX:
                return False
            if len(self._by_source) < SOURCES_MAX or (issuer, source) in self._by_source:
                self._by_source[issuer, source] += 1
        self._by_office[issuer] += 1
        return True
