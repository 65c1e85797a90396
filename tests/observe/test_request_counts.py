"""Requests by route, as plain integers between two ticks."""

from collections.abc import Mapping

from gateway.observe.request_counts import DURATION_BOUNDS, RequestCounts, RouteCounts
from tests.observe.test_access_log import RECORD


def test_requests_are_counted_until_the_next_tick() -> None:
    published: list[Mapping[bytes, RouteCounts]] = []
    counts = RequestCounts(published.append)
    counts.take([RECORD, RECORD, RECORD._replace(status=401)])
    counts.take([RECORD._replace(route=b"")])
    counts.flush()
    counts.flush()  # since nothing came, nothing is published
    [routes] = published
    assert routes[b"/api/*"].answers == {(b"GET", 200): 2, (b"GET", 401): 1}
    assert routes[b""].answers == {(b"GET", 200): 1}


def test_durations_have_buckets() -> None:
    """A bucket holds what is at most its bound; the last one holds what is longer than all."""
    published: list[Mapping[bytes, RouteCounts]] = []
    counts = RequestCounts(published.append)
    for seconds in (DURATION_BOUNDS[0], DURATION_BOUNDS[0] * 1.01, 1000.0):
        counts.take([RECORD._replace(duration=seconds, upstream_duration=0.0)])
    counts.flush()
    route = published[0][b"/api/*"]
    assert (route.durations[0], route.durations[1], route.durations[-1]) == (1, 1, 1)
    assert sum(route.durations) == 3
    assert sum(route.upstream_durations) == 0  # no upstream has answered
