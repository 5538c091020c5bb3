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
import time
from collections.abc import Callable
from hashlib import blake2b

COUNT_MAX = 0xFFFF
_COUNT_BITS = 16
_WORD_BYTES = 8
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
        self._cells = _words(buckets * self._row)
        self._blank = _words(buckets)

    def count(self, key: int) -> int:
        """What all workers have counted."""
        start, tag = (key & self._mask) * self._row, key >> _COUNT_BITS
        words = self._cells[start : start + self._row].tolist()
        return sum([word & COUNT_MAX for word in words if word >> _COUNT_BITS == tag])

    def add(self, worker: int, key: int, count: int) -> bool:
        """Count so many more (or fewer, below 0) in a worker's column; False: there is no room for the name."""
        cells, tag = self._cells, key >> _COUNT_BITS
        start = (key & self._mask) * self._row + worker * _WAYS
        free = -1
        for place in range(start, start + _WAYS):
            word = cells[place]
            if word >> _COUNT_BITS == tag:
                total = min((word & COUNT_MAX) + count, COUNT_MAX)
                cells[place] = tag << _COUNT_BITS | total if total > 0 else 0
                return True
            if not word:
                free = place
        if free < 0 or count <= 0:
            return False
        cells[free] = tag << _COUNT_BITS | min(count, COUNT_MAX)
        return True

    def clear(self, worker: int) -> None:
        """Forget all that a worker has counted."""
        for way in range(_WAYS):
            self._cells[worker * _WAYS + way :: self._row] = self._blank


class Tally:
    """All counts of one gate; made before its workers are forked."""

    def __init__(self, workers: int, connections_max: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.connections = _words(workers)
        """Of each worker."""
        self.networks = Table(workers, connections_max)
        """Connections, by network."""
        self.bad_stamps = Table(workers, _SOURCES)
        """By source and minute."""
        self.clock = clock
        self._secret = os.urandom(16)

    def of(self, worker: int) -> "WorkerTally":
        """The counts as one worker sees and adds to them."""
        return WorkerTally(self, worker)

    def clear(self, worker: int) -> None:
        """Forget a worker that has died."""
        self.connections[worker] = 0
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
        self._minute = -1

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
        return network if network and self._tally.networks.add(self._worker, network, 1) else 0

    def leave(self, ticket: int) -> None:
        """Uncount a connection."""
        self._tally.connections[self._worker] -= 1
        if ticket:
            self._tally.networks.add(self._worker, ticket, -1)

    def bad_stamps(self, source: bytes) -> int:
        """How many a source has brought to all workers in this minute of the clock."""
        return self._tally.bad_stamps.count(self._key_now(source, int(self._tally.clock() // _MINUTE_SECONDS)))

    def add_bad_stamps(self, source: bytes, count: int) -> None:
        """A source has brought so many; what was counted in other minutes is forgotten."""
        minute = int(self._tally.clock() // _MINUTE_SECONDS)
        if minute != self._minute:
            self._minute = minute
            self._tally.bad_stamps.clear(self._worker)
        self._tally.bad_stamps.add(self._worker, self._key_now(source, minute), count)

    def _key_now(self, source: bytes, minute: int) -> int:
        return self._tally.key(b"%b %d" % (source, minute))


def _words(count: int) -> "memoryview[int]":
    """Words that are 0, in memory that stays shared with processes forked from this one."""
    return memoryview(mmap.mmap(-1, count * _WORD_BYTES)).cast("Q")
