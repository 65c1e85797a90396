"""A worker's numbers, where there is no room for the files that workers share."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe import metric_sums
from gateway.observe.access_record import label_of
from gateway.observe.events import Event
from gateway.observe.metrics import Metrics
from gateway.observe.request_counts import RouteCounts
from gateway.observe.slots import Slots, reloads_file
from tests.support.gateway import REPOSITORY


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """What the library keeps in a global is as it was."""
    before = values.ValueClass
    yield
    values.ValueClass = before


def test_no_folder() -> None:
    """The worker counts for itself."""
    counts_for_itself(Metrics("", 0))


def test_a_folder_that_has_gone(tmp_path: Path) -> None:
    counts_for_itself(Metrics(str(tmp_path / "gone"), 0))


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Room is taken before anything is written: a hole in a file would end the worker (SIGBUS)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # bytes
    try:
        counts_for_itself(Metrics(str(tmp_path), 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_files_without_holes(tmp_path: Path) -> None:
    metrics = Metrics(str(tmp_path), 3)
    metrics.event(Event("login", "alice", "id"))
    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size > 0
    assert b'latchkey_events_total{event="login",reason=""} 1.0' in metrics.render()


def test_a_full_disk_later(tmp_path: Path) -> None:
    """Routes whose numbers find no room on the disk share those of `other`."""
    metrics = Metrics(str(tmp_path), 0)
    metrics.traffic.publish({b"/first/*": requests(2)})
    size = max(file.stat().st_size for file in tmp_path.iterdir())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # bytes
    try:
        for number in range(200):
            metrics.traffic.publish({b"/later/%d" % number: requests(1)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    text = metrics.render().decode()
    assert 'latchkey_requests_total{method="GET",route="/first/*",status="2xx"} 2.0' in text
    counts = re.findall(r"^latchkey_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
    assert sum(map(float, counts)) == 202
    assert 'latchkey_requests_total{method="other",route="other",status="2xx"}' in text
    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_files_grow_without_holes(tmp_path: Path) -> None:
    metrics = Metrics(str(tmp_path), 0)
    for number in range(300):
        metrics.traffic.publish({b"/shop/%d/*" % number: requests(1)})
    assert b'route="/shop/299/*"' in metrics.render()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert max(sizes) > 2**16
    for file in tmp_path.iterdir():
        assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_many_routes_are_summed_up(tmp_path: Path) -> None:
    """A configuration with very many routes has a bounded number of time series."""
    metrics = Metrics(str(tmp_path), 0)
    for number in range(1500):
        metrics.traffic.publish({b"/%d" % number: requests(1)})
    text = metrics.render().decode()
    routes = set(re.findall(r'latchkey_requests_total\{.*route="([^"]*)"', text))
    assert "other" in routes
    assert len(routes) <= 1001


def test_routes_of_many_reloads_are_summed_up(tmp_path: Path) -> None:
    """Those of former configurations count as well, since their numbers stay."""
    for generation in range(3):
        metrics = Metrics(str(tmp_path), generation)
        routes = [b"/kept/*", *(b"/%d/%d" % (generation, number) for number in range(500))]
        metrics.traffic.publish({route: requests(1) for route in routes})
    text = metrics.render().decode()
    found = set(re.findall(r'latchkey_requests_total\{.*route="([^"]*)"', text))
    assert len(found) <= 1001
    assert 'latchkey_requests_total{method="GET",route="/kept/*",status="2xx"} 3.0' in text
    counts = re.findall(r"^latchkey_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
    assert sum(map(float, counts)) == 3 * 501


def test_totals_become_counters(tmp_path: Path) -> None:
    """A total that is less than before began anew; the counter goes on."""
    metrics = Metrics(str(tmp_path), 0)
    metrics.traffic.server_available.set(1, "shop", "http://10.0.0.1")
    for total in (0, 3, 3, 5, 2):
        metrics.traffic.server_requests.add(total, "shop", "http://10.0.0.1")
    text = metrics.render()
    line = b'latchkey_upstream_requests_total{server="http://10.0.0.1",upstream="shop"} 7.0'
    assert line in text


def test_servers_that_come_and_go_take_bounded_room(tmp_path: Path) -> None:
    metrics = Metrics(str(tmp_path), 0)
    for number in range(3000):
        metrics.traffic.server_requests.add(1, "shop", f"http://10.0.0.{number}")
        metrics.traffic.server_available.set(1, "shop", f"http://10.0.0.{number}")
    assert metrics.render().count(b"latchkey_upstream_requests_total{") == 2000


def test_the_series_of_a_server_end_with_it(tmp_path: Path) -> None:
    """When the last worker has seen its address go. It goes on counting when it is back."""
    labels, workers = ("shop", "http://shop:80 (10.0.0.1)"), []
    for slot in range(2):
        worker = Metrics(str(tmp_path), slot).traffic
        workers.append(worker)
        worker.server_requests.add(2, *labels)
        worker.server_connections.set(1, *labels, "busy")
        worker.server_available.set(1, *labels)
        worker.queued.set(0, "shop")
    assert metric_sums.render(tmp_path).count(b"10.0.0.1") == 3
    first, second = workers
    first.server_connections.end(*labels, "busy")
    first.server_available.end(*labels)
    text = metric_sums.render(tmp_path).decode()
    assert re.search(r"latchkey_upstream_connections\{.*10\.0\.0\.1.*\} 1\.0$", text, re.MULTILINE)
    second.server_connections.end(*labels, "busy")
    second.server_available.end(*labels)
    assert b"10.0.0.1" not in metric_sums.render(tmp_path)
    assert b'latchkey_upstream_queued{upstream="shop"} 0.0' in metric_sums.render(tmp_path)
    first.server_available.set(1, *labels)
    first.server_requests.add(3, *labels)
    text = metric_sums.render(tmp_path).decode()
    assert re.search(r"latchkey_upstream_requests_total\{.*\} 5\.0$", text, re.MULTILINE)


def test_the_sums_are_those_of_the_library(tmp_path: Path) -> None:
    """Its collector is the oracle, and its parser reads the text: with any characters in labels,
    and for gauges of each mode.
    """
    names = ["/api/*", 'a"b', "a\\b", "a\nb", "a\\n", "ü,}=", ""]
    for slot, metrics in ((slot, Metrics(str(tmp_path), slot)) for slot in range(3)):
        for number, name in enumerate(names):
            metrics.traffic.publish({label_of(name): requests(number + slot)})
            metrics.traffic.limit_refusals.add(number * slot, name)
        metrics.state(entries=slot, trusted=slot > 0, store_up=True)
        metrics.revoked(0.001 * slot)
        metrics.event(Event("login", "alice", "id"))
        metrics.traffic.server_available.set(slot % 2, "shop", 'http://"1"')
        metrics.traffic.server_requests.add(slot, "shop", 'http://"1"')
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]
    expected = samples(generate_latest(registry).decode())
    assert len(expected) > 300
    assert samples(metric_sums.render(tmp_path).decode()) == expected


def test_the_documentation_names_each_metric_with_its_labels() -> None:
    """And no metric that is not there."""
    metrics = Metrics("", 0)
    declared = {
        f"{family.name}_total" if family.type == "counter" else family.name: set(metric._labelnames)
        for metric in (*vars(metrics).values(), *metrics.traffic.all)
        if isinstance(metric, MetricWrapperBase)
        for family in metric.collect()
    }
    slots = Slots()
    slots.make()
    try:
        for family in text_string_to_metric_families(reloads_file(slots.folder).read_text()):
            name = family.samples[0].name
            declared[name] = set(family.samples[0].labels)
    finally:
        slots.remove()
    assert documented() == declared


def documented() -> dict[str, set[str]]:
    """The metrics of docs/operating.md, with their labels."""
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    rows = re.findall(r"^\| (`latchkey_.*?) \|", text, re.MULTILINE)
    found = {}
    for row in rows:
        for name, labels in re.findall(r"`(latchkey_\w+)(?:\{([\w,]+)\})?`", row):
            shared = re.search(r"` `\{([\w,]+)\}`$", row)  # of all metrics in the row
            written = labels or (shared[1] if shared else "")
            found[name] = set(filter(None, written.split(",")))
    return found


def samples(text: str) -> set[tuple[object, ...]]:
    """All samples of a scrape, with the kinds and the texts of their metrics."""
    return {
        (
            family.type,
            family.documentation,
            sample.name,
            frozenset(sample.labels.items()),
            round(sample.value, 9),
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(count: int) -> RouteCounts:
    """So many GETs that were answered with 200 after a millisecond."""
    counts = RouteCounts()
    counts.answers[b"GET", 200] = counts.durations[0] = count
    counts.seconds = count / 1000
    return counts


def counts_for_itself(metrics: Metrics) -> None:
    metrics.event(Event("login", "alice", "id"))
    metrics.state(entries=7, trusted=True, store_up=True)
    metrics.revoked(0.5)
    metrics.traffic.publish({b"/api/*": requests(3)})
    text = metrics.render()
    assert b'latchkey_events_total{event="login",reason=""} 1.0' in text
    assert b'latchkey_requests_total{method="GET",route="/api/*",status="2xx"} 3.0' in text
    assert b'latchkey_request_duration_seconds_count{route="/api/*"} 3.0' in text
    assert b"latchkey_near_cache_entries 7.0" in text
    assert b"latchkey_revocation_seconds_max 0.5" in text
