"""What the service measures of itself, for Prometheus and for the operator's page, over all workers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values

__all__ = ["BUCKETS", "Metrics"]

_VALUES: Any = values  # the library leaves functions of these without types
_MULTIPROCESS: Any = multiprocess
BUCKETS = (.0005, .001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .2, .5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters of one worker in a folder that all workers share; a scrape of any worker adds up all of them.

    Files are named by the worker's slot, not by its process, so that a worker that is started again goes on with the
    counters of the one before, and files do not pile up.

    Parameters
    ----------
    folder : path
        Empty when the service starts.
    slot : int
        Of the worker.
    n_items : int
        Of the catalogue; which of them were shown is kept as one byte each, in a file that all workers map.
    """

    def __init__(self, folder: str | os.PathLike[str], slot: int, n_items: int) -> None:
        self.folder = Path(folder)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        _VALUES.ValueClass = _VALUES.MultiProcessValue(process_identifier=lambda: slot)
        registry = CollectorRegistry()
        self.requests = Counter("recsys_requests", "Requests by route and status.", ("route", "status"),
                                registry=registry)
        self.latency = Histogram("recsys_latency_seconds", "From the request's first byte to the answer, by route.",
                                 ("route",), buckets=BUCKETS, registry=registry)
        self.sources = Counter("recsys_items", "Items of answers by where they come from.", ("source",),
                               registry=registry)
        self.events = Counter("recsys_events", "Events that came in, each once, by type.", ("type",),
                              registry=registry)
        self.reloads = Counter("recsys_reloads", "Models loaded while running, by outcome.", ("outcome",),
                               registry=registry)
        self.erasures = Counter("recsys_erasures", "People erased.", registry=registry)
        self.queue = Gauge("recsys_queue", "Requests that wait.", registry=registry, multiprocess_mode="sum")
        self.age = Gauge("recsys_model_age_seconds", "Since the variant's model was loaded.", ("variant",),
                         registry=registry, multiprocess_mode="max")
        self.started = Gauge("recsys_started_seconds", "When the service was started, since 1970.", registry=registry,
                             multiprocess_mode="min")
        self.started.set_to_current_time()
        self._children: dict[Any, Any] = {}
        path = self.folder / "shown.bin"
        with open(path, "ab") as file:
            file.truncate(max(n_items, 1))
        self._shown = np.memmap(path, np.uint8, "r+", shape=(max(n_items, 1),)).view(np.ndarray)

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        children = self._children.get((route, status))
        if children is None:
            children = self.requests.labels(route, str(status)), self.latency.labels(route)
            self._children[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def show(self, sources: Mapping[str, int], items: Sequence[int]) -> None:
        """Items that were recommended, by source, and by number."""
        for source, count in sources.items():
            self.sources.labels(source).inc(count)
        self._shown[[item for item in items if item < len(self._shown)]] = 1

    @property
    def coverage(self) -> int:
        """How many different items were shown by any worker since the start."""
        return int(self._shown.sum())

    def scrape(self) -> bytes:
        """The text that Prometheus reads, of all workers."""
        return bytes(prometheus_client.generate_latest(self._all()))

    def summary(self) -> dict[str, Any]:
        """Totals since the start: requests by route and by status, latency, sources, events by type."""
        found: dict[str, Any] = {"requests": {}, "statuses": {}, "sources": {}, "events": {}, "queue": 0.0,
                                 "started": time.time()}
        buckets: dict[float, float] = {}
        for family in self._all().collect():
            for sample in family.samples:
                name, labels = sample.name, sample.labels
                if name == "recsys_requests_total":
                    _add(found["requests"], labels["route"], sample.value)
                    _add(found["statuses"], labels["status"], sample.value)
                elif name == "recsys_latency_seconds_bucket" and labels["route"].startswith("/v1/"):
                    _add(buckets, float(labels["le"]), sample.value)
                elif name == "recsys_items_total":
                    _add(found["sources"], labels["source"], sample.value)
                elif name == "recsys_events_total":
                    _add(found["events"], labels["type"], sample.value)
                elif name == "recsys_started_seconds":
                    found["started"] = sample.value
                elif name == "recsys_queue":
                    found["queue"] += sample.value
        found["latency"] = sorted(buckets.items())
        return found

    def _all(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        _MULTIPROCESS.MultiProcessCollector(registry, str(self.folder))
        return registry


def _add(totals: dict[Any, float], key: Any, value: float) -> None:
    totals[key] = totals.get(key, 0) + value
