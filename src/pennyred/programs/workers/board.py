"""Signs of life of the workers, in memory shared with their supervisor. Each worker writes only its own line.

A cell is one machine word, so it is read as it was written. No lock is needed, which a killed worker could keep.
"""

import mmap
import time
from enum import IntEnum

_WORD_BYTES = 8


class _Cell(IntEnum):
    """The cells of a worker's line."""

    BEAT = 0
    """When the event loop last turned, in nanoseconds of the monotonic clock; 0: not yet."""
    IS_SERVING = 1
    LETTERS = 2
    CONNECTIONS = 3
    REREAD = 4
    """The number of the last reload that the worker has carried out."""
    IS_REFUSED = 5
    """Whether the settings of that reload could not be used."""


class Board:
    """Has a line for each worker, and one more for the ledger's process; it must be made before they are forked."""

    def __init__(self, count: int) -> None:
        self._cells = memoryview(mmap.mmap(-1, (1 + (count + 1) * len(_Cell)) * _WORD_BYTES)).cast("q")
        self._count = count

    def line(self, number: int) -> "Line":
        """The line of the worker with this number; the ledger's process has the number behind the last."""
        return Line(self, number)

    def clear(self, number: int) -> None:
        """Clear the line of a dead worker, before another one is started in its place."""
        for cell in _Cell:
            self._write(number, cell, 0)

    @property
    def rereadings(self) -> int:
        """How many reloads were asked for since the start."""
        return self._cells[0]

    def ask_to_reread(self) -> None:
        """Count a further reload; the signal to the workers is sent elsewhere."""
        self._cells[0] += 1

    @property
    def count(self) -> int:
        """How many workers there should be."""
        return self._count

    @property
    def serving(self) -> int:
        """How many workers serve now."""
        return self._sum(_Cell.IS_SERVING)

    @property
    def is_complete(self) -> bool:
        """Whether all workers serve now."""
        return self.serving == self._count

    @property
    def has_reread(self) -> bool:
        """Whether all workers that serve have carried out the last reload."""
        return all(
            self._read(number, _Cell.REREAD) == self.rereadings
            for number in range(self._count)
            if self._read(number, _Cell.IS_SERVING)
        )

    def last_beat(self, number: int) -> float:
        """When the loop of this worker last turned, in seconds of the monotonic clock."""
        return self._read(number, _Cell.BEAT) / 1e9

    def is_turning(self, within_seconds: float) -> bool:
        """Whether the loop of any worker has turned within so many seconds."""
        return time.monotonic() - max(map(self.last_beat, range(self._count))) <= within_seconds

    def status(self) -> str:
        """The state of the service in words, for `systemctl status`."""
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
    """The line of one worker, as the worker writes it."""

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._number = number
        self.known_rereadings = 0
        """The number of the reload whose settings are used; 0: those of the start."""

    def beat(self, connections: int, letters: int) -> None:
        """Write that the event loop turns, and how many connections and letters are in hand."""
        self._say(_Cell.BEAT, time.monotonic_ns())
        self._say(_Cell.CONNECTIONS, connections)
        self._say(_Cell.LETTERS, letters)

    def serving(self) -> None:
        """Write that clients are let in."""
        self._say(_Cell.REREAD, self.known_rereadings)
        self._say(_Cell.IS_SERVING, 1)

    def reread(self, *, is_refused: bool) -> None:
        """Write that a reload is done; `is_refused`: its settings were wrong and are not used."""
        self.known_rereadings = self._board.rereadings
        self._say(_Cell.IS_REFUSED, int(is_refused))
        self._say(_Cell.REREAD, self.known_rereadings)

    @property
    def is_behind(self) -> bool:
        """Whether a reload was asked for before this worker could receive the signal."""
        return self.known_rereadings != self._board.rereadings

    def _say(self, cell: _Cell, value: int) -> None:
        self._board._write(self._number, cell, value)  # noqa: SLF001 - the two are one
