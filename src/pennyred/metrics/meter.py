"""Counts for one worker, in the callers' words. It is cheap, never waits and raises nothing."""

from collections.abc import Sequence

from pennyred.gate.rules.figures import Fact, Outcome
from pennyred.gate.timing import Phase, Stopwatch
from pennyred.metrics import catalogue as all_metrics
from pennyred.metrics.sheet import Page
from pennyred.postage.reasons import Reason

_ROUTES = frozenset(all_metrics.ROUTES)


class Meter:
    """The meter of one worker; parts of it are handed to those who count."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._letters = page.counter(all_metrics.LETTERS)
        self._recipients = page.counter(all_metrics.RECIPIENTS)
        self._altered = page.counter(all_metrics.ALTERED)
        phases = page.histogram(all_metrics.PHASES)
        self._phases = {phase: phases.of(phase) for phase in Phase}
        self._whole = page.histogram(all_metrics.WHOLE_LETTER).of()
        self.redemptions = page.counter(all_metrics.REDEMPTIONS)
        self._requests = page.counter(all_metrics.REQUESTS)
        self._request_seconds = page.histogram(all_metrics.REQUEST_SECONDS)
        self._batch_size = page.histogram(all_metrics.BATCH_SIZE)
        self._batch_seconds = page.histogram(all_metrics.BATCH_SECONDS)
        self._batch_failures = page.counter(all_metrics.BATCH_FAILURES)
        self._swept = page.counter(all_metrics.SWEPT)
        self._behind = page.gauge(all_metrics.BEHIND)
        self._refused_copies = page.counter(all_metrics.REFUSED_COPIES)

    def letter(self, facts: Sequence[Fact]) -> None:
        """Count a letter that has its answer, by what that means for each recipient."""
        if facts:
            self._letters.add(facts[0].outcome, facts[0].reason)
        for fact in facts:
            self._recipients.add(fact.outcome, fact.reason)
            if fact.row is not None:
                self._altered.add(fact.row)

    def failed(self, reason: Reason, recipients: int) -> None:
        """Count a letter that is answered "later", because something did not answer, or failed inside the desk."""
        self._letters.add(Outcome.DEFERRED_HERE, reason)
        self._recipients.add(Outcome.DEFERRED_HERE, reason, by=recipients)

    def refused_copies(self, what: str, letters: int) -> None:
        """Count copies of refused letters that went before their time ("crowded-out") or were not made ("left-out")."""
        self._refused_copies.add(what, by=letters)

    def took(self, times: Stopwatch) -> None:
        """Count the durations of the phases that a letter has come to."""
        for phase, seconds in times.seconds.items():
            self._phases[phase].observe(seconds)
        self._whole.observe(times.total_seconds)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answer of the office's API: its path, HTTP status and duration."""
        route = path if path in _ROUTES else all_metrics.OTHER
        self._requests.add(route, f"{status // 100}xx")
        self._request_seconds.observe(seconds, route)

    def batch(self, requests: int, seconds: float, is_done: bool) -> None:
        """Count a transaction of the ledger, done or failed. Called in the thread that did it."""
        self._batch_size.observe(requests)
        self._batch_seconds.observe(seconds)
        if not is_done:
            self._batch_failures.add()

    def swept(self, voided: int, settled: int, days: int) -> None:
        """Count what a sweep of the ledger has voided, settled and dropped."""
        for what, count in (("voided", voided), ("settled", settled), ("days", days)):
            self._swept.add(what, by=count)

    def behind(self, database: str, seconds: float) -> None:
        """Note by how many seconds the "ledger" or "state" forgets later than the clock says."""
        self._behind.put(seconds, database)

    def sweep_failed(self) -> None:
        """Count a sweep that the ledger did not answer."""
        self._swept.add("failed")
