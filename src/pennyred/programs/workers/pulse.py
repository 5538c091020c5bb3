"""A worker's signs of life: to its supervisor by the board, to the service manager itself where it is all there is."""

import asyncio
from collections.abc import Callable

from pennyred.programs.systemd.herald import Herald
from pennyred.programs.workers.board import Line


class Pulse:
    """Beats as long as the event loop turns; with a `herald` this process is the one the service manager started."""

    def __init__(self, line: Line, seconds: float, herald: Herald | None = None) -> None:
        self._line = line
        self._seconds = seconds
        self._herald = herald

    async def beat(self, in_hand: Callable[[], tuple[int, int]]) -> None:
        """For ever; `in_hand` says how many connections and letters there are."""
        while True:
            self._line.beat(*in_hand())
            self._look()
            await asyncio.sleep(self._seconds)

    def serving(self) -> None:
        """Clients are let in."""
        self._line.serving()
        self._look()

    @property
    def is_behind(self) -> bool:
        """Whether the settings were to be read again before this worker could hear of it."""
        return self._line.is_behind

    def rereading(self) -> None:
        """The signal to read the settings again has come."""
        if self._herald is not None:
            self._herald.reloading()

    def reread(self, *, is_refused: bool) -> None:
        """The settings have been read again, and are used unless they are wrong."""
        self._line.reread(is_refused=is_refused)
        self._look()

    def stopping(self) -> None:
        """The letters in hand are finished, and nobody is let in any more."""
        if self._herald is not None:
            self._herald.stopping()

    def _look(self) -> None:
        if self._herald is not None:
            self._herald.look()
