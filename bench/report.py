"""The tables, in Markdown, and whether the targets were met."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bench.faults import Figures
from bench.gateways import CADDY, LATCHKEY, LATCHKEY_ALL, NGINX, NGINX_LUA, Gateway
from bench.held import Held
from bench.limits import Checks
from bench.load import Sample
from bench.logouts import Logouts
from bench.modes import Memory, Samples
from bench.routes import Matching
from bench.streams import StreamSample, StreamSamples
from bench.workers import Scaling

AnySample = TypeVar("AnySample", Sample, StreamSample)

_MIB = 1024 * 1024
_KIB = 1024


@dataclass(frozen=True)
class Target:
    """The most that a gateway may cost, as a multiple of a peer's cost.

    Costs are CPU per request, or per message.
    """

    peer: Gateway
    at_most: float
    gateway: Gateway = LATCHKEY


TARGETS = {
    "warm": (
        Target(NGINX_LUA, 1.15),
        Target(CADDY, 0.45),
        Target(LATCHKEY, 1.05, LATCHKEY_ALL),
    ),
    "cold": (Target(NGINX_LUA, 2.0),),
    "download": (Target(NGINX, 1.0),),
    "websocket": (Target(NGINX, 1.15),),
    "events": (Target(NGINX, 1.2),),
}
_UNITS = {"websocket": "message", "events": "message"}
_MANY_ROUTES = 1.3
_TWO_WORKERS = 1.8
_IDLE_WORKER = 60.0  # MiB
_PER_CONNECTION = 6.0  # KiB
_LOGOUT_P99, _LOGOUT_MAX = 50.0, 1000.0  # ms until it is felt on another gateway
_ALIKE = 1.0  # % of requests: by so much one gateway differs from one run to the next
_IN_REDIS, _REMEMBERED = 1024.0, 1.2 * 1024  # bytes a session


@dataclass(frozen=True)
class Verdict:
    """One target, and the measured figure."""

    what: str
    measured: float
    target: float
    unit: str
    at_least: bool = False  # otherwise the target is the most

    def __str__(self) -> str:
        is_met = self.measured >= self.target if self.at_least else self.measured <= self.target
        return (
            f"{'PASS' if is_met else 'FAIL'}  {self.what}: {self.measured:.2f} {self.unit}"
            f" (at {'least' if self.at_least else 'most'} {self.target:g} {self.unit})"
        )


def load_table(samples: Samples, gateways: Sequence[Gateway]) -> str:
    return _medians(
        samples,
        gateways,
        [
            ("CPU µs/request", ".1f", lambda sample: sample.cpu_us),
            ("requests/s", ",.0f", lambda sample: sample.rate),
            ("p50 ms", ".2f", lambda sample: sample.p50_ms),
            ("p99 ms", ".2f", lambda sample: sample.p99_ms),
            ("RSS MiB", ".0f", lambda sample: sample.rss / _MIB),
            ("core busy", ".0%", lambda sample: sample.busy),
            ("others", ".0%", lambda sample: sample.others),
            ("look-ups/request", ".2f", lambda sample: sample.lookups),
        ],
    )


def stream_table(samples: StreamSamples, gateways: Sequence[Gateway]) -> str:
    return _medians(
        samples,
        gateways,
        [
            ("CPU µs/message", ".2f", lambda sample: sample.cpu_us),
            ("messages/s", ",.0f", lambda sample: sample.rate),
            ("core busy", ".0%", lambda sample: sample.busy),
            ("others", ".0%", lambda sample: sample.others),
        ],
    )


def _medians(
    samples: Mapping[str, Sequence[AnySample]],
    gateways: Sequence[Gateway],
    columns: Sequence[tuple[str, str, Callable[[AnySample], float]]],
) -> str:
    """One line a gateway: medians over the rounds, and the ratio behind the first column.

    columns: the title, format and value of each
    """
    first, *others = [title for title, _, _ in columns]
    rows = [["", first, "Latchkey's is", *others]]
    for gateway in gateways:
        rounds = samples[gateway.name]
        cost, *cells = [
            format(median(value(sample) for sample in rounds), style) for _, style, value in columns
        ]
        rows.append([gateway.title, cost, _times(ratio(samples, gateway)), *cells])
    return _table(rows)


def memory_table(held: dict[str, Memory], gateways: Sequence[Gateway]) -> str:
    rows = [["", "idle worker MiB", "KiB per idle connection"]]
    for gateway in gateways:
        one = held[gateway.name]
        worker, connection = one.idle_worker / _MIB, one.per_connection / _KIB
        rows.append([gateway.title, f"{worker:.1f}", f"{connection:.1f}"])
    return _table(rows)


def logout_table(logouts: Logouts) -> str:
    """The times from sending a logout, and from its answer."""
    rows = [["until the first refusal elsewhere", "p50 ms", "p99 ms", "max ms"]]
    for title, times in (
        ("from sending the logout", [logout.from_sent_ms for logout in logouts.timed]),
        ("from its answer", [logout.from_answer_ms for logout in logouts.timed]),
    ):
        rows.append([title, *(f"{_percentile(times, part):.1f}" for part in (0.5, 0.99, 1.0))])
    passed = sum(logout.passed for logout in logouts.timed)
    return (
        f"{_table(rows)}\n\n"
        f"{len(logouts.timed):,} logouts, beside {logouts.rate:,.0f} requests/s."
        f" Calls that were sent after a logout's answer and passed: {passed}."
    )


def faults_table(figures: Figures) -> str:
    """For each fault and peer: failed requests of all, and the slowest one."""
    names = list(next(iter(figures.values())))
    rows = [["failed, of requests; slowest", *names]]
    for fault, by_peer in figures.items():
        cells = (
            f"{seen.failed} of {seen.requests}; {seen.slowest * 1000:,.0f} ms"
            for seen in by_peer.values()
        )
        rows.append([fault, *cells])
    return _table(rows)


def faults_verdicts(figures: Figures) -> list[Verdict]:
    """At each fault, no more requests fail than with the second best peer."""
    verdicts = []
    for fault, by_peer in figures.items():
        second = sorted(seen.share for name, seen in by_peer.items() if name != "Latchkey")[1]
        share = by_peer["Latchkey"].share
        verdicts.append(Verdict(f"faults: {fault}", share, second + _ALIKE, "% failed"))
    return verdicts


def held_table(held: Held) -> str:
    return _table(
        [
            ["", "sessions", "bytes each"],
            ["Redis", f"{held.sessions:,}", f"{held.in_redis:.0f}"],
            ["near cache", f"{held.sessions:,}", f"{held.remembered:.0f}"],
        ]
    )


def checks_table(checks: Checks) -> str:
    return _table(
        [
            ["a rate limit's check", "µs"],
            ["of a known client", f"{checks.known:.2f}"],
            ["while all buckets are in use", f"{checks.crowded:.2f}"],
            ["of a new client then", f"{checks.new:.2f}"],
            ["all that it costs a request", f"{checks.request:.2f}"],
        ]
    )


def checks_verdicts(checks: Checks) -> list[Verdict]:
    return [Verdict("limits: a check", checks.known, 1.0, "µs")]


def matching_table(matching: Mapping[int, Matching]) -> str:
    rows = [["routes", "µs of a known path", "µs of a new path"]]
    for size, one in matching.items():
        rows.append([f"{size:,}", f"{one.remembered:.2f}", f"{one.new:.1f}"])
    return _table(rows)


def matching_verdicts(matching: Mapping[int, Matching]) -> list[Verdict]:
    fewest, *more = sorted(matching)
    return [
        Verdict(f"routes: {size:,}, {what} path", ratio, _MANY_ROUTES, f"x {fewest}")
        for size in more
        for what, ratio in (
            ("a known", matching[size].remembered / matching[fewest].remembered),
            ("a new", matching[size].new / matching[fewest].new),
        )
    ]


def scaling_table(scaling: Scaling) -> str:
    rows = [["workers", "requests/s", "core of the load", "core of the upstream"]]
    for workers, bursts in scaling.bursts.items():
        rows.append(
            [
                str(workers),
                f"{median(burst.rate for burst in bursts):,.0f}",
                f"{median(burst.load_busy for burst in bursts):.0%}",
                f"{median(burst.upstream_busy for burst in bursts):.0%}",
            ]
        )
    return _table(rows)


def scaling_verdicts(scaling: Scaling) -> list[Verdict]:
    return [
        Verdict("workers: throughput of two", scaling.ratio, _TWO_WORKERS, "x one", at_least=True)
    ]


def load_verdicts(
    mode: str, samples: Mapping[str, Sequence[Sample | StreamSample]]
) -> list[Verdict]:
    """The targets of the mode that compare with a measured peer."""
    unit = _UNITS.get(mode, "request")
    measured = [(target, ratio(samples, target.peer, target.gateway)) for target in TARGETS[mode]]
    return [
        Verdict(
            f"{mode}: CPU per {unit} of {target.gateway.title}",
            value,
            target.at_most,
            f"x {target.peer.title}",
        )
        for target, value in measured
        if value is not None
    ]


def memory_verdicts(held: dict[str, Memory]) -> list[Verdict]:
    one = held.get(LATCHKEY.name)
    if one is None:
        return []
    return [
        Verdict("memory: idle worker", one.idle_worker / _MIB, _IDLE_WORKER, "MiB"),
        Verdict("memory: idle connection", one.per_connection / _KIB, _PER_CONNECTION, "KiB"),
    ]


def logout_verdicts(logouts: Logouts) -> list[Verdict]:
    times = [logout.from_sent_ms for logout in logouts.timed]
    return [
        Verdict("logout: refused elsewhere, p99", _percentile(times, 0.99), _LOGOUT_P99, "ms"),
        Verdict("logout: refused elsewhere, max", _percentile(times, 1.0), _LOGOUT_MAX, "ms"),
    ]


def held_verdicts(held: Held) -> list[Verdict]:
    return [
        Verdict("sessions: each in Redis", held.in_redis, _IN_REDIS, "bytes"),
        Verdict("sessions: each in the near cache", held.remembered, _REMEMBERED, "bytes"),
    ]


def ratio(
    samples: Mapping[str, Sequence[Sample | StreamSample]],
    peer: Gateway,
    gateway: Gateway = LATCHKEY,
) -> float | None:
    """A gateway's CPU per request or message over the peer's: the median of the rounds."""
    ours, theirs = samples.get(gateway.name), samples.get(peer.name)
    if not ours or not theirs:
        return None
    return median(a.cpu_us / b.cpu_us for a, b in zip(ours, theirs, strict=True))


def _percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that this part of the values does not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} x"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])
