"""Counts requests that fail while a gateway reloads or a server fails.

Latchkey and its peers have the same faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.machine import BenchError, cores, free_port, running, say

_CLIENTS = 8
_PAUSE = 0.02  # s between a client's requests: the failures are counted, and not the speed
_WORK = 0.02  # s that a server takes for an answer
_SILENCE = 2  # s that a server may be silent
_PATIENCE = 20.0  # s until a request is given up
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Seen:
    """What the clients saw of one fault."""

    requests: int = 0
    failed: int = 0
    slowest: float = 0.0  # s

    @property
    def share(self) -> float:
        """How many of a hundred requests failed."""
        return 100 * self.failed / self.requests

    def add(self, began: float, *, worked: bool) -> None:
        self.requests += 1
        self.failed += not worked
        self.slowest = max(self.slowest, time.monotonic() - began)


class Backend:
    """A server whose behaviour the bench sets."""

    def __init__(self) -> None:
        self.port = free_port()
        self.behaviour = "works"  # or "closes", "errs", "hangs"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse connections and abort the open ones, as if it was killed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def restart(self, seconds: float) -> None:
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if self.behaviour == "closes":
                    return
                if self.behaviour == "hangs":
                    await reader.read()  # until the proxy closes
                    return
                if self.behaviour == "errs":
                    writer.write(_UNAVAILABLE)
                    continue
                await asyncio.sleep(1.0 if b" /slow" in head else _WORK)
                writer.write(_OK)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


@dataclass
class Proxy:
    """A gateway that serves, and how it is told to reload and to stop."""

    pid: int
    port: int
    reload: Callable[[], None]
    stop: signal.Signals


@dataclass(frozen=True)
class Peer:
    """One column: a proxy with its configuration and its signals."""

    name: str
    file: str
    config: Callable[[Path, int, Sequence[int]], str]
    command: Callable[[Path, int], list[str]]
    reload: signal.Signals | None
    stop: signal.Signals


@contextmanager
def _serving(peer: Peer, folder: Path, servers: Sequence[int]) -> Iterator[Proxy]:
    port = free_port()
    place = folder / f"{peer.name}-{port}"
    place.mkdir()
    config = place / peer.file
    text = peer.config(place, port, servers)
    config.write_text(text)
    with running(
        peer.command(config, port),
        core=cores().gateway,
        output=place / "output",
        address=port,
        environment={"XDG_CONFIG_HOME": str(place), "XDG_DATA_HOME": str(place)},
    ) as pid:
        reloads = 0

        def reload() -> None:
            nonlocal reloads
            reloads += 1
            config.write_text(f"{text}\n# {reloads}\n")
            if peer.reload is not None:
                os.kill(pid, peer.reload)
            elif peer is CADDY:
                _reload_caddy(config)

        yield Proxy(pid, port, reload, peer.stop)


def _reload_caddy(config: Path) -> None:
    command = ["caddy", "reload", "--force", "--adapter", "caddyfile", "--config", str(config)]
    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# The configurations: a plain reverse proxy before one or two servers, and nothing else but what
# keeps its files in one folder.


def _latchkey(place: Path, port: int, servers: Sequence[int]) -> str:
    return json.dumps(
        {
            "version": 1,
            "listen": f"127.0.0.1:{port}",
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            "store": {"url": "embedded", "data_dir": str(place / "data")},
            "upstreams": {"api": {"servers": [f"http://127.0.0.1:{server}" for server in servers]}},
            "routes": [{"path": "/*", "upstream": "api", "auth": "public"}],
            "timeouts": {"response": _SILENCE},
            "access_log": str(place / "access.log"),
            "audit_log": str(place / "audit.log"),
        }
    )


def _nginx(place: Path, port: int, servers: Sequence[int]) -> str:
    lines = "".join(f"server 127.0.0.1:{server};" for server in servers)
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user} daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
    uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
    upstream api {{ {lines} keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_read_timeout {_SILENCE}s;
        }}
    }}
}}"""


