"""The figures of all workers, in memory that they share: each writes its own page, whoever is asked reads all.

prometheus_client has a mode for several processes, with files that each of them maps. It is turned on by an environment
variable when the library is imported, leaves a file behind for each process that has died, and takes ten times as long
to count. Here a worker that is replaced goes on counting in its forerunner's page, so that no counter ever falls.
"""

import mmap
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from pennyred.metrics.catalogue import Join, Kind, Labels, Metric

_WORD_BYTES = 8


class Sheet:
    """A page for each worker; made before they are forked."""

    def __init__(self, metrics: Sequence[Metric], workers: int) -> None:
        self.metrics: Final = tuple(metrics)
        self.workers: Final = workers
        self._places: dict[str, dict[Labels, int]] = {}
        self._width = 0
        for metric in self.metrics:
            places = self._places[metric.name] = {}
            for values in metric.values:
                places[tuple(str(value) for value in values)] = self._width
                self._width += metric.cells
        self._cells = memoryview(mmap.mmap(-1, max(1, workers * self._width) * _WORD_BYTES)).cast("d")

    def page(self, worker: int) -> "Page":
        """What one worker writes."""
        return Page(self._cells[worker * self._width : (worker + 1) * self._width], self._places)

    def forget(self, worker: int) -> None:
        """A worker has died: what it had is gone, what it had counted stays."""
        for metric in self.metrics:
            if metric.kind is Kind.GAUGE:
                for place in self._places[metric.name].values():
                    self._cells[worker * self._width + place] = 0.0

    def values(self, metric: Metric, labels: Labels) -> list[list[float]]:
        """The words of one combination, by worker."""
        first = self._places[metric.name][labels]
        starts = range(first, self.workers * self._width, self._width)
        return [list(self._cells[start : start + metric.cells]) for start in starts]

    def joined(self, metric: Metric, labels: Labels, running: Sequence[int]) -> list[float]:
        """The same of all workers together; gauges, of those that run."""
        of_each = self.values(metric, labels)
        if metric.kind is Kind.GAUGE:
            of_each = [of_each[worker] for worker in running]
        columns = zip(*of_each, strict=True)
        if metric.join is Join.LEAST:
            return [min(column) for column in columns]
        if metric.join is Join.MOST:
            return [max(column) for column in columns]
        return [sum(column) for column in columns]


class Page:
    """One worker's figures. Each word has one thread that writes it; a combination nobody foresaw is not counted."""

    def __init__(self, cells: "memoryview[float]", places: dict[str, dict[Labels, int]]) -> None:
        self._cells = cells
        self._places = places

    def counter(self, metric: Metric) -> "Counter":
        """The words of a counter."""
        return Counter(self._cells, self._places[metric.name])

    def gauge(self, metric: Metric) -> "Gauge":
        """The words of a gauge."""
        return Gauge(self._cells, self._places[metric.name])

    def histogram(self, metric: Metric) -> "Histogram":
        """The words of a histogram."""
        return Histogram(self._cells, self._places[metric.name], metric.buckets)


class Counter:
    """Only grows."""

    __slots__ = ("_cells", "_places")

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int]) -> None:
        self._cells = cells
        self._places = places

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count so many more."""
        place = self._places.get(labels)
        if place is not None:
            self._cells[place] += by


class Gauge:
    """What stands now."""

    __slots__ = ("_cells", "_places")

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int]) -> None:
        self._cells = cells
        self._places = places

    def put(self, value: float, *labels: str) -> None:
        """Say so."""
        place = self._places.get(labels)
        if place is not None:
            self._cells[place] = value


class Histogram:
    """How often, by size; buckets are added up only when they are read."""

    __slots__ = ("_bounds", "_cells", "_places")

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int], bounds: Sequence[float]) -> None:
        self._cells = cells
        self._places = places
        self._bounds = bounds

    def observe(self, value: float, *labels: str) -> None:
        """Count one of that size."""
        place = self._places.get(labels)
        if place is not None:
            self._cells[place + bisect_left(self._bounds, value)] += 1.0
            self._cells[place + len(self._bounds) + 1] += value
