"""A worker's signs of life: on the board for its supervisor; a single worker also tells the service manager."""

import asyncio
from collections.abc import Callable

from pennyred.programs.systemd.herald import Herald
from pennyred.programs.workers.board import Line


class Pulse:
    """Beats while the event loop turns. With a `herald`, this process is the one that the service manager started."""

    def __init__(self, line: Line, seconds: float, herald: Herald | None = None) -> None:
        self._line = line
        self._seconds = seconds
        self._herald = herald

    async def beat(self, in_hand: Callable[[], tuple[int, int]]) -> None:
        """Write signs of life until cancelled; `in_hand` returns the numbers of connections and letters."""
        while True:
            self._line.beat(*in_hand())
            self._look()
            await asyncio.sleep(self._seconds)

    def serving(self) -> None:
        """Tell that clients are let in."""
        self._line.serving()
        self._look()

    @property
    def is_behind(self) -> bool:
        """Whether a reload was asked for before this worker could receive the signal."""
        return self._line.is_behind

    def rereading(self) -> None:
        """Tell that a reload begins: its signal has come."""
        if self._herald is not None:
            self._herald.reloading()

    def reread(self, *, is_refused: bool) -> None:
        """Tell that a reload is done; `is_refused`: its settings were wrong and are not used."""
        self._line.reread(is_refused=is_refused)
        self._look()

    def stopping(self) -> None:
        """Tell that the worker is stopping: letters in hand are finished, and no client is let in."""
        if self._herald is not None:
            self._herald.stopping()

    def _look(self) -> None:
        if self._herald is not None:
            self._herald.look()
