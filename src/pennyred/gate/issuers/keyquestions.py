"""How often the DNS is asked for keys that were not found yet: a stranger can invent any name on a stamp.

There are limits for one source in a minute, for all sources together in a minute, and for one worker at once. Each
office has its own: whoever invents selectors of one office does not stop the keys of another from being found. Known
keys are asked for again without limits.
"""

from typing import Protocol

UNDER_WAY_MAX = 16
"""The most questions about one office at once in one worker. If its DNS is silent, each takes ten seconds."""
PER_SOURCE_MAX = 10
"""The most questions of one source in a minute. An office has one or two new keys a year."""
PER_OFFICE_MAX = 600


class Minute(Protocol):
    """Counts by name in the present minute, of all workers together."""

    def taken(self, name: bytes) -> int: ...  # noqa: D102
    def take(self, name: bytes) -> None: ...  # noqa: D102


class KeyQuestions:
    """Decides for one worker whether to ask; all workers count together."""

    def __init__(self, minute: Minute) -> None:
        self._minute = minute

    def may_ask(self, issuer: str, source: str, *, under_way: int) -> bool:
        """Count a question; False if it is too many. `source` is a network, empty if it is not known."""
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