def _haproxy(place: Path, port: int, servers: Sequence[int]) -> str:
    lines = "".join(
        f"    server s{number} 127.0.0.1:{server}\n" for number, server in enumerate(servers)
    )
    return f"""defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server {_SILENCE}s
frontend in
    bind 127.0.0.1:{port}
    default_backend api
backend api
{lines}"""


def _caddyfile(place: Path, port: int, servers: Sequence[int]) -> str:
    to = " ".join(f"127.0.0.1:{server}" for server in servers)
    return f"""{{
    admin unix/{place}/admin
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy {to} {{
        transport http {{
            response_header_timeout {_SILENCE}s
        }}
    }}
}}"""


def _traefik(place: Path, port: int, servers: Sequence[int]) -> str:
    lines = "".join(f'          - url: "http://127.0.0.1:{server}"\n' for server in servers)
    return f"""http:
  routers:
    all: {{rule: "PathPrefix(`/`)", service: api, entryPoints: [web]}}
  services:
    api:
      loadBalancer:
        serversTransport: quick
        servers:
{lines}
  serversTransports:
    quick: {{forwardingTimeouts: {{responseHeaderTimeout: "{_SILENCE}s"}}}}
"""


def _traefik_command(config: Path, port: int) -> list[str]:
    return [
        str(Path(sys.executable).with_name("traefik")),
        f"--entryPoints.web.address=127.0.0.1:{port}",
        f"--providers.file.filename={config}",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ]


LATCHKEY = Peer(
    "Latchkey",
    "config.yaml",
    _latchkey,
    lambda config, _port: [sys.executable, "-m", "gateway", "run", "-c", str(config)],
    signal.SIGHUP,
    signal.SIGTERM,
)
NGINX = Peer(
    "nginx",
    "nginx.conf",
    _nginx,
    lambda config, _port: ["nginx", "-c", str(config)],
    signal.SIGHUP,
    signal.SIGQUIT,
)
CADDY = Peer(
    "Caddy",
    "Caddyfile",
    _caddyfile,
    lambda config, _port: ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)],
    None,
    signal.SIGTERM,
)
PEERS = (
    LATCHKEY,
    NGINX,
    Peer(
        "HAProxy",
        "haproxy.cfg",
        _haproxy,
        lambda config, _port: ["haproxy", "-W", "-f", str(config)],
        signal.SIGUSR2,
        signal.SIGUSR1,
    ),
    CADDY,
    # It watches its file by itself.
    Peer("Traefik", "dynamic.yaml", _traefik, _traefik_command, None, signal.SIGTERM),
)


# The clients.


