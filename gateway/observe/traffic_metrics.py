"""Metrics of the relay: requests, durations, and what is in flight.

The relay counts in plain integers. At each tick of its clock they are published here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from gateway.observe.metric_files import MetricFiles
from gateway.observe.request_counts import DURATION_BOUNDS, RouteCounts

# How many routes have numbers of their own; each takes about 20 KiB of memory.
_MAX_ROUTES = 1000
_CLASSES = {number: f"{number}xx" for number in range(1, 6)}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# What the numbers of further routes and methods are summed up under, and of requests that met none.
_OTHER = "other"
_NO_ROUTE = "none"

# The room that one number takes, without its route (bytes), and the numbers of a histogram.
_NUMBER_BYTES = 256
_BUCKETS = len(DURATION_BOUNDS) + 2


class TrafficMetrics:
    """The relay's numbers of one worker."""

    def __init__(self, files: MetricFiles) -> None:
        self._files = files
        self.requests = Counter(
            "latchkey_requests",
            "Requests that have ended, by their route, method and class of status.",
            ["route", "method", "status"],
            registry=None,
        )
        self.durations = Histogram(
            "latchkey_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            registry=None,
            buckets=DURATION_BOUNDS,
        )
        self.upstream_durations = Histogram(
            "latchkey_upstream_duration_seconds",
            "From the head sent to an upstream to the head of its answer.",
            ["route"],
            registry=None,
            buckets=DURATION_BOUNDS,
        )
        self.in_flight = Gauge(
            "latchkey_requests_in_flight",
            "Requests that have not ended.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self.connections = Gauge(
            "latchkey_client_connections",
            "Open connections of clients.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self._routes = {b"": _NO_ROUTE}
        self._answers: dict[tuple[str, str, str], Counter] = {}
        for status in (*_CLASSES.values(), _OTHER):
            self._answer(_OTHER, _OTHER, status)
        for route in (_OTHER, _NO_ROUTE):
            self.durations.labels(route)
            self.upstream_durations.labels(route)

    def publish(self, routes: Mapping[bytes, RouteCounts]) -> None:
        """Add the counts of the last tick."""
        for label, counts in routes.items():
            route = self._route(label)
            for (method, status), count in counts.answers.items():
                status_class = _CLASSES.get(status // 100, _OTHER)
                self._answer(route, _method(method), status_class).inc(count)
            _add(self.durations.labels(route), counts.durations, counts.seconds)
            _add(
                self.upstream_durations.labels(route),
                counts.upstream_durations,
                counts.upstream_seconds,
            )

    def _route(self, label: bytes) -> str:
        """The label of a route: its name, or `other` for one too many."""
        route = self._routes.get(label)
        if route is None:
            route = label.decode("latin-1")
            size = 2 * _BUCKETS * (_NUMBER_BYTES + len(json.dumps(route)))
            if len(self._routes) > _MAX_ROUTES or not self._files.have_room("histogram", size):
                route = _OTHER
            self._routes[label] = route
        return route

    def _answer(self, route: str, method: str, status: str) -> Counter:
        """The number of requests with these labels. On a full disk, further ones share one."""
        labels = (route, method, status)
        counter = self._answers.get(labels)
        if counter is None:
            if not self._files.have_room("counter", _NUMBER_BYTES + len(json.dumps(route))):
                route = method = _OTHER
            counter = self._answers[labels] = self.requests.labels(route, method, status)
        return counter


def _method(method: bytes) -> str:
    name = method.decode("latin-1")
    return name if name in _METHODS else _OTHER


def _add(histogram: Histogram, counts: Sequence[int], seconds: float) -> None:
    """Add many observations at once, for which the library has no method."""
    if any(counts):
        histogram._sum.inc(seconds)
        for bucket, count in zip(histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
