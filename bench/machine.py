"""Processes on chosen cores, and their cost by the operating system's count."""

from __future__ import annotations

import itertools
import os
import platform
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from types import MappingProxyType

from gateway.store.end_with_parent import end_with_parent

_TICKS = os.sysconf("SC_CLK_TCK")
_STARTUP = 20.0  # s until a server must accept connections
_GOODBYE = 10.0  # s until one that was asked to end is killed

# Below the ports of outgoing connections (Linux: from 32768): one of these could take the port of a
# server that restarts. Each process begins somewhere else.
_PORTS = range(10_000, 20_000)
_TURNS = itertools.count(random.randrange(len(_PORTS)))

NEEDED = {
    "nginx": "nginx",
    "redis-server": "redis-server",
    "caddy": "caddy",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/share/lua/5.1/nginx/redis.lua": "lua-nginx-redis",
}


class BenchError(Exception):
    """The bench cannot measure. The message says what is missing or wrong."""


@dataclass(frozen=True)
class Cores:
    """The core of the gateway under test, and the core of all the rest.

    further: of the gateway
    upstream: where upstreams and Redis run, unless it is the core of the load
    """

    gateway: int
    load: int
    further: tuple[int, ...] = ()
    upstream: int | None = None

    @property
    def of_gateway(self) -> tuple[int, ...]:
        return (self.gateway, *self.further)

    @property
    def of_upstream(self) -> int:
        return self.load if self.upstream is None else self.upstream


def cores() -> Cores:
    """The first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError("two cores are needed: one for the gateway, one for the load")
    return Cores(gateway=usable[0], load=usable[1])


def missing_packages() -> list[str]:
    """The Debian packages that must be installed first."""
    return [
        package for what, package in NEEDED.items() if not shutil.which(what) and not _file(what)
    ]


def _file(what: str) -> bool:
    return what.startswith("/") and Path(what).exists()


@dataclass(frozen=True)
class Cost:
    """The processor time and the memory of a process and its descendants."""

    cpu: float  # s, user and system
    rss: int  # bytes, all processes
    largest_rss: int  # bytes, of the largest process that serves: no supervisor or master does


def cost(pid: int) -> Cost:
    """Sum /proc/<pid>/stat of a process tree, supervisors included."""
    cpu, sizes = 0, []
    for member in _tree(pid):
        # proc(5): the command in parentheses may hold spaces; utime and stime are fields 14, 15.
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        cpu += int(fields[11]) + int(fields[12])
        sizes.append(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    return Cost(cpu / _TICKS, sum(sizes), max(sizes[1:] or sizes))


def busy(core: int) -> float:
    """The seconds that a core has worked since it started."""
    for line in Path("/proc/stat").read_text().splitlines():
        # proc(5): user, nice, system, idle, iowait, irq, softirq; a guest's time is in user's.
        name, *ticks = line.split()
        if name == f"cpu{core}":
            return sum(int(ticks[column]) for column in (0, 1, 2, 5, 6)) / _TICKS
    raise BenchError(f"/proc/stat knows no core {core}")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _tree(int(child))


@contextmanager
def running(
    command: Sequence[str],
    *,
    core: int | Sequence[int],
    output: Path,
    address: int | Path,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[int]:
    """Run a server on a core, or on some, until the block ends. Yields its pid.

    address: a loopback port or the path of a unix socket, at which it has to accept connections

    The kernel ends it if this process dies.
    """
    cores = str(core) if isinstance(core, int) else ",".join(map(str, core))
    with output.open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", cores, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )
    try:
        _await_listener(process, address, output)
        yield process.pid
    finally:
        _end(process)


def _await_listener(process: subprocess.Popen[bytes], address: int | Path, output: Path) -> None:
    deadline = time.monotonic() + _STARTUP
    while not _accepts(address):
        if process.poll() is not None or time.monotonic() > deadline:
            written = output.read_text(errors="replace")[-2000:]
            raise BenchError(f"{process.args!r} does not serve:\n{written}")
        time.sleep(0.05)


def _accepts(address: int | Path) -> bool:
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(("127.0.0.1", address) if isinstance(address, int) else str(address))
        except OSError:
            return False
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end. Kill its processes if it does not."""
    family = list(_tree(process.pid)) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(_GOODBYE)
    except subprocess.TimeoutExpired:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.wait()


@contextmanager
def fresh_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """New processes that share no memory with this one, until the block ends.

    They end with this process, and at once when the block raises.
    """
    with ProcessPoolExecutor(
        number, get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            yield pool
        except BaseException:
            for child in active_children():
                child.terminate()
            raise


def say(what: str) -> None:
    """Print progress on stderr, beside the tables."""
    print(what, file=sys.stderr, flush=True)


def raise_file_limit() -> None:
    """Raise the limit of open files, for this process and its servers."""
    _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))


def free_port() -> int:
    """A free port on loopback, which no other call has given lately."""
    while True:
        port = _PORTS[next(_TURNS) % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def description() -> str:
    """The machine and the versions, for readers who compare tables."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return ", ".join(
        [
            f"{len(models)} x {models[0] if models else platform.machine()}",
            f"Linux {platform.release()}",
            f"Python {platform.python_version()}",
            _version("nginx", "-v").removeprefix("nginx version: "),
            f"Caddy {_version('caddy', 'version').split()[0]}",
            _version("redis-server", "--version").partition(" sha=")[0],
        ]
    )


def _version(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return (ran.stdout + ran.stderr).strip()
