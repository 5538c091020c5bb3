"""Whether a mail server of several is worth asking, and when again."""

from collections.abc import Callable
from dataclasses import dataclass

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Health:
    """Of one mail server, as far as this worker has found out. Times are seconds of whatever clock the caller has."""

    failures: int = 0
    """In a row."""
    down_since: float = 0.0
    retry_at: float = 0.0
    """When it is worth another attempt; of no meaning while it is up."""

    @property
    def is_up(self) -> bool:
        """Whether the last attempt went well, or there was none."""
        return not self.failures

    def is_due(self, now: float) -> bool:
        """Whether it is down and worth another attempt."""
        return not self.is_up and now >= self.retry_at

    def failed(self, now: float, random: Callable[[], float]) -> bool:
        """An attempt to reach it has failed; whether that is news.

        The wait doubles from one second to sixty; `random` (0 to 1) shortens it by up to half, so that the workers and
        gates of one house do not come all at once. What fails before the wait is over was begun before, or out of
        need, and makes it no longer.
        """
        is_news = self.is_up
        if is_news:
            self.down_since = now
        elif now < self.retry_at:
            return False
        wait_seconds = min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(self.failures, 16))
        self.failures += 1
        self.retry_at = now + wait_seconds * (1 - random() / 2)
        return is_news

    def succeeded(self) -> bool:
        """It has been reached; whether that is news."""
        is_news = not self.is_up
        self.failures = 0
        return is_news
