"""How much of the disk letters under way may take: one network at most a quarter of what is free.

Letters that do not fit into memory go to files. On a small disk, or where temporary files are kept in memory (tmpfs), a
few sessions could else fill it, and all other long letters would be answered "later".
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pennyred.gate.smtp.sources import NOBODY, Source

BY_RIGHT_OCTETS = 1024 * 1024
"""A letter always gets this much. Free space is asked again each time this much was taken."""
_SHARE = 4


class SpoolDisk:
    """The disk space of one worker, in one folder. `free_octets` tells how many octets are free there."""

    def __init__(self, folder: Path | None = None, free_octets: Callable[[], int] | None = None) -> None:
        self._folder = folder
        self._free_octets = free_octets or self._asked
        self._used: dict[bytes, int] = {}

    def share(self, source: Source) -> "DiskShare":
        """A new, empty share for one letter of this source."""
        return DiskShare(self, source)

    def used(self, source: Source) -> int:
        """How many octets the letters of this source's network take."""
        return self._used.get(_name(source), 0)

    def take(self, source: Source, octets: int, *, is_by_right: bool) -> bool:
        """Take so many octets more (negative: give back). If that is too much, take nothing and return False."""
        name = _name(source)
        used = self._used.get(name, 0)
        is_counted = bool(name) and not is_by_right
        if is_counted and (used + octets) * _SHARE > self._free_octets() + used:
            return False
        self._used[name] = used + octets
        if not self._used[name]:
            del self._used[name]  # no name stays of a network that takes nothing
        return True

    def _asked(self) -> int:
        room = os.statvfs(self._folder or tempfile.gettempdir())
        return room.f_bavail * room.f_frsize


class DiskShare:
    """The disk space that one letter takes."""

    __slots__ = ("_disk", "_source", "_sure", "held")

    def __init__(self, disk: SpoolDisk, source: Source) -> None:
        self._disk = disk
        self._source = source
        self._sure = BY_RIGHT_OCTETS
        self.held = 0

    def hold(self, octets: int) -> bool:
        """Hold so many octets in all from now on. If that is too much, change nothing and return False."""
        is_sure = octets <= self._sure
        if not self._disk.take(self._source, octets - self.held, is_by_right=is_sure):
            return False
        self.held = octets
        if not is_sure:
            self._sure = octets + BY_RIGHT_OCTETS
        return True

    def release(self) -> None:
        """Give all held disk space back to the budget."""
        if self.held:
            self._disk.take(self._source, -self.held, is_by_right=True)
        self.held = 0
        self._sure = BY_RIGHT_OCTETS


def unlimited() -> DiskShare:
    """A share without a limit, for a letter that competes with no other."""
    return SpoolDisk().share(NOBODY)


def _name(source: Source) -> bytes:
    return source.wider or source.network
