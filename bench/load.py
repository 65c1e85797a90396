"""One burst of load on one gateway, and what it cost."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.gateways import Running
from bench.ground import Ground
from bench.machine import BenchError, busy, cost

_SCRIPT = Path(__file__).with_name("load.lua")
_GRACE = 30  # s beyond the burst until wrk is given up


@dataclass(frozen=True)
class Load:
    """What wrk does, alike for every gateway."""

    path: str
    connections: int
    seconds: int
    keys: Path | None = None  # a file of keys to walk through; None: the gateway's one key
    start: int = 0  # how many of them were walked before; the end is joined to the beginning


@dataclass(frozen=True)
class Sample:
    """What one burst showed."""

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
    """Raises `BenchError` when a single request failed: a wrong answer is cheap to give."""
    core = ground.cores.gateway
    reads, worked, before = ground.looked_up(), busy(core), cost(gateway.pid)
    summary = _wrk(ground, gateway, load)
    after = cost(gateway.pid)
    worked, reads = busy(core) - worked, ground.looked_up() - reads
    used = after.cpu - before.cpu
    if summary["errors"] or summary["refused"] or not summary["requests"]:
        raise BenchError(f"{gateway.name} failed under load: {summary}")
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


def _wrk(ground: Ground, gateway: Running, load: Load) -> dict[str, float]:
    command = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(ground.cores.load), "wrk"]
    command += ["-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s"]
    command += ["-s", str(_SCRIPT)]
    walk = {}
    if load.keys is None:
        command += ["-H", f"Authorization: Bearer {gateway.key}"]
    else:
        walk = {"BENCH_KEYS": str(load.keys), "BENCH_START": str(load.start)}
    ran = subprocess.run(
        [*command, f"http://127.0.0.1:{gateway.port}{load.path}"],
        env={**os.environ, **walk},
        capture_output=True,
        text=True,
        timeout=load.seconds + _GRACE,
        check=False,
    )
    if ran.returncode:
        raise BenchError(f"wrk: {ran.stderr or ran.stdout}")
    summary: dict[str, float] = json.loads(ran.stdout.strip().splitlines()[-1])
    return summary
