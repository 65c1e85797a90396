"""The demo: starts a backend, and the gateway in front of it.

python -m demo
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from gateway.config.load import load
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.core.http.addresses import TcpAddress
from gateway.processes.errors import StartError
from gateway.processes.listeners import describe, listen
from gateway.store.end_with_parent import end_with_parent

_ROOT = Path(__file__).parents[1]

# How long the two may take to start, and how often to look at them (seconds).
_START_SECONDS = 30.0
_LOOK_SECONDS = 0.2

# How long one may take to end before it is killed (seconds); the gateway drains for 30.
_END_SECONDS = 40.0

_GUIDE = """
  Latchkey runs.   In a browser:  {url}
                   In a shell:

  # Log in. What comes back as "token" is a key (lk_…), not the backend's JWT.
  curl -s {url}/login -H 'Content-Type: application/json' \\
       -d '{{"username": "alice", "password": "wonderland"}}' | tee /tmp/login.json
  KEY=$(sed -n 's/.*"token": "\\([^"]*\\)".*/\\1/p' /tmp/login.json)

  # Call the API with the key. The backend saw the JWT: look at authorization_seen.
  curl -s {url}/api/me -H "Authorization: Bearer $KEY"

  # Log out. From now on the key is refused: 401.
  curl -i -X POST {url}/logout -H "Authorization: Bearer $KEY"
  curl -i {url}/api/me -H "Authorization: Bearer $KEY"

  Users: alice / wonderland and bob / builder.   Ctrl-C ends it all.
"""

_GUIDE_FOR_PEOPLE = """
  Latchkey runs.   In a browser:  {url}

  It asks you to log in: alice / wonderland. Your devices are at {url}/sessions; log out
  there, and the other ones as well if you like. The browser holds a key in a cookie that no
  script can read, and the backend sees a JWT, which the gateway has minted.

  Ctrl-C ends it all.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both until one ends or a signal stops them. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "-c", "--config", default=str(_ROOT / "config.yaml"), help="the file (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        _check_ports(config)
    except StartError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    stop = _Stop()
    children = [
        _start("demo.backend", "--port", str(_backend_port(config))),
        _start("gateway", "run", "-c", options.config),
    ]
    try:
        url = _url(config)
        if not _answers(f"{url}/public/hello", children, stop):
            return 0 if stop.is_asked_for else 1
        guide = _GUIDE if config.pages.login is None else _GUIDE_FOR_PEOPLE
        print(guide.format(url=url), flush=True)
        while not stop.is_asked_for and all(child.poll() is None for child in children):
            time.sleep(_LOOK_SECONDS)
        return 0 if stop.is_asked_for else 1
    finally:
        for child in reversed(children):
            _end(child)


def _check_ports(config: Config) -> None:
    """Check, before the start, that all ports are free. Raises `StartError`."""
    for address in (
        TcpAddress("127.0.0.1", _backend_port(config)),
        *config.listen,
        *config.admin.listen,
    ):
        if isinstance(address, TcpAddress):
            listen(address).close()


class _Stop:
    """Whether Ctrl-C or SIGTERM has come."""

    def __init__(self) -> None:
        self.is_asked_for = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.is_asked_for = True


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a Python program; the kernel ends it when this one is killed.

    It is in a process group of its own. So Ctrl-C comes here only, and `main` ends the gateway
    first and the backend second.
    """
    parent = os.getpid()
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509 - no threads here
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _answers(url: str, children: Sequence[subprocess.Popen[bytes]], stop: _Stop) -> bool:
    """Wait until the backend answers through the gateway. False if it fails."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and not stop.is_asked_for:
        if any(child.poll() is not None for child in children):
            print("demo: a part of it has ended; see above", file=sys.stderr)
            return False
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK_SECONDS)
        else:
            return True
    return False


def _backend_port(config: Config) -> int:
    """The port at which config.yaml expects the backend."""
    return next(iter(config.upstreams.values())).servers[0].port


def _url(config: Config) -> str:
    return describe(next(address for address in config.listen if isinstance(address, TcpAddress)))


if __name__ == "__main__":
    sys.exit(main())
