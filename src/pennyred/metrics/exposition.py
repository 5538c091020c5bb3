"""Writes the figures of a sheet in Prometheus' text format (with prometheus_client)."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pennyred.metrics.catalogue import WORKER_UP, Join, Kind, Metric
from pennyred.metrics.sheet import Sheet

CONTENT_TYPE = CONTENT_TYPE_LATEST
LEDGER = "ledger"
"""What stands for a worker's number where the figure is of the ledger's process."""
FRESH_SECONDS = 1.0
"""A page is written anew at most this often, however often it is asked for."""


class Exposition:
    """Writes the page with all figures of the sheet."""

    def __init__(self, sheet: Sheet, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sheet = sheet
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Figures(sheet))
        self._clock = clock
        self._written = b""
        self._written_at = float("-inf")

    def page(self, refresh: Callable[[], None] | None = None) -> bytes:
        """The page with all figures of all workers; `refresh` is called before it is written anew."""
        now = self._clock()
        if now - self._written_at >= FRESH_SECONDS:
            if refresh is not None:
                refresh()
            self._written, self._written_at = generate_latest(self._registry), now
        return self._written


class _Figures(Collector):
    """The sheet as a collector of prometheus_client."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def collect(self) -> Iterator[Family]:
        """All metrics, in the order of the catalogue."""
        up = self._sheet.values(WORKER_UP, ())
        running = [worker for worker, [is_up] in enumerate(up[: self._sheet.workers]) if is_up]
        for metric in self._sheet.metrics:
            yield from self._family(metric, running)

    def _family(self, metric: Metric, running: Sequence[int]) -> Iterator[Family]:
        meaning = metric.meaning[0].upper() + metric.meaning[1:] + "."
        if metric.kind is Kind.COUNTER:
            yield self._counters(metric, CounterMetricFamily(metric.name, meaning, labels=metric.labels))
        elif metric.kind is Kind.HISTOGRAM:
            yield self._histograms(metric, HistogramMetricFamily(metric.name, meaning, labels=metric.labels))
        elif metric.join is Join.EACH:
            yield self._each(metric, GaugeMetricFamily(metric.name, meaning, labels=("worker",)))
        elif running:
            family = GaugeMetricFamily(metric.name, meaning, labels=metric.labels)
            for values in metric.values:
                family.add_metric(values, self._sheet.joined(metric, values, running)[0])
            yield family

    def _counters(self, metric: Metric, family: CounterMetricFamily) -> Family:
        for values in metric.values:
            [total] = self._sheet.joined(metric, values, ())
            if total or not metric.is_sparse:
                family.add_metric([str(value) for value in values], total)
        return family

    def _histograms(self, metric: Metric, family: HistogramMetricFamily) -> Family:
        bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
        for values in metric.values:
            *counts, total = self._sheet.joined(metric, values, ())
            family.add_metric(
                [str(value) for value in values], list(zip(bounds, accumulate(counts), strict=True)), total
            )
        return family

    def _each(self, metric: Metric, family: GaugeMetricFamily) -> Family:
        for worker, [value] in enumerate(self._sheet.values(metric, ())):
            family.add_metric([str(worker) if worker < self._sheet.workers else LEDGER], value)
        return family
