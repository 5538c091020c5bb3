"""How long the phases of a letter's life took, for the log and for the metrics."""

import time
from enum import StrEnum


class Phase(StrEnum):
    """What a letter's time is spent on."""

    RECEIVE = "receive"
    """From its first octet to its last: the client's time."""
    JUDGE = "judge"
    """Who wants it, where it comes from, whether its stamps hold."""
    HOLD = "hold"
    """Allowances, and the office's answers."""
    DELIVER = "deliver"
    """With the mail server."""
    SETTLE = "settle"
    """The office or the outbox, after the delivery."""


class Stopwatch:
    """Of one letter; runs from when it is made."""

    __slots__ = ("_begun", "_last", "seconds")

    def __init__(self, receive_ms: int) -> None:
        self.seconds: dict[Phase, float] = {Phase.RECEIVE: receive_ms / 1000}
        """Of the phases that it has come to."""
        self._begun = self._last = time.perf_counter()

    def lap(self, phase: Phase) -> None:
        """All since the last lap was this; each phase comes once."""
        now = time.perf_counter()
        self.seconds[phase] = now - self._last
        self._last = now

    @property
    def total_seconds(self) -> float:
        """From the letter's first octet until now."""
        return self.seconds[Phase.RECEIVE] + time.perf_counter() - self._begun

    def milliseconds(self, phase: Phase) -> float:
        """Of one phase, to the tenth; 0 where the letter has not come to it."""
        return round(self.seconds.get(phase, 0.0) * 1000, 1)
