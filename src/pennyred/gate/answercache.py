"""Answers kept as long as they hold, in bounded memory, in which no stranger's questions push out what others use.

What is asked about is mostly a stranger's to choose: names that do not exist cost nothing to invent, and a zone of
one's own has a record for each. So "there is none" has a room of its own, the smaller one; and what was found and asked
for again gives way to nothing that was asked for once.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")

_MISSING_SHARE = 4
"""The room for "there is none" is this part of the whole."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Answer]):
    answer: Answer
    expires: float
    size: int


class _Room(Generic[Key, Answer]):
    """Entries in the order of their last use."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Key, _Entry[Answer]] = OrderedDict()
        self.bytes = 0

    def put(self, key: Key, entry: _Entry[Answer]) -> None:
        self.take(key)
        self.entries[key] = entry
        self.bytes += entry.size

    def take(self, key: Key) -> _Entry[Answer] | None:
        entry = self.entries.pop(key, None)
        self.bytes -= entry.size if entry is not None else 0
        return entry

    def take_oldest(self) -> tuple[Key, _Entry[Answer]]:
        key, entry = self.entries.popitem(last=False)
        self.bytes -= entry.size
        return key, entry


class AnswerCache(Generic[Key, Answer]):
    """For one thread at a time; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, entries_max: int, bytes_max: int = 2**62) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._new: _Room[Key, Answer] = _Room()
        """Found, and not asked for since."""
        self._used: _Room[Key, Answer] = _Room()
        """Found, and asked for again."""
        self._missing: _Room[Key, Answer] = _Room()

    def __len__(self) -> int:
        return sum(len(room.entries) for room in (self._new, self._used, self._missing))

    def get(self, key: Key) -> Answer | None:
        """The answer; None where it is not known (any more)."""
        for room in (self._used, self._new, self._missing):
            entry = room.entries.get(key)
            if entry is None:
                continue
            if entry.expires <= self._clock():
                return None  # it stays where it is until the new answer comes: who was used once stays so
            room.take(key)
            (self._used if room is self._new else room).put(key, entry)
            self._bound()
            return entry.answer
        return None

    def put(self, key: Key, answer: Answer, seconds: float, *, is_found: bool, size: int = 0) -> None:
        """Keep an answer of `size` bytes for so long."""
        was_used = key in self._used.entries
        for room in (self._used, self._new, self._missing):
            room.take(key)
        room = self._missing if not is_found else self._used if was_used else self._new
        room.put(key, _Entry(answer, self._clock() + seconds, size))
        self._bound()

    def _bound(self) -> None:
        while _is_over(self._missing, self._entries_max // _MISSING_SHARE, self._bytes_max // _MISSING_SHARE):
            self._missing.take_oldest()
        # A quarter is always for what is new: else nothing could come to be used.
        while _is_over(self._used, self._entries_max * 3 // 4, self._bytes_max * 3 // 4):
            self._new.put(*self._used.take_oldest())
        while (
            len(self._new.entries) + len(self._used.entries) > self._entries_max
            or self._new.bytes + self._used.bytes > self._bytes_max
        ):
            self._new.take_oldest()


def _is_over(room: _Room[Key, Answer], entries_max: int, bytes_max: int) -> bool:
    return bool(room.entries) and (len(room.entries) > entries_max or room.bytes > bytes_max)
