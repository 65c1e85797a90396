"""Metrics for Prometheus, of all workers of a gateway together.

Each worker writes its numbers into files of a shared folder, and the worker that Prometheus asks
adds them up. The files belong to the worker's slot: its successor goes on counting where it
stopped, so counters never go backwards and files never pile up.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase

from gateway import __version__
from gateway.core.http.refusals import Refusal
from gateway.observe import metric_sums
from gateway.observe.events import Event
from gateway.observe.metric_files import MetricFiles
from gateway.observe.slots import reloads_file
from gateway.observe.traffic_metrics import TrafficMetrics

# Seconds. A push over loopback takes less than a millisecond; more than a second is an alarm.
_PUSH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_log = logging.getLogger("gateway.metrics")


class Metrics:
    """One worker's numbers, and the sum of all workers'."""

    def __init__(self, folder: str, slot: int) -> None:
        """`slot` is this worker's number, which no other living worker has."""
        files = MetricFiles(folder, slot)
        self._folder = files.folder
        if self._folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the library asks for it by this name
            values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
        else:
            values.ValueClass = values.MutexValue
            _log.warning("there is no room for the metrics' files: this worker counts for itself")
        self._events = Counter(
            "latchkey_events",
            "What happened to sessions; the audit log tells of each.",
            ["event", "reason"],
            registry=None,
        )
        self._refusals = Counter(
            "latchkey_refusals",
            "Requests that the gateway refused, or whose answer it cut.",
            ["reason"],
            registry=None,
        )
        self._store_unavailable = Counter(
            "latchkey_store_unavailable",
            "Requests that were refused because the store did not answer.",
            registry=None,
        )
        self._lines_dropped = Counter(
            "latchkey_log_lines_dropped",
            "Lines of a log that were not written: it was read too slowly, or the disk was full.",
            ["log"],
            registry=None,
        )
        self._entries = Gauge(
            "latchkey_near_cache_entries",
            "Sessions that the workers remember.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self._trusted = Gauge(
            "latchkey_near_cache_trusted",
            "1 while each worker is told of changes, and remembers sessions.",
            registry=None,
            multiprocess_mode="livemin",
        )
        self._store = Gauge(
            "latchkey_store_up",
            "1 while the store answers, as far as each worker knows.",
            registry=None,
            multiprocess_mode="livemin",
        )
        self._revocations = Histogram(
            "latchkey_revocation_seconds",
            "From asking Redis to end a session until Redis has told the near cache.",
            registry=None,
            buckets=_PUSH_BUCKETS,
        )
        self._slowest = Gauge(
            "latchkey_revocation_seconds_max",
            "The longest that a revocation has taken to be pushed.",
            registry=None,
            multiprocess_mode="max",
        )
        self._build = Gauge(
            "latchkey_build_info",
            "Which version runs.",
            ["version"],
            registry=None,
            multiprocess_mode="livemax",
        )
        self._build.labels(__version__).set(1)
        self.traffic = TrafficMetrics(files)

    def event(self, event: Event) -> None:
        self._events.labels(event.kind, event.reason).inc()

    def refused(self, refusal: Refusal) -> None:
        self._refusals.labels(refusal.reason).inc()
        if refusal.blame == "store":
            self._store_unavailable.inc()

    def token_passed(self, route: str) -> None:
        """Count a route whose reply has given a client a JWT, once in each worker."""
        self.traffic.tokens_passed.add(1, route)

    def lines_dropped(self, where: str, count: int) -> None:
        if count:
            self._lines_dropped.labels(where).inc(count)

    def revoked(self, seconds: float) -> None:
        """Observe a revocation that was pushed `seconds` after Redis was asked for it."""
        self._revocations.observe(seconds)
        [metric] = self._slowest.collect()
        self._slowest.set(max(seconds, metric.samples[0].value))

    def state(self, *, entries: int, trusted: bool, store_up: bool) -> None:
        """Set the gauges of this worker's state."""
        self._entries.set(entries)
        self._trusted.set(trusted)
        self._store.set(store_up)

    def render(self) -> bytes:
        """The numbers of all workers, in Prometheus's text format 0.0.4.

        It may run in a thread: with a thousand routes it takes a tenth of a second for each worker.

        Raises `OSError`.
        """
        is_shared = self._folder and Path(self._folder).is_dir()  # or it has been cleaned away
        workers = metric_sums.render(Path(self._folder)) if is_shared else self._render_own()
        return workers + self._reloads()

    def _render_own(self) -> bytes:
        """The numbers of this worker alone."""
        registry = CollectorRegistry()
        own = (value for value in vars(self).values() if isinstance(value, MetricWrapperBase))
        for metric in (*own, *self.traffic.all):
            registry.register(metric)
        return generate_latest(registry)

    def _reloads(self) -> bytes:
        """The numbers of the supervisor."""
        try:
            return reloads_file(self._folder).read_bytes()
        except OSError:
            return b""
