"""`python -m bench`: measures, prints tables, and says which targets are met."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench import faults, gateways, held, limits, logouts, modes, report, routes, streams, workers
from bench.gateways import Gateway
from bench.ground import Ground, prepared
from bench.load import Sample
from bench.machine import BenchError, description, missing_packages, raise_file_limit
from bench.modes import Effort
from bench.report import Verdict
from bench.streams import StreamSample

# The gateways that each mode measures. The auth service behind Caddy knows one key only, so the
# cold walk is for gateways that look sessions up in Redis.
_TAKES_PART = {
    "warm": gateways.ALL,
    "cold": (gateways.LATCHKEY, gateways.NGINX_LUA, gateways.NAIVE),
    "download": (
        gateways.LATCHKEY,
        gateways.NGINX,
        gateways.NGINX_LUA,
        gateways.CADDY,
        gateways.NAIVE,
    ),
    "memory": tuple(gateway for gateway in gateways.ALL if gateway is not gateways.LATCHKEY_ALL),
    "websocket": gateways.STREAMING,
    "events": gateways.STREAMING,
    "logout": (gateways.LATCHKEY,),
    "sessions": (gateways.LATCHKEY,),
    "limits": (gateways.LATCHKEY,),
    "routes": (gateways.LATCHKEY,),
    "workers": (gateways.LATCHKEY,),
    "faults": (gateways.LATCHKEY,),  # beside peers of its own
}
# Of a mode: the table, the verdicts and the bare figures.
Result = tuple[str, list[Verdict], object]

_STREAMS = ("websocket", "events")
_LOADS = {
    "warm": modes.warm,
    "cold": modes.cold,
    "download": modes.download,
}


def main() -> int:
    """Measure. Return 0 if that was possible, even if targets are missed."""
    options = _options()
    os.environ["PATH"] += ":/usr/sbin"  # where Debian keeps nginx, out of a user's way
    missing = missing_packages()
    if missing:
        print(f"install these Debian packages first: {' '.join(missing)}")
        return 2
    # A polite kill unwinds like an interrupt, so that every server is ended by its own pid.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_file_limit()
    try:
        _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    effort = Effort(
        options.seconds, options.rounds, options.sessions, options.logouts, options.sessions_held
    )
    print(f"{description()}\n{effort.rounds} rounds of {effort.seconds} s")
    verdicts: list[Verdict] = []
    figures: dict[str, object] = {"machine": description(), "effort": asdict(effort)}
    with prepared() as ground:
        for mode in options.mode or _TAKES_PART:
            taking_part = [
                gateway for gateway in _TAKES_PART[mode] if gateway.name in options.peers
            ]
            if not taking_part:
                continue
            table, met, figures[mode] = _one(mode, ground, taking_part, effort)
            print(f"\n## {mode}\n\n{table}", flush=True)
            verdicts += met
    print("\n## targets\n")
    print("\n".join(map(str, verdicts)) or "none of those that were measured has a target")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def _one(mode: str, ground: Ground, taking_part: Sequence[Gateway], effort: Effort) -> Result:
    """Measure a mode."""
    if mode in _ALONE:
        return _ALONE[mode](ground, effort)
    if mode == "memory":
        memory = modes.memory(ground, taking_part)
        return (
            report.memory_table(memory, taking_part),
            report.memory_verdicts(memory),
            {name: asdict(usage) for name, usage in memory.items()},
        )
    if mode in _STREAMS:
        streamed = streams.measure_streams(mode, ground, taking_part, effort)
        table = report.stream_table(streamed, taking_part)
        return table, report.load_verdicts(mode, streamed), _bare(streamed)
    samples = _LOADS[mode](ground, taking_part, effort)
    table = report.load_table(samples, taking_part)
    return table, report.load_verdicts(mode, samples), _bare(samples)


def _bare(by_gateway: Mapping[str, Sequence[Sample | StreamSample]]) -> object:
    """The figures of each round, by gateway."""
    return {name: [asdict(sample) for sample in rounds] for name, rounds in by_gateway.items()}


def _logout(ground: Ground, effort: Effort) -> Result:
    timed = logouts.time_logouts(ground, effort.logouts)
    return report.logout_table(timed), report.logout_verdicts(timed), asdict(timed)


def _sessions(ground: Ground, effort: Effort) -> Result:
    filled = held.hold(ground, effort.held)
    return report.held_table(filled), report.held_verdicts(filled), asdict(filled)


def _limits(_ground: Ground, _effort: Effort) -> Result:
    checks = limits.time_checks()
    return report.checks_table(checks), report.checks_verdicts(checks), asdict(checks)


def _routes(_ground: Ground, _effort: Effort) -> Result:
    matching = routes.time_matching()
    figures = {str(size): asdict(found) for size, found in matching.items()}
    return report.matching_table(matching), report.matching_verdicts(matching), figures


def _workers(_ground: Ground, effort: Effort) -> Result:
    """Two workers beside one, or why they are not measured; that is neither met nor missed."""
    cores = workers.usable_cores()
    if len(cores) < workers.NEEDED_CORES:
        needed = f"{workers.NEEDED_CORES} cores: the load, the upstream with Redis, two workers"
        return f"not measured: it needs {needed}; there are {len(cores)}", [], None
    scaling = workers.measure_scaling(cores, effort)
    return report.scaling_table(scaling), report.scaling_verdicts(scaling), asdict(scaling)


def _faults(_ground: Ground, _effort: Effort) -> Result:
    seen = faults.measure()
    figures = {
        fault: {name: asdict(found) for name, found in by_peer.items()}
        for fault, by_peer in seen.items()
    }
    return report.faults_table(seen), report.faults_verdicts(seen), figures


# The modes without peers, or with peers of their own.
_ALONE: dict[str, Callable[[Ground, Effort], Result]] = {
    "logout": _logout,
    "sessions": _sessions,
    "limits": _limits,
    "routes": _routes,
    "workers": _workers,
    "faults": _faults,
}


def _options() -> argparse.Namespace:
    names = [gateway.name for gateway in gateways.ALL]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--mode", action="append", choices=list(_TAKES_PART), help="all by default")
    parser.add_argument("--seconds", type=int, default=5, help="of each measured burst")
    parser.add_argument("--rounds", type=int, default=3, help="bursts for each gateway")
    parser.add_argument("--sessions", type=int, default=100_000, help="in the cold walk")
    parser.add_argument("--logouts", type=int, default=1000, help="that are timed")
    parser.add_argument(
        "--sessions-held", type=int, default=1_000_000, help="whose memory is counted"
    )
    parser.add_argument(
        "--peers", type=lambda text: text.split(","), default=names, help=",".join(names)
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    unknown = set(options.peers) - set(names)
    if unknown:
        parser.error(f"no such gateway: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
