"""The tables, and whether the targets were met. All of it is Markdown, ready for the docs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.gateways import CADDY, LATCHKEY, NGINX, NGINX_LUA, Gateway
from bench.load import Sample
from bench.modes import Memory, Samples

_MIB = 1024 * 1024
_KIB = 1024


@dataclass(frozen=True)
class Target:
    """What Latchkey may cost at most, as a multiple of a peer's CPU per request."""

    peer: Gateway
    at_most: float


TARGETS = {
    "warm": (Target(NGINX_LUA, 1.15), Target(CADDY, 0.45)),
    "cold": (Target(NGINX_LUA, 2.0),),
    "download": (Target(NGINX, 1.0),),
}
_IDLE_WORKER = 60 * _MIB
_PER_CONNECTION = 6 * _KIB


def load_table(samples: Samples, gateways: Sequence[Gateway]) -> str:
    """One line a gateway: medians over the rounds."""
    head = ["", "CPU µs/request", "Latchkey's is", "requests/s", "p50 ms", "p99 ms", "RSS MiB"]
    rows = [[*head, "core busy", "Redis hits/request"]]
    for gateway in gateways:
        rounds = samples[gateway.name]
        rows.append(
            [
                gateway.title,
                f"{_median(rounds, lambda s: s.cpu_us):.1f}",
                _times(ratio(samples, gateway)),
                f"{_median(rounds, lambda s: s.rate):,.0f}",
                f"{_median(rounds, lambda s: s.p50_ms):.2f}",
                f"{_median(rounds, lambda s: s.p99_ms):.2f}",
                f"{_median(rounds, lambda s: s.rss / _MIB):.0f}",
                f"{_median(rounds, lambda s: s.busy):.0%}",
                f"{_median(rounds, lambda s: s.lookups):.2f}",
            ]
        )
    return _table(rows)


def memory_table(held: dict[str, Memory], gateways: Sequence[Gateway]) -> str:
    rows = [["", "idle worker MiB", "KiB per idle connection"]]
    for gateway in gateways:
        one = held[gateway.name]
        worker, each = one.idle_worker / _MIB, one.per_connection / _KIB
        rows.append([gateway.title, f"{worker:.1f}", f"{each:.1f}"])
    return _table(rows)


def load_verdicts(mode: str, samples: Samples) -> list[str]:
    """A line for each target of the mode whose peer was measured."""
    verdicts = []
    for target in TARGETS[mode]:
        measured = ratio(samples, target.peer)
        if measured is not None:
            what = f"{mode}: CPU per request, of {target.peer.title}"
            verdicts.append(
                _verdict(
                    what, f"{measured:.2f} x", measured <= target.at_most, f"{target.at_most:.2f} x"
                )
            )
    return verdicts


def memory_verdicts(held: dict[str, Memory]) -> list[str]:
    one = held.get(LATCHKEY.name)
    if one is None:
        return []
    worker, each = one.idle_worker, one.per_connection
    return [
        _verdict(
            "memory: idle worker", f"{worker / _MIB:.1f} MiB", worker < _IDLE_WORKER, "60 MiB"
        ),
        _verdict(
            "memory: idle connection", f"{each / _KIB:.1f} KiB", each < _PER_CONNECTION, "6 KiB"
        ),
    ]


def ratio(samples: Samples, peer: Gateway) -> float | None:
    """Latchkey's CPU per request over the peer's, within each round; the median of the rounds."""
    ours, theirs = samples.get(LATCHKEY.name), samples.get(peer.name)
    if not ours or not theirs:
        return None
    return median(a.cpu_us / b.cpu_us for a, b in zip(ours, theirs, strict=True))


def _median(rounds: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    return median(what(sample) for sample in rounds)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} x"


def _verdict(what: str, measured: str, met: bool, limit: str) -> str:
    return f"{'PASS' if met else 'FAIL'}  {what}: {measured} (at most {limit})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in rows]
    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths))
        + "|"
    )
    return "\n".join([lines[0], rule, *lines[1:]])


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Names to the left, numbers to the right."""
    return [row[0].ljust(widths[0])] + [
        cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
    ]
