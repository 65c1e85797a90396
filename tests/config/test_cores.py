"""`workers: auto`: the cores that the process may use."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import cores


@pytest.mark.parametrize(
    ("files", "group", "expected"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"cpu.max": "max 100000", "app/cpu.max": "200000 100000"}, "0::/app", 2),
        ({"app/cpu.max": "50000 100000", "app/web/cpu.max": "max 100000"}, "0::/app/web", 0.5),
        ({"cpu.max": "100000 100000"}, "4:memory:/x\n0::/", 1),
        ({"cpu.max": "nonsense"}, "0::/", math.inf),
        ({}, "0::/", math.inf),
        ({}, "4:memory:/x", math.inf),
    ],
)
def test_the_quota_of_a_container(
    tmp_path: Path, files: dict[str, str], group: str, expected: float
) -> None:
    """The least of the process's cgroup and those above it."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "own").write_text(group + "\n")
    assert cores.quota(tmp_path, tmp_path / "own") == expected
    assert cores.quota(tmp_path, tmp_path / "absent") == math.inf


def test_affinity_counts() -> None:
    one = str(min(os.sched_getaffinity(0)))
    code = "from gateway.config.cores import usable_cores; print(usable_cores())"
    command = ["taskset", "-c", one, sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"1\n"
