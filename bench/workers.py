"""The throughput of two workers beside that of one, each on a core of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench.gateways import Running, latchkey_with, serving
from bench.ground import Ground, prepared
from bench.load import Load, measure
from bench.machine import Cores, busy, say
from bench.modes import Effort

WORKERS = (1, 2)
NEEDED_CORES = 4  # the load, the upstream with Redis, and two workers

_CONNECTIONS = 64
_WARM_UP = 1  # s before each measured burst


@dataclass(frozen=True)
class Burst:
    """What one burst has shown."""

    rate: float  # requests per second
    load_busy: float  # the part of its core that the load used
    upstream_busy: float


@dataclass(frozen=True)
class Scaling:
    """The bursts by the number of workers, one a round."""

    bursts: dict[int, list[Burst]]

    @property
    def ratio(self) -> float:
        """How often the throughput of one worker two have: the median over the rounds."""
        one, two = (self.bursts[workers] for workers in WORKERS)
        return median(more.rate / fewer.rate for fewer, more in zip(one, two, strict=True))


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def measure_scaling(cores: Sequence[int], effort: Effort) -> Scaling:
    """Measure on these cores, of which there are `NEEDED_CORES` at least."""
    load, upstream, *workers = cores[:NEEDED_CORES]
    scaling = Scaling({number: [] for number in WORKERS})
    with ExitStack() as stack:
        on = Cores(workers[0], load, upstream=upstream)
        ground = stack.enter_context(prepared(on))
        up = {
            number: stack.enter_context(serving(latchkey_with(workers[:number]), ground))
            for number in WORKERS
        }
        for turn in range(effort.rounds):
            for number in WORKERS if turn % 2 else reversed(WORKERS):
                burst = _burst(ground, up[number], effort.seconds)
                scaling.bursts[number].append(burst)
                say(f"round {turn + 1}: {number} workers {burst.rate:,.0f} requests a second")
    return scaling


def _burst(ground: Ground, gateway: Running, seconds: int) -> Burst:
    measure(ground, gateway, Load("/api/small", _CONNECTIONS, _WARM_UP))
    before = [busy(core) for core in (ground.cores.load, ground.cores.of_upstream)]
    sample = measure(ground, gateway, Load("/api/small", _CONNECTIONS, seconds))
    after = [busy(core) for core in (ground.cores.load, ground.cores.of_upstream)]
    parts = [(end - begin) / seconds for begin, end in zip(before, after, strict=True)]
    return Burst(sample.rate, *parts)
