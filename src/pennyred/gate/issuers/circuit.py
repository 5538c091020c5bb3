"""A circuit breaker: an office that does not answer is not asked for a while; letters that need it wait.

While it is closed, everybody may ask. After some failures in a row it opens, and nobody may ask. After a pause one may
try (half-open). The pause doubles with each try that fails. The first success closes it.
"""

from collections.abc import Callable

FAILURES_MAX = 5
PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 8.0


class Circuit:
    """The breaker of one office in one worker. `clock` is monotonic, in seconds; `random` returns 0 to 1."""

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        *,
        failures_max: int = FAILURES_MAX,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._clock = clock
        self._random = random
        self._failures_max = failures_max
        self._pause_seconds_min = pause_seconds
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._try_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nobody may ask now, except one from time to time."""
        return self._failures >= self._failures_max

    def admits(self) -> bool:
        """Whether the caller may ask now. While open, only one gets True; the next one after another pause."""
        if not self.is_open:
            return True
        if self._clock() < self._try_at:
            return False
        self._pause_seconds = min(2 * self._pause_seconds, PAUSE_SECONDS_MAX)
        self._set_pause()
        return True

    def failed(self) -> bool:
        """Note that the office did not answer; True if this has opened the circuit."""
        if self.is_open:
            return False
        self._failures += 1
        if self.is_open:
            self._set_pause()
        return self.is_open

    def close(self) -> bool:
        """Close the circuit: the office answered, or a change may help. True if it was open."""
        was_open = self.is_open
        self._failures = 0
        self._pause_seconds = self._pause_seconds_min
        return was_open

    def _set_pause(self) -> None:
        # Workers and sister gates must not all try again at the same moment.
        self._try_at = self._clock() + self._pause_seconds * (0.5 + self._random())
