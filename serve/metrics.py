"""The counters of the graph for Prometheus: each process writes its own files, and any gateway merges all of them.

So a scrape of one gateway has the counters of all replicas of all deployments on this machine.
"""

import asyncio
import os
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import prometheus_client
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
_FLUSH_SECONDS = 0.5


class Metrics:
    """The counters of one process. `folder` is shared by all processes of one deployment."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # prometheus_client chooses where values live when it is imported, which may have been long ago.
        os.environ[_FOLDER_VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue()
        registry = CollectorRegistry()
        self.requests = Counter("streamflow_requests", "Requests answered.", ["endpoint", "status"], registry=registry)
        self.request_seconds = Histogram(
            "streamflow_request_seconds", "Time in the gateway.", ["endpoint"], registry=registry, buckets=_SECONDS
        )
        part_seconds = Histogram(
            "streamflow_part_seconds",
            "Time of one call of a part: graph (as the gateway sees it), lookup, score.",
            ["part"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._parts = {name: part_seconds.labels(name) for name in ("graph", "lookup", "score")}
        self.batch_size = Histogram(
            "streamflow_batch_size", "Users in one call of the graph.", registry=registry, buckets=_SIZES
        )
        self._predictions = Counter("streamflow_predictions", "Predictions by version.", ["version"], registry=registry)
        self.reloads = Counter(
            "streamflow_model_reloads",
            "Attempts to load a version: loaded, refused, unreachable.",
            ["outcome"],
            registry=registry,
        )
        self.replicas = Gauge(
            "streamflow_model_replicas",
            "Scorers that serve this version now.",
            ["version", "model_sha256"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.unsigned = Gauge(
            "streamflow_model_unsigned",
            "Scorers that serve a version that no trusted key signed for (STREAMFLOW_TRUST=warn).",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.behind = Gauge(
            "streamflow_model_not_served",
            "Scorers that do not serve the version of the alias; /model has the reason.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._missing = Counter(
            "streamflow_missing_features",
            "Missing features: not in the store, or null where the schema forbids it.",
            ["feature", "kind"],
            registry=registry,
        )
        self._stale = Counter(
            "streamflow_stale_features", "Features older than the limit.", ["feature"], registry=registry
        )
        self._tally: Tally[tuple[Any, ...]] = Tally()
        self._flushing: asyncio.TimerHandle | None = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a call of a part of the graph, failed calls included."""
        started = perf_counter()
        try:
            yield
        finally:
            self._parts[name].observe(perf_counter() - started)

    def count_prediction(self, version: str) -> None:
        """Count a prediction of a model version."""
        self._count((self._predictions, version))

    def count_stale(self, names: Sequence[str]) -> None:
        """Count the features of one user that were too old, whether that was flagged or refused."""
        self._count(*((self._stale, name) for name in names))

    def count_missing(self, absent: Sequence[str], null: Sequence[str]) -> None:
        """Count the features that one user lacked."""
        self._count(
            *((self._missing, name, "absent") for name in absent), *((self._missing, name, "null") for name in null)
        )

    def _count(self, *keys: tuple[Any, ...]) -> None:
        # Many of them for each request: they are written to the files every half second, not during the request.
        for key in keys:
            self._tally[key] += 1
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    def scrape(self) -> bytes:
        """All counters of all processes, as Prometheus reads them."""
        self._flush()
        for path in self._folder.glob("gauge_live*.db"):
            if not psutil.pid_exists(int(path.stem.rpartition("_")[2])):
                path.unlink(missing_ok=True)
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(merged)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        tally, self._tally = self._tally, Tally()
        for (counter, *labels), count in tally.items():
            counter.labels(*labels).inc(count)
