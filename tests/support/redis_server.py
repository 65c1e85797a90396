"""A real redis-server for tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.processes import free_port, running


@dataclass(frozen=True)
class RedisServer:
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, socket_timeout=10)


@contextmanager
def redis_server(folder: Path, *options: str, binary: str | None = None) -> Iterator[RedisServer]:
    """A server without persistence on a free port of loopback."""
    found = binary or shutil.which("redis-server")
    assert found, "redis-server is missing: install Debian's package redis-server"
    port = free_port()
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder), *options]
    with running(command, log=folder / f"redis-{port}.log", port=port) as process:
        yield RedisServer(port, process.pid)