async def _ask(port: int, path: str, method: str) -> bool:
    """Whether a request over a connection of its own got the server's answer."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            length = "Content-Length: 0\r\n" if method == "POST" else ""
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: api.example\r\n{length}"
                "Connection: close\r\n\r\n".encode()
            )
            with contextlib.closing(writer):
                answer = await reader.read()
                return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")
    except (OSError, TimeoutError):
        return False


class _KeptConnection:
    """A client that keeps its connection and repeats no request.

    It closes the connection when the proxy does or asks for it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> bool:
        """Whether a request got the server's answer."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the proxy has closed it between two requests
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(len(b"ok"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.close()
            return False
        if b"\r\nconnection: close\r\n" in head.lower():
            self.close()
        return head.startswith(b"HTTP/1.1 200") and body == b"ok"

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@asynccontextmanager
async def _clients(
    port: int, seen: Seen, method: str = "GET", *, kept: bool = False
) -> AsyncIterator[None]:
    """Clients that send requests until the block ends.

    They begin when a first request has got an answer.
    """
    while not await _ask(port, "/", method):
        await asyncio.sleep(_PAUSE)
    ending = asyncio.Event()

    async def go_on() -> None:
        connection = _KeptConnection(port)
        while not ending.is_set():
            began = time.monotonic()
            seen.add(began, worked=await (connection.ask() if kept else _ask(port, "/", method)))
            await asyncio.sleep(_PAUSE)
        connection.close()

    tasks = [asyncio.create_task(go_on()) for _ in range(_CLIENTS)]
    await asyncio.sleep(0.3)
    yield
    ending.set()
    await asyncio.gather(*tasks)


# The faults.


@dataclass
class Place:
    """One peer in front of two servers; `serving` starts it, also twice."""

    peer: Peer
    folder: Path
    servers: list[Backend] = field(default_factory=list)

    @contextmanager
    def serving(self, count: int = 2) -> Iterator[Proxy]:
        ports = [server.port for server in self.servers[:count]]
        with _serving(self.peer, self.folder, ports) as proxy:
            yield proxy


async def _one_reload(place: Place, seen: Seen, *, kept: bool = False) -> None:
    with place.serving() as proxy:
        async with _clients(proxy.port, seen, kept=kept):
            proxy.reload()
            await asyncio.sleep(3)


async def _forty_reloads(place: Place, seen: Seen, *, kept: bool = False) -> None:
    with place.serving() as proxy:
        async with _clients(proxy.port, seen, kept=kept):
            for _ in range(40):
                proxy.reload()
                await asyncio.sleep(0.25)


async def _stop(place: Place, seen: Seen) -> None:
    """Stop one of two proxies behind an nginx, with a request in flight."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(place.serving()) for _ in range(2))
        front = stack.enter_context(_serving(NGINX, place.folder, [one.port, other.port]))
        async with _clients(front.port, seen, "POST"):
            began = time.monotonic()
            slow = asyncio.create_task(_ask(one.port, "/slow", "GET"))
            await asyncio.sleep(0.2)
            os.kill(one.pid, one.stop)
            seen.add(began, worked=await slow)
            await asyncio.sleep(2)


async def _behaves(place: Place, seen: Seen, behaviour: str) -> None:
    with place.serving() as proxy:
        async with _clients(proxy.port, seen):
            place.servers[0].behaviour = behaviour
            await asyncio.sleep(3)


async def _rolling(place: Place, seen: Seen) -> None:
    with place.serving() as proxy:
        async with _clients(proxy.port, seen):
            for server in place.servers:
                await server.restart(1.0)
                await asyncio.sleep(0.5)


async def _only(place: Place, seen: Seen) -> None:
    with place.serving(1) as proxy:
        async with _clients(proxy.port, seen):
            await place.servers[0].restart(1.0)
            await asyncio.sleep(0.5)


Fault = Callable[[Place, Seen], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "one reload": _one_reload,
    "one reload, kept connections": partial(_one_reload, kept=True),
    "40 reloads at 250 ms": _forty_reloads,
    "40 reloads at 250 ms, kept connections": partial(_forty_reloads, kept=True),
    "a stop behind nginx, POSTs, one of 1 s in flight": _stop,
    "one of two servers closes": lambda place, seen: _behaves(place, seen, "closes"),
    "one of two servers hangs": lambda place, seen: _behaves(place, seen, "hangs"),
    "one of two servers answers 503": lambda place, seen: _behaves(place, seen, "errs"),
    "two servers restart in turn, 1 s each": _rolling,
    "the only server restarts, 1 s": _only,
}

Figures = dict[str, dict[str, Seen]]  # by the fault, then by the peer's name


def measure() -> Figures:
    """Each fault through each peer, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> Figures:
    figures: Figures = {}
    for name in FAULTS:
        figures[name] = {}
        for peer in PEERS:
            seen = figures[name][peer.name] = await suffer(name, peer, folder)
            if seen.requests == seen.failed:
                raise BenchError(f"{peer.name} let nothing pass: {name}")
            say(f"{name}, {peer.name}: {seen.failed} of {seen.requests}, {seen.slowest:.2f} s")
    return figures


async def suffer(name: str, peer: Peer, folder: Path) -> Seen:
    """What the clients of one peer saw of one fault."""
    # Reads from servers that are killed fail, and no task waits for them.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    seen, place = Seen(), Place(peer, folder, [Backend(), Backend()])
    async with AsyncExitStack() as stack:
        for server in place.servers:
            await server.start()
            stack.push_async_callback(server.stop)
        await FAULTS[name](place, seen)
    return seen
