"""Requests by route, as plain integers.

At each tick of the relay's clock they are published: a number in the metrics' files costs a
microsecond, and one here a tenth of that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from gateway.observe.access_record import AccessRecord

# The upper bounds of the durations' buckets, in seconds. A last bucket holds longer ones.
DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _field(*names: str) -> Callable[[AccessRecord], Any]:
    """Reads fields of records, by position: by its name, each would take 30 ns."""
    return itemgetter(*map(AccessRecord._fields.index, names))


_route = _field("route")
_answer = _field("method", "status")
_duration = _field("duration")
_upstream_duration = _field("upstream_duration")


class RouteCounts:
    """The requests of one route since the last tick.

    answers: how many had this method and this status
    durations: how many were in each bucket, from the request's head to the answer's end
    upstream_durations: the same, from the head sent upstream to the head of its answer
    seconds, upstream_seconds: their sums
    """

    __slots__ = ("answers", "durations", "seconds", "upstream_durations", "upstream_seconds")

    def __init__(self) -> None:
        self.answers: Counter[tuple[bytes, int]] = Counter()
        self.durations = [0] * (len(DURATION_BOUNDS) + 1)
        self.upstream_durations = self.durations.copy()
        self.seconds = self.upstream_seconds = 0.0

    def add(self, records: Sequence[AccessRecord]) -> None:
        """Count requests of this route."""
        self.answers.update(map(_answer, records))
        durations = sorted(map(_duration, records))
        _count(durations, self.durations)
        self.seconds += sum(durations)
        durations = sorted(filter(None, map(_upstream_duration, records)))
        _count(durations, self.upstream_durations)
        self.upstream_seconds += sum(durations)


def _count(durations: Sequence[float], buckets: list[int]) -> None:
    """Add how many of the durations are in each bucket. They are sorted."""
    counted = 0
    for bucket, bound in enumerate(DURATION_BOUNDS):
        at_most = bisect_right(durations, bound)
        buckets[bucket] += at_most - counted
        counted = at_most
    buckets[-1] += len(durations) - counted


class RequestCounts:
    """Counts ended requests. For the relay it is a `RecordSink`."""

    def __init__(self, publish: Callable[[Mapping[bytes, RouteCounts]], None]) -> None:
        """`publish` gets the counts since its last call, by the names of routes."""
        self._publish = publish
        self._routes: defaultdict[bytes, RouteCounts] = defaultdict(RouteCounts)

    def take(self, records: Sequence[AccessRecord]) -> None:
        """Count requests: many at once take a half of the time."""
        by_route: defaultdict[bytes, list[AccessRecord]] = defaultdict(list)
        for route, record in zip(map(_route, records), records, strict=True):
            by_route[route].append(record)
        for route, alike in by_route.items():
            self._routes[route].add(alike)

    def flush(self) -> None:
        if self._routes:
            routes, self._routes = self._routes, defaultdict(RouteCounts)
            self._publish(routes)
