"""How often DNS is asked for keys that nobody has found yet: what stamps name is a stranger's to invent.

So many a minute for one source, more for all sources of one office together, and so many at once in one worker. Each
office has its own measure: whoever invents selectors of one keeps no key of another from being found. Keys that are
known are asked for again without any of this.
"""

from typing import Protocol

UNDER_WAY_MAX = 16
"""Of one office, at once, in one worker: where its DNS is silent each takes ten seconds."""
PER_SOURCE_MAX = 10
"""A minute. An office has one or two new keys a year."""
PER_OFFICE_MAX = 600


class Minute(Protocol):
    """What is counted in this minute of all workers together, by name."""

    def taken(self, name: bytes) -> int: ...  # noqa: D102
    def take(self, name: bytes) -> None: ...  # noqa: D102


class KeyQuestions:
    """What one worker asks, counted in a minute that all have in common."""

    def __init__(self, minute: Minute) -> None:
        self._minute = minute

    def may_ask(self, issuer: str, source: str, *, under_way: int) -> bool:
        """Count one more; False where it is too many. `source` is a network, empty where it is not known."""
        of_all = issuer.encode()
        of_source = f"{issuer} {source}".encode()
        if under_way >= UNDER_WAY_MAX or self._minute.taken(of_all) >= PER_OFFICE_MAX:
            return False
        if source:
            if self._minute.taken(of_source) >= PER_SOURCE_MAX:
                return False
            self._minute.take(of_source)
        self._minute.take(of_all)
        return True
