"""Real redis-servers for tests, which a test may kill, freeze and start again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import HANG, end, free_port
from tests.support.tls import Certificates


class RedisServer:
    """One server without persistence on loopback. It listens on `port`, or on `socket` alone."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        binary: str | None = None,
        port: int | None = None,
        settings: dict[str, Any] | None = None,
        file: Path | None = None,
        tls: Certificates | None = None,
    ) -> None:
        """`settings` are what its clients need: a password, a socket's path; `file` is what else
        it reads; over `tls` it wants certificates of its clients.
        """
        found = binary or shutil.which("redis-server")
        assert found, "redis-server is missing: install Debian's package redis-server"
        self.port = free_port() if port is None else port
        self.settings = {"port": self.port, "socket_timeout": 10, **(settings or {})}
        self.log = folder / f"redis-{self.port}.log"
        listen = [] if "--port" in options else ["--port", str(self.port)]
        if tls is not None:
            listen = ["--port", "0", "--tls-port", str(self.port), "--tls-replication", "yes"]
            listen += ["--tls-cert-file", str(tls.server), "--tls-key-file", str(tls.server_key)]
            listen += ["--tls-ca-cert-file", str(tls.ca), "--tls-cluster", "yes"]
            self.settings |= {
                "ssl": True,
                "ssl_ca_certs": str(tls.ca),
                "ssl_certfile": str(tls.client),
                "ssl_keyfile": str(tls.client_key),
            }
        self._command = [found, *([str(file)] if file else []), *listen, "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--appendonly", "no", "--dir", str(folder), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """For a server that wants neither certificates nor a socket's path."""
        user, password = self.settings.get("username"), self.settings.get("password")
        account = f"{user or ''}:{quote(password, safe='')}@" if password else ""
        return f"redis://{account}127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> "redis.Redis":
        once = Retry(NoBackoff(), 0)  # a test says itself what is tried again
        return redis.Redis(host="127.0.0.1", retry=once, **{**self.settings, **settings})

    def start(self) -> None:
        """Starts it, for the first time or again, and waits until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + HANG
        while not self._listens():
            dead = self._process.poll() is not None
            assert not dead, f"the server has ended:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < until, "the server never listened"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kills it with -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections, and says nothing any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        end(process)

    def _listens(self) -> bool:
        path = self.settings.get("unix_socket_path")
        with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as sock:
            sock.settimeout(1)
            try:
                sock.connect(path or ("127.0.0.1", self.port))
            except OSError:
                return False
        return True


@contextmanager
def redis_server(
    folder: Path, *options: str, binary: str | None = None, **more: Any
) -> Iterator[RedisServer]:
    """A server on a free port of loopback."""
    with running([RedisServer(folder, *options, binary=binary, **more)]) as [server]:
        yield server


@contextmanager
def running(servers: Sequence[RedisServer]) -> Iterator[Sequence[RedisServer]]:
    """Servers that live as long as the block, however a test has left them."""
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def free_ports(number: int) -> list[int]:
    """Ports of loopback that are not in use, all different."""
    ports: set[int] = set()
    while len(ports) < number:
        ports.add(free_port())
    return list(ports)


def eventually(condition: Any, what: str = "it", seconds: float = HANG) -> Any:
    """What a condition gives, once it gives something; a server that is away gives nothing."""
    until = time.monotonic() + seconds
    while True:
        with suppress(redis.RedisError, OSError):
            if found := condition():
                return found
        assert time.monotonic() < until, f"{what} never happened"
        time.sleep(0.05)
