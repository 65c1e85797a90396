"""What npm and Maven build: once for all tests that run at the same time, and for later runs."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

# How long npm or Maven may take, in seconds. With all to fetch, each takes less than twenty.
_MAX_BUILD = 300

# A registry may fail once.
_ATTEMPTS = 3

NPM_CI = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
# The libraries are copied, so that the result needs nothing of Maven's own folder.
MAVEN_COMPILE = ("mvn", "-q", "-B", "compile", "dependency:copy-dependencies")


def built(source: Path, command: Sequence[str], cache: Path) -> Path:
    """Return a copy of `source` in which `command` has run.

    The test fails with what is missing if it cannot.
    """
    folder = cache / f"{source.name}-{_digest(source)}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(source, command, folder)
    return folder


def _digest(source: Path) -> str:
    """Return a digest of all files, and of their names."""
    digest = hashlib.sha256()
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(source)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _build(source: Path, command: Sequence[str], folder: Path) -> None:
    """Build in a folder that gets its name only if all went well."""
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is missing: `make test` installs it on Debian")
    unfinished = folder.with_suffix(".unfinished")
    for _ in range(_ATTEMPTS):
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(source, unfinished)
        done = subprocess.run(
            command, cwd=unfinished, capture_output=True, text=True, timeout=_MAX_BUILD, check=False
        )
        if not done.returncode:
            unfinished.rename(folder)
            return
    pytest.fail(f"{command[0]} failed in {source}:\n{(done.stdout + done.stderr)[-2000:]}")
