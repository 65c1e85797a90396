"""Metrics of the relay: requests, durations, and what is in flight.

The relay counts in plain integers. At each tick of its clock they are published here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from gateway.observe.access_record import label_of, name_of
from gateway.observe.metric_files import MetricFiles
from gateway.observe.request_counts import DURATION_BOUNDS, RouteCounts

# How many routes have numbers of their own, over all reloads; each takes about 20 KiB of memory.
_MAX_ROUTES = 1000
_CLASSES = {number: f"{number}xx" for number in range(1, 6)}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# What the numbers of further routes and methods are summed up under, and of requests that met none.
_OTHER = "other"
_NO_ROUTE = "none"

# How many numbers a metric has at most, such as those of servers whose addresses change.
_MAX_LABELS = 2000

_Mode = Literal["livesum", "livemin"]
M = TypeVar("M", Counter, Gauge)

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
        self.in_flight = self._gauge("requests_in_flight", "Requests that have not ended.")
        self.connections = self._gauge("client_connections", "Open connections of clients.")
        self.tunnels = self._gauge("tunnels", "Open tunnels, such as WebSockets.")
        self.streams = self._gauge("streams", "Event streams that have not ended.")
        upstream, server = ("upstream",), ("upstream", "server")
        self.queued = self._gauge(
            "upstream_queued", "Requests that wait for a connection.", *upstream
        )
        self.upstream_refusals = self._counter(
            "upstream_refusals",
            "Requests and retries that an upstream's settings refused.",
            *upstream,
            "setting",
        )
        self.breaker_openings = self._counter(
            "upstream_breaker_openings", "How often the circuit breaker has opened.", *upstream
        )
        self.health_checks = self._counter(
            "upstream_health_checks", "Active health checks.", *upstream, "result"
        )
        self.lookups = self._counter(
            "upstream_lookups", "Look-ups of the names of servers.", *upstream, "result"
        )
        self.server_requests = self._counter(
            "upstream_requests", "Requests for a server, also those that are sent again.", *server
        )
        self.server_errors = self._counter(
            "upstream_errors", "What went wrong at a server, by the reason.", *server, "reason"
        )
        self.server_retries = self._counter(
            "upstream_retries", "Requests that went to another server after this one.", *server
        )
        self.server_ejections = self._counter(
            "upstream_ejections", "How often a server was ejected.", *server
        )
        self.connections_opened = self._counter(
            "upstream_connections_opened", "Connections that were opened to a server.", *server
        )
        self.connections_reused = self._counter(
            "upstream_connections_reused", "Requests that got a kept connection.", *server
        )
        self.server_connections = self._gauge(
            "upstream_connections", "Connections to a server: busy or idle.", *server, "state"
        )
        self.server_available = self._gauge(
            "upstream_server_available",
            "1 unless a worker has ejected the server, or finds it unhealthy.",
            *server,
            mode="livemin",
        )
        self.limit_refusals = self._counter(
            "limit_refusals", "Requests that a limit refused, by its place in config.yaml.", "limit"
        )
        self.limit_unshared = self._counter(
            "limit_unshared", "Requests that a shared limit counted in this gateway alone.", "limit"
        )
        self.rule_calls = self._counter(
            "rule_calls", "How often a rule in Python was asked.", "rule", "result"
        )
        self.rule_seconds = self._counter(
            "rule_seconds", "How long a rule in Python took, in all.", "rule"
        )
        self.rule_slow = self._counter(
            "rule_slow_calls", "How often a rule in Python took longer than 1 ms.", "rule"
        )
        self.tokens_passed = self._counter(
            "tokens_passed",
            "Workers that saw a reply of this route give a JWT to a client: it may be a login.",
            "route",
        )
        self.openings_failed = self._counter(
            "openings_failed",
            "Connections that were closed before a request: no TLS, or a bad PROXY header.",
            "cause",
        )
        self.certificate_reloads = self._counter(
            "certificate_reloads", "Changed certificates of listeners.", "result"
        )
        self.upstream_tls_reloads = self._counter(
            "upstream_tls_reloads", "Changed files of an upstream's TLS.", *upstream, "result"
        )
        self.loop_delay = Histogram(
            "latchkey_event_loop_delay_seconds",
            "How late a worker's event loop does what is due.",
            registry=None,
            buckets=DURATION_BOUNDS,
        )
        # Those of former configurations count as well: their numbers stay.
        known = files.labels("counter", "latchkey_requests", "route") - {_OTHER, _NO_ROUTE}
        self._routes = {b"": _NO_ROUTE, **{label_of(name): name for name in known}}
        self._answers: dict[tuple[str, str, str], Counter] = {}
        for status in (*_CLASSES.values(), _OTHER):
            self._answer(_OTHER, _OTHER, status)
        for route in (_OTHER, _NO_ROUTE):
            self.durations.labels(route)
            self.upstream_durations.labels(route)

    @property
    def all(self) -> Iterable[MetricWrapperBase]:
        """The metrics, for a registry."""
        values: Iterable[object] = vars(self).values()
        for value in values:
            if isinstance(value, MetricWrapperBase):
                yield value
            elif isinstance(value, Totals | Gauges):
                yield value.metric

    def _counter(self, name: str, text: str, *labels: str) -> Totals:
        return Totals(Counter(f"latchkey_{name}", text, labels, registry=None), self._files)

    def _gauge(self, name: str, text: str, *labels: str, mode: _Mode = "livesum") -> Gauges:
        gauge = Gauge(f"latchkey_{name}", text, labels, registry=None, multiprocess_mode=mode)
        return Gauges(gauge, self._files, f"gauge_{mode}")

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
            route = name_of(label)
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


class _Labelled(Generic[M]):
    """The numbers of a metric, by their labels, as far as there is room for them."""

    def __init__(self, metric: M, files: MetricFiles, kind: str) -> None:
        self.metric: M = metric
        self._files = files
        self._kind = kind
        self._children: dict[tuple[str, ...], M | None] = {}

    def _child(self, labels: tuple[str, ...]) -> M | None:
        """None if there are too many, or on a full disk."""
        if labels not in self._children:
            if len(self._children) >= _MAX_LABELS:
                return None
            size = _NUMBER_BYTES + len(json.dumps(labels))
            child = None
            if self._files.have_room(self._kind, size):
                child = self.metric.labels(*labels) if labels else self.metric
            self._children[labels] = child
        return self._children[labels]


class Totals(_Labelled[Counter]):
    """Counters that grow to totals, which are counted elsewhere."""

    def __init__(self, metric: Counter, files: MetricFiles) -> None:
        super().__init__(metric, files, "counter")
        self._last: dict[tuple[str, ...], float] = {}

    def add(self, total: float, *labels: str) -> None:
        """Add what a total has grown by. One that has become less began anew."""
        last = self._last.get(labels, 0.0)
        if total == last and labels in self._last:
            return
        counter = self._child(labels)
        if counter is not None:
            counter.inc(total - last if total >= last else total)
            self._last[labels] = total


class Gauges(_Labelled[Gauge]):
    """Gauges that are set to what is counted elsewhere."""

    def set(self, value: float, *labels: str) -> None:
        gauge = self._child(labels)
        if gauge is not None:
            gauge.set(value)

    def end(self, *labels: str) -> None:
        """End the series in this worker, until it is set again."""
        self.set(math.nan, *labels)


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
