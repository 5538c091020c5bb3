"""How much memory letters may take while they come in and are judged: one budget for each worker.

A stranger chooses how long a letter takes to come, and how long it is judged (by a slow DNS of his own). So the memory
of each letter is counted. What does not fit goes to a file, or is answered "later". Two rules keep one client from
shutting out others: every letter gets a little by right, and nobody gets more than a quarter of what is left.
"""

from typing import Any, Final

from pennyred.gate.smtp.seldom import Seldom
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX

BY_RIGHT_OCTETS = 64 * 1024
"""A holder always gets this much. Nearly all header sections, and most short letters, need no more."""
_SHARE_OF_THE_REST = 4
_FIELD_OCTETS = 210
"""Memory that a parsed header field takes beside its octets (measured)."""


class LetterMemory:
    """The memory budget of one worker."""

    def __init__(self, octets_max: int, log: Any) -> None:
        self.octets_max: Final = octets_max
        self.used: int = 0
        """Octets that all shares hold. What is held by right may bring it above `octets_max`."""
        self.deferred: int = 0
        """How many requests were answered "later" for lack of memory since the start."""
        self._shortage = Seldom(log, "smtp.memory_short")

    def share(self, by_right: int = BY_RIGHT_OCTETS) -> "Share":
        """A new, empty share for one holder; `by_right` octets of it are always granted."""
        return Share(self, by_right)

    def note_shortage(self, what: str) -> None:
        """Count a "later" for lack of memory, and log it at most once a minute."""
        self.deferred += 1
        self._shortage.note(what=what, used=self.used, allowed=self.octets_max)


class Share:
    """The memory that one holder takes of the budget: a letter, or anything else that a client can fill memory with."""

    __slots__ = ("_by_right", "_memory", "held")

    def __init__(self, memory: LetterMemory, by_right: int) -> None:
        self._memory = memory
        self._by_right = by_right
        self.held = 0

    def hold(self, octets: int) -> bool:
        """Hold so many octets in all from now on. If that is too much, change nothing and return False."""
        memory = self._memory
        others = memory.used - self.held
        is_more = octets > self.held and octets > self._by_right
        if is_more and octets * _SHARE_OF_THE_REST > memory.octets_max - others:
            return False
        memory.used = others + octets
        self.held = octets
        return True

    def release(self) -> None:
        """Give all held memory back to the budget."""
        self._memory.used -= self.held
        self.held = 0


def octets_of_header(octets: int, lines: int) -> int:
    """Memory, in octets, that a header section takes while its letter is judged and sent on (parsed, and joined)."""
    return 2 * octets + _FIELD_OCTETS * lines


OCTETS_MIN = _SHARE_OF_THE_REST * octets_of_header(HEADER_BYTES_MAX, HEADER_FIELDS_MAX)
"""The smallest budget. With less, a letter with the largest header would be answered "later" for ever."""


def unbounded() -> Share:
    """A share without a limit, for a letter that competes with no other."""
    return LetterMemory(2**62, None).share()
