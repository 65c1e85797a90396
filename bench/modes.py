"""The kinds of load.

Each starts its own gateways, so that none has the memory of another load.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.gateways import Gateway, Running, serving
from bench.ground import Ground
from bench.load import Load, Sample, measure
from bench.machine import BenchError, cost, say
from bench.walk import issue

_WARM_UP = 1  # s before each measured burst
_CONNECTIONS = 32
_DOWNLOADS = 8  # at a time
_FIRST_CONNECTIONS = 500
_IDLE_CONNECTIONS = 2000
_MIN_LOOKUPS = 0.98  # a request; wrk leaves a few requests uncounted
_SETTLE = 1.5  # s until timers and garbage have had their turn


@dataclass(frozen=True)
class Effort:
    """How long to measure, and how much."""

    seconds: int
    rounds: int
    sessions: int  # that the cold walk goes through
    logouts: int  # that are timed
    held: int  # sessions whose memory is counted


Samples = dict[str, list[Sample]]  # one sample a round, by the gateway's name


@dataclass(frozen=True)
class Memory:
    """The memory of one gateway."""

    idle_worker: int  # bytes, the largest that serves, after a login and its first requests
    per_connection: float  # bytes more for each idle keep-alive connection, all processes


def warm(ground: Ground, gateways: Sequence[Gateway], effort: Effort) -> Samples:
    """The same session again and again: the cost of a user's next click."""
    return _rounds(ground, gateways, Load("/api/small", _CONNECTIONS, effort.seconds), effort)


def cold(ground: Ground, gateways: Sequence[Gateway], effort: Effort) -> Samples:
    """A new session with every request, more than a near cache holds."""
    say(f"issuing {effort.sessions} sessions")
    load = Load("/api/small", _CONNECTIONS, effort.seconds, issue(ground, effort.sessions))
    samples = _rounds(ground, gateways, load, effort)
    for name, rounds in samples.items():
        if any(sample.lookups < _MIN_LOOKUPS for sample in rounds):
            raise BenchError(f"{name} answered from its memory: make the walk longer (--sessions)")
    return samples


def download(ground: Ground, gateways: Sequence[Gateway], effort: Effort) -> Samples:
    """10 MiB at a time."""
    return _rounds(ground, gateways, Load("/api/10m", _DOWNLOADS, effort.seconds), effort)


def memory(ground: Ground, gateways: Sequence[Gateway]) -> dict[str, Memory]:
    """The memory of a worker that has just started, and of idle clients."""
    held = {}
    for gateway in gateways:
        say(f"memory: {gateway.title}")
        with serving(gateway, ground) as up:
            held[gateway.name] = _memory(up)
    return held


def _rounds(ground: Ground, gateways: Sequence[Gateway], load: Load, effort: Effort) -> Samples:
    """Measure the gateways in turn, several times.

    So what disturbs the machine hits all of them.
    """
    samples: Samples = {gateway.name: [] for gateway in gateways}
    warm_up = Load(load.path, load.connections, _WARM_UP)
    with ExitStack() as stack:
        up = [stack.enter_context(serving(gateway, ground)) for gateway in gateways]
        for number in range(effort.rounds):
            turn = number % len(up)
            for gateway in up[turn:] + up[:turn]:
                measure(ground, gateway, warm_up)
                # A walk goes on where it ended: what was met last may still be remembered.
                walked = sum(sample.requests for sample in samples[gateway.name])
                sample = measure(ground, gateway, replace(load, start=walked))
                samples[gateway.name].append(sample)
                say(f"round {number + 1}: {gateway.name} {sample.cpu_us:.1f} µs a request")
    return samples


def _memory(up: Running) -> Memory:
    time.sleep(_SETTLE)
    idle = cost(up.pid).largest_rss
    # The first connections fill what the process had free; the growth beyond them is counted.
    with _idle_connections(up, _FIRST_CONNECTIONS):
        before = cost(up.pid).rss
        with _idle_connections(up, _IDLE_CONNECTIONS):
            grown = cost(up.pid).rss - before
    return Memory(idle, grown / _IDLE_CONNECTIONS)


@contextmanager
def _idle_connections(up: Running, number: int) -> Iterator[None]:
    """Keep-alive connections that have been used once."""
    request = (
        f"GET /api/small HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {up.key}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", up.port), 10))
            client.sendall(request)
            if not client.recv(65_536).startswith(b"HTTP/1.1 200 "):
                raise BenchError(f"{up.name} refuses an idle connection's request")
        time.sleep(_SETTLE)
        yield
