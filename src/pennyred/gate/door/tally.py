"""How many: counted by all workers of one gate together, in memory they share.

Each worker writes words of its own and reads everybody's. There is no lock, so none that a killed worker could keep;
what it had counted is cleared when it is replaced. A word is one machine word, read as it was written. Workers that
let somebody in at the very same moment do not see each other: a limit may be passed by the number of workers less one.

Counts by name (a network, a source in a minute) are found by a keyed hash: a part of it chooses a bucket, 48 bits stand
beside the count. So nobody is counted for another. (In a count-min sketch names share counters, and whoever holds many
addresses makes strangers look busy: a way to lock them out.) The error there is goes the other way: a name whose bucket
is full is not counted. As the key is secret nobody can aim at a bucket, and the tables have room for four times as many
names as there may be connections.
"""

import mmap
import os
import sys
import time
from collections.abc import Callable
from hashlib import blake2b

COUNT_MAX = 0xFFFF
_COUNT_BITS = 16
_WORD_BYTES = 8
_TAG_BYTES = 6
_WAYS = 8
"""Names of one worker in one bucket."""
_ROOM = 4
"""Times as many words as names are expected."""
_SOURCES = 4096
"""With bad stamps in one minute; of more, some are not counted."""
_MINUTE_SECONDS = 60


class Table:
    """Counts by name, a column of words for each worker."""

    def __init__(self, workers: int, names: int) -> None:
        buckets = 16
        while buckets * workers * _WAYS < _ROOM * names:
            buckets *= 2
        self._row = workers * _WAYS
        self._mask = buckets - 1
        self._cells = _words(self._row + buckets * self._row)  # the first row stays empty: no name is at place 0
        self._blank = _words(1 + buckets)

    def count(self, key: int) -> int:
        """What all workers have counted."""
        start, tag = (1 + (key & self._mask)) * self._row, key >> _COUNT_BITS
        row = self._cells[start : start + self._row].tobytes()
        pattern = tag.to_bytes(_TAG_BYTES, sys.byteorder)
        total = 0
        at = row.find(pattern)
        while at >= 0:
            place = at // _WORD_BYTES
            word = self._cells[start + place]  # it may have changed since, and what was found may lie across two words
            if word >> _COUNT_BITS == tag:
                total += word & COUNT_MAX
            at = row.find(pattern, (place + 1) * _WORD_BYTES)
        return total

    def add(self, worker: int, key: int, count: int = 1) -> int:
        """Count so many more in a worker's column; where they stand, 0 where there is no room for the name."""
        cells, tag = self._cells, key >> _COUNT_BITS
        start = (1 + (key & self._mask)) * self._row + worker * _WAYS
        free = 0
        for place in range(start, start + _WAYS):
            word = cells[place]
            if word >> _COUNT_BITS == tag:
                cells[place] = tag << _COUNT_BITS | min((word & COUNT_MAX) + count, COUNT_MAX)
                return place
            if not word:
                free = place
        if not free:
            return 0
        cells[free] = tag << _COUNT_BITS | min(count, COUNT_MAX)
        return free

    def take_back(self, place: int) -> None:
        """Count one less there: a worker's own word, which no other name has as long as something is counted in it."""
        word = self._cells[place]
        self._cells[place] = word - 1 if word & COUNT_MAX > 1 else 0

    def clear(self, worker: int) -> None:
        """Forget all that a worker has counted."""
        for way in range(_WAYS):
            self._cells[worker * _WAYS + way :: self._row] = self._blank


class Tally:
    """All counts of one gate; made before its workers are forked."""

    def __init__(self, workers: int, connections_max: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.connections = _words(workers)
        """Of each worker."""
        self.networks = Table(workers, 2 * connections_max)
        """Connections, by network, and of IPv6 by the wider one too."""
        self.bad_stamps = Table(workers, _SOURCES)
        """By source and minute."""
        self.bad_minutes = _words(workers)
        """The last minute, counted from 1, in which each worker has seen bad stamps."""
        self.clock = clock
        self._secret = os.urandom(16)

    def of(self, worker: int) -> "WorkerTally":
        """The counts as one worker sees and adds to them."""
        return WorkerTally(self, worker)

    def clear(self, worker: int) -> None:
        """Forget a worker that has died."""
        self.connections[worker] = self.bad_minutes[worker] = 0
        self.networks.clear(worker)
        self.bad_stamps.clear(worker)

    def key(self, name: bytes) -> int:
        """Where a name is found; never 0."""
        return int.from_bytes(blake2b(name, digest_size=8, key=self._secret).digest()) or 1 << _COUNT_BITS


class WorkerTally:
    """What one worker counts."""

    def __init__(self, tally: Tally, worker: int) -> None:
        self._tally = tally
        self._worker = worker

    @property
    def connections(self) -> int:
        """Of all workers."""
        return sum(self._tally.connections)

    def network(self, name: bytes) -> tuple[int, int]:
        """The key of a network, and how many connections all workers have from it."""
        key = self._tally.key(name)
        return key, self._tally.networks.count(key)

    def enter(self, network: int) -> int:
        """Count a connection, of a network too where its key is not 0; returns what `leave` is to be told."""
        self._tally.connections[self._worker] += 1
        return self.count(network)

    def leave(self, ticket: int) -> None:
        """Uncount a connection."""
        self._tally.connections[self._worker] -= 1
        self.uncount(ticket)

    def count(self, network: int) -> int:
        """Count a connection of a wider network too, where its key is not 0; what `uncount` is to be told."""
        return self._tally.networks.add(self._worker, network) if network else 0

    def uncount(self, ticket: int) -> None:
        """Uncount it."""
        if ticket:
            self._tally.networks.take_back(ticket)

    def bad_stamps(self, source: bytes) -> int:
        """How many a source has brought to all workers in this minute of the clock."""
        minute = self._minute()
        if minute not in self._tally.bad_minutes:  # as nearly always
            return 0
        return self._tally.bad_stamps.count(self._tally.key(b"%b %d" % (source, minute)))

    def add_bad_stamps(self, source: bytes, count: int) -> None:
        """A source has brought so many; what was counted in other minutes is forgotten."""
        minute = self._minute()
        if minute != self._tally.bad_minutes[self._worker]:
            self._tally.bad_stamps.clear(self._worker)
            self._tally.bad_minutes[self._worker] = minute
        self._tally.bad_stamps.add(self._worker, self._tally.key(b"%b %d" % (source, minute)), count)

    def _minute(self) -> int:
        return 1 + int(self._tally.clock() // _MINUTE_SECONDS)


def _words(count: int) -> "memoryview[int]":
    """Words that are 0, in memory that stays shared with processes forked from this one."""
    return memoryview(mmap.mmap(-1, count * _WORD_BYTES)).cast("Q")
