"""Sites that keep their proxy: the examples under deploy/forward-auth, run as they stand but for
their ports, with a real proxy, a real gateway and a backend that records what reaches it.
"""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import yaml

from gateway.core.http.refusals import METHOD
from tests.conftest import json_answer, token_of
from tests.support import proxies
from tests.support.gateway import REPOSITORY, Gateway, gateway
from tests.support.processes import alive, free_port, running
from tests.support.raw import OK, Upstream, Visit, ask
from tests.support.redis_server import eventually

EXAMPLES = REPOSITORY / "deploy" / "forward-auth"

# The ports that the examples name.
_PROXY, _GATEWAY, _BACKEND = 8000, 8080, 9000

# To the handshake of RFC 6455 §1.3: there are proxies that look whether it is accepted rightly.
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@dataclass
class Answer:
    """An answer as the client got it; the names of its fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@dataclass
class Site:
    """What clients see, and what stands behind it."""

    proxy: str
    port: int
    backend: Upstream
    gateway: Gateway
    log: Path

    def ask(self, method: str, path: str, *lines: str, body: bytes = b"") -> Answer:
        """Sends one request, and waits for the whole answer."""
        fields = ("Host: shop.example", "Connection: close", *lines)
        if body:
            fields = (*fields, f"Content-Length: {len(body)}")
        head = "".join(f"{line}\r\n" for line in fields)
        return read(ask(self.port, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body))

    def log_in(self, name: str = "alice") -> str:
        """As a program does; returns the key."""
        body = json.dumps({"username": name}).encode()
        answer = self.ask("POST", "/login", "Content-Type: application/json", body=body)
        assert answer.status == 200, answer
        return str(json.loads(answer.body)["token"])

    def stop_gateway(self) -> None:
        """Ends the gateway in the middle of everything, and waits until it has gone: as long as it
        drains, it answers over the connections that the proxy has kept.
        """
        os.kill(self.gateway.pid, signal.SIGTERM)
        eventually(lambda: not alive(self.gateway.pid), "the gateway's end")

    def reached(self) -> list[dict[str, str]]:
        """The requests that came to the backend since it was cleared: their fields, by names in
        lower case, and `:` for the request line. Each visit brings one, as the backend closes.
        """
        return [fields_of(visit.got) for visit in self.backend.visits if visit.got]


def read(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    fields = fields_of(head)
    return Answer(int(fields[":"].split(" ")[1]), fields, body)


def fields_of(message: bytes) -> dict[str, str]:
    first, *lines = message.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = {":": first}
    for line in lines:
        name, _, value = line.partition(":")
        known = fields.get(name.lower())
        fields[name.lower()] = value.strip() if known is None else f"{known} & {value.strip()}"
    return fields


def shop(visit: Visit) -> None:
    """A backend: its own login, a WebSocket, and an answer to all else, one to a connection."""
    request = visit.request()
    head, _, body = request.partition(b"\r\n\r\n")
    method, path = head.decode("latin-1").split(" ")[:2]
    if path == "/api/login":
        name = parse_qs(body)[b"username"][0].decode() if b"=" in body else _name(body)
        token = token_of(name)
        visit.send(json_answer("200 OK", {"token": token}, "Connection: close"))
    elif path == "/api/chat" and re.search(rb"(?i)\r\nupgrade: websocket", head):
        visit.send(_SWITCHING + b"hello")
    else:
        answer = OK if method != "HEAD" else OK.removesuffix(b"ok")
        visit.send(answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    visit.finish()


def _name(body: bytes) -> str:
    return str(json.loads(body)["username"])


@contextmanager
def site(proxy: str, folder: Path, store: str) -> Iterator[Site]:
    """The example of one proxy, with the gateway of the example and a backend."""
    backend = Upstream()
    backend.answer = shop
    changed = yaml.safe_load((EXAMPLES / "latchkey.yaml").read_text())
    del changed["version"], changed["listen"], changed["store"]
    changed["upstreams"] = {"accounts": backend.url}
    try:
        with gateway(
            folder / "gateway", {"url": store, "timeout": 1}, **changed
        ) as running_gateway:
            ports = {_PROXY: free_port(), _GATEWAY: running_gateway.port, _BACKEND: backend.port}
            folder.joinpath(proxy).mkdir()
            command = PROXIES[proxy](folder / proxy, ports)
            log = folder / f"{proxy}.log"
            home = {
                "HOME": str(folder),
                "XDG_DATA_HOME": str(folder),
                "XDG_CONFIG_HOME": str(folder),
            }
            env = {**os.environ, **home}
            with running(command, log=log, port=ports[_PROXY], env=env):
                built = Site(proxy, ports[_PROXY], backend, running_gateway, log)
                # Some listen before they have read where to send what comes.
                eventually(lambda: built.ask("GET", "/login").status == METHOD.status, proxy)
                yield built
    finally:
        backend.stop()


def example(name: str, folder: Path, ports: Mapping[int, int]) -> Path:
    """The example's file with other ports."""
    text = (EXAMPLES / name).read_text()
    for port, other in ports.items():
        text, found = re.subn(rf"(?<=[: ]){port}\b", str(other), text)
        assert found or port == _PROXY, f"{name} does not name port {port}"
    file = folder / name
    file.write_text(text)
    return file


def _nginx(folder: Path, ports: Mapping[int, int]) -> Sequence[str]:
    """Its example is for a place inside `http`."""
    return proxies.nginx(folder, f"include {example('nginx.conf', folder, ports)};")


def _caddy(folder: Path, ports: Mapping[int, int]) -> Sequence[str]:
    file = str(example("Caddyfile", folder, ports))
    return [proxies.program("caddy"), "run", "--config", file, "--adapter", "caddyfile"]


def _traefik(folder: Path, ports: Mapping[int, int]) -> Sequence[str]:
    """It looks for new versions of itself, unless it is told not to."""
    file = example("traefik-dynamic.yaml", folder, ports)
    web = f"--entryPoints.web.address=127.0.0.1:{ports[_PROXY]}"
    quiet = ["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]
    return [_python("traefik"), web, f"--providers.file.filename={file}", *quiet]


def _envoy(folder: Path, ports: Mapping[int, int]) -> Sequence[str]:
    file = example("envoy.yaml", folder, ports)
    alone = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
    return [_python("envoy"), "-c", str(file), *alone]


def _haproxy(folder: Path, ports: Mapping[int, int]) -> Sequence[str]:
    """It looks for its Lua in the folder that it is told to be in."""
    file = example("haproxy.cfg", folder, ports)
    shutil.copy(EXAMPLES / "haproxy.lua", folder)
    return [proxies.program("haproxy"), "-db", "-C", str(folder), "-f", str(file)]


def _python(name: str) -> str:
    """From a package of the Python index that holds the program itself."""
    return str(Path(sys.executable).with_name(name))


PROXIES: Mapping[str, Callable[[Path, Mapping[int, int]], Sequence[str]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
    "envoy": _envoy,
    "haproxy": _haproxy,
}
