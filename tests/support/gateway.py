"""A real gateway for tests: `python -m gateway run` on a config of the test's own."""

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import HANG, eventually, free_port, running

SECRET = "a secret of the tests, long enough"
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    admin_port: int
    pid: int
    log: Path
    access_log: Path
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def audit_log(self) -> Path:
        return self.log.with_name("audit.log")

    def children(self) -> list[int]:
        """The process ids of the workers, and of the embedded store."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [pid for pid in self.children() if "-m gateway run" in _command(pid)]

    def records(self, **wanted: object) -> list[dict[str, Any]]:
        """The access log's records with these values; waits until there is one."""
        return _records(self.access_log, wanted)

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        """The audit log's lines with these values; waits until there is one."""
        return _records(self.audit_log, wanted)

    def metrics(self) -> dict[str, float]:
        """What /metrics says: the values by their names with labels, as they are spelled there."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=HANG) as answer:
            lines = answer.read().decode().splitlines()
        named = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in named}


def _records(log: Path, wanted: dict[str, object]) -> list[dict[str, Any]]:
    until = time.monotonic() + HANG
    while time.monotonic() < until:
        lines = log.read_text().splitlines() if log.exists() else []
        records = [json.loads(line) for line in lines]
        found = [r for r in records if all(r.get(k) == v for k, v in wanted.items())]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no record with {wanted}")


def _command(pid: int) -> str:
    """What a process was started as; nothing, if it has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def config(
    port: int, admin_port: int, folder: Path, store: str | dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """A config with the sections that tests seldom care for; `changes` replace or add sections.

    A gateway drains for less time than a test waits for its end.
    """
    timeouts = {"drain": HANG / 2, **changes.pop("timeouts", {})}
    return {
        "version": 1,
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "store": store,
        "session": {"secrets": [SECRET]},
        "access_log": str(folder / "access.log"),
        "audit_log": str(folder / "audit.log"),
        "timeouts": timeouts,
        **changes,
    }


@contextmanager
def gateway(folder: Path, store: str | dict[str, Any], **changes: Any) -> Iterator[Gateway]:
    """Starts a gateway, and ends it; a traceback in its log fails the test, and so does an end that
    is no orderly one, unless the test itself has killed it.

    `at` is the port on which it listens, for tests that have to know it before, `program` the
    folder in which its package is, and `env` more variables of its environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, admin_port = changes.pop("at", None) or free_port(), free_port()
    program = str(changes.pop("program", REPOSITORY))
    env = environment(PYTHONPATH=program, **changes.pop("env", {}))
    file = folder / "config.yaml"
    data = config(port, admin_port, folder, store, **changes)
    file.write_text(yaml.safe_dump(data))
    log = folder / "gateway.log"
    command = [sys.executable, "-P", "-m", "gateway", "run", "-c", str(file)]
    with running(command, log=log, port=admin_port, env=env) as process:
        yield Gateway(port, admin_port, process.pid, log, folder / "access.log", data)
    text = log.read_text()
    assert "Traceback" not in text, text[-4000:]
    assert process.returncode in (0, -signal.SIGKILL), text[-4000:]


def environment(**more: str) -> Mapping[str, str]:
    """The environment of a gateway that is found wherever the test runs."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}


def reload(running_gateway: Gateway) -> None:
    """Has it read its config.yaml again."""
    os.kill(running_gateway.pid, signal.SIGHUP)


def reloaded(running_gateway: Gateway) -> None:
    """Reloads, and waits until no old worker accepts connections any more."""
    before = running_gateway.log.read_text().count("gateway: reloaded")
    reload(running_gateway)
    eventually(lambda: running_gateway.log.read_text().count("gateway: reloaded") > before)
