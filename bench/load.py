"""Load on one gateway: a measured burst, or load beside something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.gateways import Running
from bench.ground import Ground
from bench.machine import BenchError, busy, cost

_SCRIPT = Path(__file__).with_name("load.lua")
_GRACE = 30  # s beyond the burst until wrk is given up


@dataclass(frozen=True)
class Load:
    """The load that wrk puts on every gateway."""

    path: str
    connections: int
    seconds: int
    keys: Path | None = None  # a file of keys to walk through; None: the gateway's one key
    start: int = 0  # how many of them were walked before; the end is joined to the beginning


@dataclass(frozen=True)
class Sample:
    """The figures of one burst."""

    requests: int
    cpu_us: float  # of the gateway's processes, per request
    rate: float  # requests per second
    p50_ms: float
    p99_ms: float
    rss: int  # bytes, of the gateway's processes, at the end
    busy: float  # the part of its core that the gateway used
    others: float  # the part that processes from outside the bench used: they disturb
    lookups: float  # sessions read from Redis per request


def measure(ground: Ground, gateway: Running, load: Load) -> Sample:
    """Measure one burst. Raises `BenchError` if a single request failed.

    A wrong answer would be cheap to give.
    """
    core = ground.cores.gateway
    reads, worked, before = ground.looked_up(), busy(core), cost(gateway.pid)
    with _wrk(ground, gateway, load) as process:
        summary = _summary(process, gateway, load.seconds + _GRACE)
    after = cost(gateway.pid)
    worked, reads = busy(core) - worked, ground.looked_up() - reads
    used = after.cpu - before.cpu
    gateway.empty_access_log()
    return Sample(
        requests=int(summary["requests"]),
        cpu_us=used / summary["requests"] * 1e6,
        rate=summary["requests"] / summary["seconds"],
        p50_ms=summary["p50"] / 1e3,
        p99_ms=summary["p99"] / 1e3,
        rss=after.rss,
        busy=used / summary["seconds"],
        others=max(0.0, worked - used) / summary["seconds"],
        lookups=reads / summary["requests"],
    )


@dataclass
class Beside:
    """Load beside something else."""

    rate: float = 0.0  # requests per second, known at the end


@contextmanager
def beside(ground: Ground, gateway: Running, load: Load) -> Iterator[Beside]:
    """Load until the block ends. Raises `BenchError` as `measure` does."""
    seen = Beside()
    with _wrk(ground, gateway, load) as process:
        yield seen
        process.send_signal(signal.SIGINT)  # it ends early, and sums up
        summary = _summary(process, gateway, _GRACE)
    seen.rate = summary["requests"] / summary["seconds"]


@contextmanager
def _wrk(ground: Ground, gateway: Running, load: Load) -> Iterator[subprocess.Popen[str]]:
    """wrk, until the block ends."""
    command = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(ground.cores.load), "wrk"]
    command += ["-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s"]
    command += ["-s", str(_SCRIPT)]
    walk = {}
    if load.keys is None:
        command += ["-H", f"Authorization: Bearer {gateway.key}"]
    else:
        walk = {"BENCH_KEYS": str(load.keys), "BENCH_START": str(load.start)}
    with subprocess.Popen(
        [*command, f"http://127.0.0.1:{gateway.port}{load.path}"],
        env={**os.environ, **walk},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _summary(process: subprocess.Popen[str], gateway: Running, timeout: float) -> dict[str, float]:
    """The figures that wrk prints at its end. Raises `BenchError`."""
    output, failed = process.communicate(timeout=timeout)
    if process.returncode:
        raise BenchError(f"wrk: {failed or output}")
    summary: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    if summary["errors"] or summary["refused"] or not summary["requests"]:
        raise BenchError(f"{gateway.name} failed under load: {summary}")
    return summary
