"""What the package asks for: nothing older than what is known to be safe, and what was tested."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]

# The first releases without a known vulnerability, of those that read what strangers send.
SAFE = {
    "aiohttp": "3.14.5",  # GHSA-2g87-pp6c-29x5, GHSA-5wr8-gcqf-gqf3
    "brotli": "1.2",  # CVE-2025-6176
    "cryptography": "50",  # CVE-2026-69247
    "jinja2": "3.1.6",  # CVE-2025-27516
    "pyjwt": "2.15.1",  # CVE-2026-101918
}


def floors() -> dict[str, Version]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    return {
        requirement.name: Version(next(iter(requirement.specifier)).version)
        for requirement in wanted
    }


@pytest.mark.parametrize("name", SAFE)
def test_no_floor_is_below_a_safe_release(name: str) -> None:
    assert floors()[name] >= Version(SAFE[name])


def test_the_versions_in_use_satisfy_the_floors() -> None:
    """What the lock file names is what the tests ran with."""
    lines = (ROOT / "requirements-dev.txt").read_text().split()
    locked = {
        name.lower().replace("_", "-"): at for name, _, at in (s.partition("==") for s in lines)
    }
    for name, floor in floors().items():
        assert Version(locked[name]) >= floor, name
