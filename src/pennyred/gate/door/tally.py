"""Counts that all workers of one gate keep together, in shared memory.

Each worker writes its own words and reads those of all. There is no lock that a killed worker could keep. When a
worker is replaced, its counts are cleared. A word is one machine word, so it is read as it was written. Workers that
let clients in at the same moment do not see each other: a limit may be passed by the number of workers less one.

Counts by name (a network, or a source in a minute) are found by a keyed hash: one part chooses a bucket, and 48 bits
stand beside the count. So nobody is counted for another. In a count-min sketch names would share counters: whoever
holds many addresses could make strangers look busy, and lock them out. Here the only error is that a name whose bucket
is full is not counted. The key is secret, so nobody can aim at a bucket. The tables have room for four times as many
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
"""How many names of one worker fit into one bucket."""
_ROOM = 4
"""How many words there are for each name that is expected."""
_SOURCES = 4096
"""Sources with bad stamps that are counted in one minute; if there are more, some are not counted."""
_MINUTE_SECONDS = 60


class Table:
    """Counts by name; each worker has a column of words of its own."""

    def __init__(self, workers: int, names: int) -> None:
        buckets = 16
        while buckets * workers * _WAYS < _ROOM * names:
            buckets *= 2
        self._row = workers * _WAYS
        self._mask = buckets - 1
        self._cells = _words(self._row + buckets * self._row)  # the first row stays empty: place 0 is "nowhere"
        self._blank = _words(1 + buckets)

    def count(self, key: int) -> int:
        """The sum of what all workers have counted for this key."""
        start, tag = (1 + (key & self._mask)) * self._row, key >> _COUNT_BITS
        row = self._cells[start : start + self._row].tobytes()
        pattern = tag.to_bytes(_TAG_BYTES, sys.byteorder)
        total = 0
        at = row.find(pattern)
        while at >= 0:
            place = at // _WORD_BYTES
            word = self._cells[start + place]  # it may have changed, or the match lay across two words
            if word >> _COUNT_BITS == tag:
                total += word & COUNT_MAX
            at = row.find(pattern, (place + 1) * _WORD_BYTES)
        return total

    def add(self, worker: int, key: int, count: int = 1) -> int:
        """Add to a worker's count. Returns the place of the word, or 0 if there is no room for the name."""
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
        """Count one less at a place that `add` has returned. No other name gets that word while its count is not 0."""
        word = self._cells[place]
        self._cells[place] = word - 1 if word & COUNT_MAX > 1 else 0

    def clear(self, worker: int) -> None:
        """Set all counts of a worker to 0."""
        for way in range(_WAYS):
            self._cells[worker * _WAYS + way :: self._row] = self._blank


class Tally:
    """All counts of one gate. It must be made before the workers are forked, so that they share its memory."""

    def __init__(self, workers: int, connections_max: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.connections = _words(workers)
        """The number of connections of each worker."""
        self.networks = Table(workers, 2 * connections_max)
        """The number of connections by network; for IPv6 by the wider network too."""
        self.bad_stamps = Table(workers, _SOURCES)
        """The number of bad stamps, by source and minute."""
        self.bad_minutes = _words(workers)
        """The last minute in which each worker has seen bad stamps; minutes are counted from 1."""
        self.clock = clock
        self._secret = os.urandom(16)

    def of(self, worker: int) -> "WorkerTally":
        """The counts as the worker with this number uses them."""
        return WorkerTally(self, worker)

    def clear(self, worker: int) -> None:
        """Set all counts of a worker that has died to 0."""
        self.connections[worker] = self.bad_minutes[worker] = 0
        self.networks.clear(worker)
        self.bad_stamps.clear(worker)

    def key(self, name: bytes) -> int:
        """The key of a name: its keyed hash, never 0."""
        return int.from_bytes(blake2b(name, digest_size=8, key=self._secret).digest()) or 1 << _COUNT_BITS


class WorkerTally:
    """The counts as one worker uses them: it adds to its own, and reads those of all."""

    def __init__(self, tally: Tally, worker: int) -> None:
        self._tally = tally
        self._worker = worker

    @property
    def connections(self) -> int:
        """The number of connections of all workers together."""
        return sum(self._tally.connections)

    def network(self, name: bytes) -> tuple[int, int]:
        """The key of a network, and how many connections all workers have from it."""
        key = self._tally.key(name)
        return key, self._tally.networks.count(key)

    def enter(self, network: int) -> int:
        """Count a connection, also for its network if the key is not 0. Returns the ticket for `leave`."""
        self._tally.connections[self._worker] += 1
        return self.count(network)

    def leave(self, ticket: int) -> None:
        """Uncount a connection; `ticket` is what `enter` has returned."""
        self._tally.connections[self._worker] -= 1
        self.uncount(ticket)

    def count(self, network: int) -> int:
        """Count a connection for its wider network, if the key is not 0. Returns the ticket for `uncount`."""
        return self._tally.networks.add(self._worker, network) if network else 0

    def uncount(self, ticket: int) -> None:
        """Uncount a connection for its wider network; `ticket` is what `count` has returned."""
        if ticket:
            self._tally.networks.take_back(ticket)

    def bad_stamps(self, source: bytes) -> int:
        """How many bad stamps a source has brought to all workers in this minute of the clock."""
        minute = self._minute()
        if minute not in self._tally.bad_minutes:  # the usual case: nobody has brought bad stamps in this minute
            return 0
        return self._tally.bad_stamps.count(self._tally.key(b"%b %d" % (source, minute)))

    def add_bad_stamps(self, source: bytes, count: int) -> None:
        """Count bad stamps of a source in this minute; the counts of other minutes are cleared."""
        minute = self._minute()
        if minute != self._tally.bad_minutes[self._worker]:
            self._tally.bad_stamps.clear(self._worker)
            self._tally.bad_minutes[self._worker] = minute
        self._tally.bad_stamps.add(self._worker, self._tally.key(b"%b %d" % (source, minute)), count)

    def _minute(self) -> int:
        return 1 + int(self._tally.clock() // _MINUTE_SECONDS)


def _words(count: int) -> "memoryview[int]":
    """So many words, all 0, in memory that is shared with processes forked from this one."""
    return memoryview(mmap.mmap(-1, count * _WORD_BYTES)).cast("Q")
