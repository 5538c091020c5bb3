"""How much of the disk letters that are under way may take: nobody's network more than a quarter of what there is.

Letters that do not fit into memory go to files. On a small disk, or where temporary files are memory after all, a few
sessions with long letters would else have everybody's long letters told "later".
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pennyred.gate.smtp.sources import NOBODY, Source

BY_RIGHT_OCTETS = 1024 * 1024
"""Of one letter, whatever others have; how much there is, is looked at once for so many."""
_SHARE = 4


class SpoolDisk:
    """Of one worker, in one folder; `free_octets` is asked how much room is left there."""

    def __init__(self, folder: Path | None = None, free_octets: Callable[[], int] | None = None) -> None:
        self._folder = folder
        self._free_octets = free_octets or self._asked
        self._used: Counter[bytes] = Counter()

    def share(self, source: Source) -> "DiskShare":
        """What one letter has of it: nothing yet."""
        return DiskShare(self, source)

    def used(self, source: Source) -> int:
        """How much letters of its network have."""
        return self._used[_name(source)]

    def take(self, source: Source, octets: int, *, is_by_right: bool) -> bool:
        """Take so much more, or give it back; False, and nothing done, where that is too much."""
        name = _name(source)
        used = self._used[name]
        is_counted = bool(name) and not is_by_right
        if is_counted and (used + octets) * _SHARE > self._free_octets() + used:
            return False
        self._used[name] = used + octets
        if not self._used[name]:
            del self._used[name]
        return True

    def _asked(self) -> int:
        room = os.statvfs(self._folder or tempfile.gettempdir())
        return room.f_bavail * room.f_frsize


class DiskShare:
    """What one letter has of the disk."""

    __slots__ = ("_disk", "_source", "_sure", "held")

    def __init__(self, disk: SpoolDisk, source: Source) -> None:
        self._disk = disk
        self._source = source
        self._sure = BY_RIGHT_OCTETS
        self.held = 0

    def hold(self, octets: int) -> bool:
        """Hold so much in all from now on; False, and everything as before, where that is too much."""
        is_sure = octets <= self._sure
        if not self._disk.take(self._source, octets - self.held, is_by_right=is_sure):
            return False
        self.held = octets
        if not is_sure:
            self._sure = octets + BY_RIGHT_OCTETS
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        self._disk.take(self._source, -self.held, is_by_right=True)
        self.held = 0
        self._sure = BY_RIGHT_OCTETS


def unlimited() -> DiskShare:
    """Of a disk that has no end: for letters of nobody else's."""
    return SpoolDisk().share(NOBODY)


def _name(source: Source) -> bytes:
    return source.wider or source.network
