"""How much memory may stand for letters that are under way or in hand: one budget for all of a worker's.

How long a letter takes to come, and how long it is judged (a DNS that is slow is its sender's own), is a stranger's to
choose. So what each holds is counted, and what does not fit goes to a file, or is "later". Two rules keep one client
from shutting out others: a little is every letter's by right, and nobody has more than a quarter of what is left.
"""

from typing import Any, Final

from pennyred.gate.smtp.seldom import Seldom
from pennyred.postage.letter import HEADER_BYTES_MAX, HEADER_FIELDS_MAX

BY_RIGHT_OCTETS = 64 * 1024
"""Of one holder, whatever others hold: nearly all header sections, and the shorter letters, need no more."""
_SHARE_OF_THE_REST = 4
_FIELD_OCTETS = 210
"""What a header field takes beside its octets, as measured."""


class LetterMemory:
    """The budget of one worker."""

    def __init__(self, octets_max: int, log: Any) -> None:
        self.octets_max: Final = octets_max
        self.used: int = 0
        """By all; what is held by right may bring it beyond `octets_max`."""
        self.deferred: int = 0
        """How many were told "later" for want of it, ever."""
        self._shortage = Seldom(log, "smtp.memory_short")

    def share(self, by_right: int = BY_RIGHT_OCTETS) -> "Share":
        """What one holder has of it: nothing yet."""
        return Share(self, by_right)

    def note_shortage(self, what: str) -> None:
        """Somebody was told "later": write it down, at most once a minute."""
        self.deferred += 1
        self._shortage.note(what=what, used=self.used, allowed=self.octets_max)


class Share:
    """What one letter, or whatever else a client can make stand in memory, holds of the budget."""

    __slots__ = ("_by_right", "_memory", "held")

    def __init__(self, memory: LetterMemory, by_right: int) -> None:
        self._memory = memory
        self._by_right = by_right
        self.held = 0

    def hold(self, octets: int) -> bool:
        """Hold so many in all from now on; False, and everything as before, where that is too much."""
        memory = self._memory
        others = memory.used - self.held
        is_more = octets > self.held and octets > self._by_right
        if is_more and octets * _SHARE_OF_THE_REST > memory.octets_max - others:
            return False
        memory.used = others + octets
        self.held = octets
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        self.hold(0)


def octets_of_header(octets: int, lines: int) -> int:
    """What a header section takes while its letter is judged and sent on: taken apart, and joined again."""
    return 2 * octets + _FIELD_OCTETS * lines


OCTETS_MIN = _SHARE_OF_THE_REST * octets_of_header(HEADER_BYTES_MAX, HEADER_FIELDS_MAX)
"""With less there would be letters that are told to come again for ever."""


def unbounded() -> Share:
    """A share of a budget that has no end: for letters of nobody else's."""
    return LetterMemory(2**62, None).share()
