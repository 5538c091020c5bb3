"""A ledger's process that was started anew: those who held something hold it again before others hold anything.

Such a hold may have been in the memory of the process before. As nobody can slip in between, a letter under way does
not lose its stamp to another, unless its worker takes longer than `GRACE_SECONDS` to come back: others do not wait for
one that hangs. Then it may find its stamp held by another letter, as after a cut of the power.
"""

import asyncio
from collections.abc import Callable, Collection

from pennyred.office.ledger.remote.asks import Ask, Hold, VoidAll

GRACE_SECONDS = 1.0
"""How long to wait for a worker that does not come back."""


class ComingBack:
    """Who is waited for. `on_over` is called once, when nobody is any more."""

    def __init__(self, workers: Collection[int], on_over: Callable[[], object]) -> None:
        """`workers` are the numbers of those that ran when the process was started; without any, it is over at once."""
        self._awaited = set(workers)
        self._on_over = on_over
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin to wait."""
        if self._awaited:
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end)

    @property
    def is_over(self) -> bool:
        """Whether anybody may hold."""
        return not self._awaited

    def holds_up(self, ask: Ask) -> bool:
        """Whether this ask has to wait: a new hold. So does what would give one back, as it may not overtake it."""
        return bool(self._awaited) and (isinstance(ask, VoidAll) or (isinstance(ask, Hold) and not ask.is_again))

    def back(self, worker: int | None) -> None:
        """Note that this worker holds again what it held."""
        if worker in self._awaited:
            self._awaited.remove(worker)
            if not self._awaited:
                self._end()

    def _end(self) -> None:
        self._awaited.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._on_over()
