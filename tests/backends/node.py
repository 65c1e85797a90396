"""Node: the libraries of `node/package.json`, and programs that use them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import HANG

_MANIFEST = Path(__file__).parent / "node"

# How long `npm ci` may take, in seconds; it takes four.
_MAX_INSTALL = 300


def install(cache: Path) -> Path:
    """Return a `node_modules` with the libraries, which all tests share and later runs reuse."""
    files = [_MANIFEST / "package.json", _MANIFEST / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = cache / digest
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _npm_ci(files, folder)
    return folder / "node_modules"


def _npm_ci(files: list[Path], folder: Path) -> None:
    """Install into `folder`, which is there only if all went well."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: install Debian's packages nodejs and npm")
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for file in files:
        shutil.copy(file, unfinished)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        command, cwd=unfinished, capture_output=True, text=True, timeout=_MAX_INSTALL, check=False
    )
    if done.returncode:
        pytest.fail(f"npm could not install {files[0]}:\n{done.stderr[-2000:]}")
    unfinished.rename(folder)


def run(program: Path, **variables: str) -> str:
    """Run a program, which must end well, and return what it prints."""
    done = subprocess.run(
        ["node", program.name],
        cwd=program.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=3 * HANG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
