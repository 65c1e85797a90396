"""A worker's numbers, where there is no room for the files that workers share."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from gateway.observe.events import Event
from gateway.observe.metrics import Metrics


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


def counts_for_itself(metrics: Metrics) -> None:
    metrics.event(Event("login", "alice", "id"))
    metrics.state(entries=7, trusted=True, store_up=True)
    metrics.revoked(0.5)
    text = metrics.render()
    assert b'latchkey_events_total{event="login",reason=""} 1.0' in text
    assert b"latchkey_near_cache_entries 7.0" in text
    assert b"latchkey_revocation_seconds_max 0.5" in text
