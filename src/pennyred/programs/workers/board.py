"""Signs of life of the workers, in memory that they share with their supervisor: each writes its own line and no other.

A cell is one machine word, so that it is read as it was written, without a lock that a killed worker could keep.
"""

import mmap
import time
from enum import IntEnum

_WORD_BYTES = 8


class _Cell(IntEnum):
    """What stands where in a worker's line."""

    BEAT = 0
    """When its event loop last turned, in nanoseconds of the machine's monotonic clock; 0: not yet."""
    IS_SERVING = 1
    LETTERS = 2
    CONNECTIONS = 3
    REREAD = 4
    """The number of the last reading of the settings it knows of."""
    IS_REFUSED = 5
    """Whether it could not use them."""


class Board:
    """One line for each worker; made before they are forked."""

    def __init__(self, count: int) -> None:
        self._cells = memoryview(mmap.mmap(-1, (1 + count * len(_Cell)) * _WORD_BYTES)).cast("q")
        self._count = count

    def line(self, number: int) -> "Line":
        """A worker's own line."""
        return Line(self, number)

    def clear(self, number: int) -> None:
        """Forget a worker that has died, before the next one is started in its place."""
        for cell in _Cell:
            self._write(number, cell, 0)

    @property
    def rereadings(self) -> int:
        """How often the settings were to be read again, since the start."""
        return self._cells[0]

    def ask_to_reread(self) -> None:
        """Count one more; the signal that says so goes its own way."""
        self._cells[0] += 1

    @property
    def count(self) -> int:
        """How many workers there are to be."""
        return self._count

    @property
    def serving(self) -> int:
        """How many serve."""
        return self._sum(_Cell.IS_SERVING)

    @property
    def is_complete(self) -> bool:
        """Whether all workers serve."""
        return self.serving == self._count

    @property
    def has_reread(self) -> bool:
        """Whether no worker serves by settings older than those last asked for."""
        return all(
            self._read(number, _Cell.REREAD) == self.rereadings
            for number in range(self._count)
            if self._read(number, _Cell.IS_SERVING)
        )

    def last_beat(self, number: int) -> float:
        """When a worker's loop last turned, in seconds of the monotonic clock."""
        return self._read(number, _Cell.BEAT) / 1e9

    def is_turning(self, within_seconds: float) -> bool:
        """Whether any worker's loop has turned so lately."""
        return time.monotonic() - max(map(self.last_beat, range(self._count))) <= within_seconds

    def status(self) -> str:
        """In words, for `systemctl status`."""
        words = (
            f"{self.serving} of {self._count} workers serving, "
            f"{self._sum(_Cell.CONNECTIONS)} connections, {self._sum(_Cell.LETTERS)} letters in hand"
        )
        return words + ("; settings not reread, see the log" if self._sum(_Cell.IS_REFUSED) else "")

    def _sum(self, cell: _Cell) -> int:
        return sum(self._read(number, cell) for number in range(self._count))

    def _read(self, number: int, cell: _Cell) -> int:
        return self._cells[1 + number * len(_Cell) + cell]

    def _write(self, number: int, cell: _Cell, value: int) -> None:
        self._cells[1 + number * len(_Cell) + cell] = value


class Line:
    """What one worker says of itself."""

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._number = number
        self.known_rereadings = 0
        """Which reading of the settings it goes by; 0: the one of the service's start."""

    def beat(self, connections: int, letters: int) -> None:
        """The event loop turns, with so much in hand."""
        self._say(_Cell.BEAT, time.monotonic_ns())
        self._say(_Cell.CONNECTIONS, connections)
        self._say(_Cell.LETTERS, letters)

    def serving(self) -> None:
        """Clients are let in."""
        self._say(_Cell.REREAD, self.known_rereadings)
        self._say(_Cell.IS_SERVING, 1)

    def reread(self, *, is_refused: bool) -> None:
        """The settings have been read again, and are used unless they are wrong."""
        self.known_rereadings = self._board.rereadings
        self._say(_Cell.IS_REFUSED, int(is_refused))
        self._say(_Cell.REREAD, self.known_rereadings)

    @property
    def is_behind(self) -> bool:
        """Whether the settings were to be read again before this worker could hear of it."""
        return self.known_rereadings != self._board.rereadings

    def _say(self, cell: _Cell, value: int) -> None:
        self._board._write(self._number, cell, value)  # noqa: SLF001 - the two are one
