"""Logs of a running gateway: streams that are not read, and files that are rotated."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.process.conftest import GET, sections
from tests.support.gateway import config, environment, gateway
from tests.support.processes import HANG, eventually, free_port, wait_for_port
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def unread(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A gateway whose stdout and stderr are pipes that are full, with its ports."""
    port, admin_port = free_port(), free_port()
    data = config(port, admin_port, tmp_path, redis.url, **sections(shop))
    data |= {"access_log": "stdout", "audit_log": "stdout"}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    command = [sys.executable, "-P", "-m", "gateway", "run", "-c", str(file)]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(writer, "wb", buffering=0, closefd=False) as pipe:
        while pipe.write(b"." * 4096):
            pass
    os.set_blocking(writer, True)
    process = subprocess.Popen(command, stdout=writer, stderr=writer, env=environment())
    os.close(writer)
    try:
        wait_for_port(admin_port, process)
        yield process, port, admin_port
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_streams_that_are_not_read(unread: tuple[subprocess.Popen[bytes], int, int]) -> None:
    """Requests, health checks, reloads and a stop go on as ever."""
    process, port, admin_port = unread
    for _ in range(600):
        assert status(ask(port, GET)) == 200
    process.send_signal(signal.SIGHUP)
    assert status(ask(admin_port, HEALTH)) == 200
    process.terminate()
    assert process.wait(HANG) == 0


def test_rotation(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """After SIGUSR1, every worker writes to the new file."""
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        eventually(lambda: "listening on" in relay.log.read_text())
        assert status(ask(relay.port, GET)) == 200
        relay.records()
        moved = relay.access_log.with_suffix(".1")
        relay.access_log.rename(moved)
        os.kill(relay.pid, signal.SIGUSR1)
        eventually(lambda: not any(holds(pid, moved) for pid in relay.workers()))
        for _ in range(20):
            assert status(ask(relay.port, GET)) == 200
        eventually(lambda: relay.access_log.read_text().count("\n") == 20)
    assert moved.read_text().count("\n") == 1


def holds(pid: int, file: Path) -> bool:
    """Whether a process has a file open."""
    return any(link.resolve() == file for link in Path(f"/proc/{pid}/fd").iterdir())
