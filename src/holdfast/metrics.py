"""What this process has done, counted for Prometheus.

Counts are plain numbers in this process: adding to one takes no lock and about a tenth of a microsecond, and a batch of
token reads is counted once. Labels are from closed lists (operations, outcomes, statuses): never a user, an account, an
address or a connection.
"""

import bisect
import os
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Count:
    """One counter, to be added to as it is."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Counts:
    """A counter for each combination of labels. Only this process's event loop adds to it."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self.name, self.help, self.labels = name, help, tuple(labels)
        self._values: dict[tuple[str, ...], Count] = {}

    def of(self, *labels: str) -> Count:
        """Return the counter of these labels, for whoever adds to it often."""
        found = self._values.get(labels)
        if found is None:
            found = self._values[labels] = Count()
        return found

    def add(self, *labels: str, by: int = 1) -> None:
        self.of(*labels).value += by

    def value(self, *labels: str) -> int:
        found = self._values.get(labels)
        return 0 if found is None else found.value

    def values(self) -> list[tuple[dict[str, str], int]]:
        """Return each combination of labels and its count. Another thread may ask."""
        counts = list(self._values.items())
        return [(dict(zip(self.labels, labels, strict=True)), count.value) for labels, count in counts]

    def metric(self) -> Metric:
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        for labels, count in list(self._values.items()):
            family.add_metric(labels, count.value)
        return family


class Times:
    """A histogram of seconds."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self.bounds = name, help, tuple(bounds)
        self._within = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self.also: Callable[[float], object] | None = None
        """Who else is told of each one."""

    def note(self, seconds: float) -> None:
        if self.also is not None:
            self.also(seconds)
        self._within[bisect.bisect_left(self.bounds, seconds)] += 1
        self._sum += seconds

    def metric(self) -> Metric:
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self._within, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(self.name, self.help, buckets=buckets, sum_value=self._sum)


_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)

REQUESTS = Counts("holdfast_requests", "API requests answered, by operation and status.", ("operation", "status"))
READS = Counts("holdfast_token_reads", "Reads of credentials, by what came of them.", ("outcome",))
REFRESHES = Counts("holdfast_refreshes", "Refreshes that a provider was asked for, by what came of them.", ("outcome",))
REFRESH_SECONDS = Times("holdfast_refresh_duration_seconds", "How long providers took over a refresh.", _SECONDS)
PROXY_CALLS = Counts("holdfast_proxy_calls", "Proxied calls that ended, by class of status.", ("outcome",))
PROXY_SECONDS = Times("holdfast_proxy_call_duration_seconds", "How long proxied calls took.", _SECONDS)
DELIVERIES = Counts("holdfast_deliveries", "Attempts at webhook deliveries, by what came of them.", ("outcome",))
REVOCATIONS = Counts("holdfast_revocations", "Ends of access at a provider, by what came of them.", ("outcome",))

EVERYTHING = (REQUESTS, READS, REFRESHES, REFRESH_SECONDS, PROXY_CALLS, PROXY_SECONDS, DELIVERIES, REVOCATIONS)

Gauge = tuple[str, str, float]
"""Name, help, value."""


class _Ours(Collector):
    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = list(gauges)

    def collect(self) -> Iterable[Metric]:
        yield from (one.metric() for one in EVERYTHING)
        for name, words, value in self._gauges:
            yield GaugeMetricFamily(name, words, value=value)


def exposition(gauges: Iterable[Gauge], *, apart: bool = False) -> bytes:
    """Return everything as a scraper reads it. `apart`: several processes answer at one address, so that each one's
    series carry a label `process`, and stay monotonic each."""
    registry = CollectorRegistry()
    registry.register(_Ours(gauges))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    if not apart:
        return generate_latest(registry)
    labelled = CollectorRegistry()
    labelled.register(_Labelled(registry, str(os.getpid())))
    return generate_latest(labelled)


class _Labelled(Collector):
    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        self._registry, self._process = registry, process

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**sample.labels, "process": self._process}) for sample in family.samples
            ]
            yield family
