"""Adds up the metrics of all workers, in Prometheus's text format 0.0.4.

The metrics library can do so too (`MultiProcessCollector`), but takes several times as long, and as
much memory. A gateway with many routes and workers would feel that at each scrape.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gateway.observe.metric_files import entries

# How the gauges of several workers become one, by their mode. All other numbers are added.
_MODES: Mapping[str, Callable[[float, float], float]] = {
    "livemin": min,
    "livemax": max,
    "max": max,
}

# Each server of an upstream has this gauge while a living worker knows it. All its other series end
# with it: addresses come and go, and counters would stay for ever.
_PRESENCE = "latchkey_upstream_server_available"

# The name of a sample, its labels and its value.
_Sample = tuple[str, dict[str, str], float]


def render(folder: Path) -> bytes:
    """The numbers in all files of a folder, by their names. Raises `OSError`."""
    sums = _sums(folder)
    present = {
        _server(labels)
        for metric, _, labels, _ in map(json.loads, sums["gauge"])
        if metric == _PRESENCE
    }
    lines: list[str] = []
    for kind, numbers in sums.items():
        metrics: dict[tuple[str, str], list[_Sample]] = defaultdict(list)
        for key, value in numbers.items():
            metric, name, labels, text = json.loads(key)
            if "server" not in labels or _server(labels) in present:
                metrics[metric, text].append((name, labels, value))
        for (metric, text), samples in metrics.items():
            lines += _metric(metric, kind, text, samples)
    return "".join(f"{line}\n" for line in lines).encode()


def _sums(folder: Path) -> dict[str, dict[str, float]]:
    """The sums by kind (`counter`, `gauge`, `histogram`) and key.

    Raises `OSError`, rather than leave a worker out: counters would go back.
    """
    sums: dict[str, dict[str, float]] = {"counter": {}, "gauge": {}, "histogram": {}}
    for file in sorted(folder.glob("*.db")):
        kind, _, mode = file.stem.rpartition("_")[0].partition("_")
        numbers, join = sums[kind], _MODES.get(mode)
        try:
            data = file.read_bytes()
        except FileNotFoundError:  # the gauges of a worker that has just ended
            continue
        for key, value in entries(data):
            if math.isnan(value):  # the series has ended in this worker
                continue
            before = numbers.get(key)
            if before is None:
                numbers[key] = value
            else:
                numbers[key] = before + value if join is None else join(before, value)
    return sums


def _server(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["upstream"], labels["server"]


def _metric(metric: str, kind: str, text: str, samples: list[_Sample]) -> Iterator[str]:
    name = f"{metric}_total" if kind == "counter" else metric
    yield f"# HELP {name} {_escaped(text)}"
    yield f"# TYPE {name} {kind}"
    yield from map(_line, _cumulative(metric, samples) if kind == "histogram" else samples)


def _cumulative(metric: str, samples: Iterable[_Sample]) -> Iterator[_Sample]:
    """The samples of a histogram, whose files count for each bucket alone."""
    buckets: dict[tuple[str, ...], list[tuple[float, _Sample]]] = defaultdict(list)
    sums = {}
    for sample in samples:
        _, labels, value = sample
        series = tuple(value for label, value in labels.items() if label != "le")
        if "le" in labels:
            buckets[series].append((float(labels["le"]), sample))
        else:
            sums[series] = sample
    for series, found in buckets.items():
        total = 0.0
        for _, (name, labels, value) in sorted(found, key=lambda bucket: bucket[0]):
            total += value
            yield name, labels, total
        _, labels, _ = sums[series]
        yield f"{metric}_count", labels, total
        yield sums[series]


def _line(sample: _Sample) -> str:
    name, labels, value = sample
    if labels:
        pairs = (f'{label}="{_quoted(value)}"' for label, value in labels.items())
        name = f"{name}{{{','.join(pairs)}}}"
    return f"{name} {value}"


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"')


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
