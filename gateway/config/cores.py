"""How many processor cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The cores of `workers: auto`: by affinity (taskset), and by the quota of a container."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota())))


def quota(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> float:
    """The least `cpu.max` of this process's cgroup and of those above it, in cores."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return math.inf
    # cgroups(7): version 2 has the one line `0::/path`.
    name = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    folder = cgroups / name
    within = [folder, *folder.parents[: len(Path(name).parts)]]
    return min((_cores(group / "cpu.max") for group in within), default=math.inf)


def _cores(file: Path) -> float:
    """What a `cpu.max` allows: `max 100000`, or microseconds in a period of so many."""
    try:
        quota, period = file.read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
