"""The figures of all workers, in shared memory: each worker writes its own page, and any worker can read all.

prometheus_client has a mode for several processes, with mapped files. But an environment variable must turn it on when
the library is imported, it leaves a file behind for each dead process, and to count takes ten times as long. Here a new
worker goes on in the page of the one it replaces, so that no counter ever falls.
"""

import mmap
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from pennyred.metrics.catalogue import Join, Kind, Labels, Metric

_WORD_BYTES = 8


class Sheet:
    """Has a page for each worker, and one behind them for the ledger's process where there is one. It must be made
    before they are forked.
    """

    def __init__(self, metrics: Sequence[Metric], workers: int, *, has_ledger: bool = False) -> None:
        self.metrics: Final = tuple(metrics)
        self.workers: Final = workers
        self.pages: Final = workers + has_ledger
        self._places: dict[str, dict[Labels, int]] = {}
        self._width = 0
        for metric in self.metrics:
            places = self._places[metric.name] = {}
            for values in metric.values:
                places[tuple(str(value) for value in values)] = self._width
                self._width += metric.cells
        self._cells = memoryview(mmap.mmap(-1, max(1, self.pages * self._width) * _WORD_BYTES)).cast("d")

    def page(self, worker: int) -> "Page":
        """The page of the worker with this number; that of the ledger's process has the number behind the last."""
        return Page(self._cells[worker * self._width : (worker + 1) * self._width], self._places)

    def forget(self, worker: int) -> None:
        """Clear the gauges of a worker that has died; its counters stay."""
        for metric in self.metrics:
            if metric.kind is Kind.GAUGE:
                for place in self._places[metric.name].values():
                    self._cells[worker * self._width + place] = 0.0

    def values(self, metric: Metric, labels: Labels) -> list[list[float]]:
        """The words of one combination of label values, page by page."""
        first = self._places[metric.name][labels]
        starts = range(first, self.pages * self._width, self._width)
        return [list(self._cells[start : start + metric.cells]) for start in starts]

    def joined(self, metric: Metric, labels: Labels, running: Sequence[int]) -> list[float]:
        """The same for all workers joined; for gauges, only the running ones."""
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
    """The figures of one worker. Only one thread writes a word. An unknown combination is not counted."""

    def __init__(self, cells: "memoryview[float]", places: dict[str, dict[Labels, int]]) -> None:
        self._cells = cells
        self._places = places

    def counter(self, metric: Metric) -> "Counter":
        """The counter of this metric."""
        return Counter(self._cells, self._places[metric.name])

    def gauge(self, metric: Metric) -> "Gauge":
        """The gauge of this metric."""
        return Gauge(self._cells, self._places[metric.name])

    def histogram(self, metric: Metric) -> "Histogram":
        """The histogram of this metric."""
        return Histogram(self._cells, self._places[metric.name], metric.buckets)


class Counter:
    """A figure that only grows."""

    __slots__ = ("_cells", "_places")

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int]) -> None:
        self._cells = cells
        self._places = places

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Add to the figure with these label values."""
        place = self._places.get(labels)
        if place is not None:
            self._cells[place] += by


class Gauge:
    """A figure that is set to its present value."""

    __slots__ = ("_cells", "_places")

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int]) -> None:
        self._cells = cells
        self._places = places

    def put(self, value: float, *labels: str) -> None:
        """Set the figure with these label values."""
        place = self._places.get(labels)
        if place is not None:
            self._cells[place] = value


class Histogram:
    """Counts values by size; buckets are added up only when they are read."""

    __slots__ = ("_series",)

    def __init__(self, cells: "memoryview[float]", places: dict[Labels, int], bounds: Sequence[float]) -> None:
        self._series = {labels: Series(cells, place, bounds) for labels, place in places.items()}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value, with these label values."""
        series = self._series.get(labels)
        if series is not None:
            series.observe(value)

    def of(self, *labels: str) -> "Series":
        """Those of one combination of label values, for whoever counts them often. Raises KeyError."""
        return self._series[labels]


class Series:
    """The values of one combination of label values."""

    __slots__ = ("_bounds", "_cells", "_first", "_sum")

    def __init__(self, cells: "memoryview[float]", first: int, bounds: Sequence[float]) -> None:
        self._cells = cells
        self._bounds = bounds
        self._first = first
        self._sum = first + len(bounds) + 1

    def observe(self, value: float) -> None:
        """Count a value."""
        self._cells[self._first + bisect_left(self._bounds, value)] += 1.0
        self._cells[self._sum] += value
