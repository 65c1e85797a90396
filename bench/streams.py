"""The modes of WebSockets and event streams: the cost of a message."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.gateways import Gateway, Running, serving
from bench.ground import Ground
from bench.machine import BenchError, busy, cost, say
from bench.modes import Effort

_GRACE_SECONDS = 30  # beyond the burst until the load is given up


@dataclass(frozen=True)
class StreamSample:
    """The figures of one burst of messages."""

    messages: int
    cpu_us: float  # of the gateway's processes, per message
    rate: float  # messages per second
    busy: float  # the part of its core that the gateway used
    others: float  # the part that processes from outside the bench used


StreamSamples = dict[str, list[StreamSample]]  # one sample a round, by the gateway's name


def measure_streams(
    kind: str, ground: Ground, gateways: Sequence[Gateway], effort: Effort
) -> StreamSamples:
    """Measure the gateways in turn, several times. `kind` is `websocket` or `events`."""
    samples: StreamSamples = {gateway.name: [] for gateway in gateways}
    with ExitStack() as stack:
        up = [stack.enter_context(serving(gateway, ground)) for gateway in gateways]
        for number in range(effort.rounds):
            turn = number % len(up)
            for gateway in up[turn:] + up[:turn]:
                sample = _burst(kind, ground, gateway, effort.seconds)
                samples[gateway.name].append(sample)
                say(f"round {number + 1}: {gateway.name} {sample.cpu_us:.1f} µs a message")
    return samples


def _burst(kind: str, ground: Ground, gateway: Running, seconds: int) -> StreamSample:
    """Raises `BenchError` if a single stream failed."""
    core = ground.cores.gateway
    command = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(ground.cores.load)]
    command += [sys.executable, "-m", "bench.stream_load", kind]
    with subprocess.Popen(
        [*command, str(gateway.port), gateway.key, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            started = process.stdout.readline()
            worked, before = busy(core), cost(gateway.pid)
            ended = process.stdout.readline()
            worked, after = busy(core) - worked, cost(gateway.pid)
            _, failed = process.communicate(timeout=_GRACE_SECONDS)
        finally:
            process.kill()
    if not started or not ended or process.returncode:
        raise BenchError(f"{gateway.name} failed with {kind}: {failed}")
    messages, lasted = int(ended.split()[0]), float(ended.split()[1])
    if not messages:
        raise BenchError(f"{gateway.name} passed no message of {kind}")
    used = after.cpu - before.cpu
    return StreamSample(
        messages=messages,
        cpu_us=used / messages * 1e6,
        rate=messages / lasted,
        busy=used / lasted,
        others=max(0.0, worked - used) / lasted,
    )
