"""Whether a mail server is up, and when to try one that is down again."""

from collections.abc import Callable
from dataclasses import dataclass

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Health:
    """The health of one mail server, as this worker knows it. Times are seconds of the caller's clock."""

    failures: int = 0
    """How many attempts have failed since the last success."""
    down_since: float = 0.0
    retry_at: float = 0.0
    """When to try again, if it is down."""

    @property
    def is_up(self) -> bool:
        """Whether the last attempt succeeded, or there was none."""
        return not self.failures

    def is_due(self, now: float) -> bool:
        """Whether it is down and the wait is over."""
        return not self.is_up and now >= self.retry_at

    def failed(self, now: float, random: Callable[[], float]) -> bool:
        """Note that an attempt has failed; returns whether the server was up before.

        The wait doubles from 1 s to 60 s. `random` (0 to 1) shortens it by up to half, so that workers and gates do not
        all come at once. An attempt that fails before the wait is over was begun earlier, or because all were down. It
        does not make the wait longer.
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
        """Note that an attempt has succeeded; returns whether the server was down before."""
        is_news = not self.is_up
        self.failures = 0
        return is_news
