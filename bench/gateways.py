"""Latchkey and its peers: how they are started, and checked to do their job."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.credentials import new_key
from bench.ground import Ground
from bench.machine import BenchError, free_port, running

_MODULES = "\n".join(
    f"load_module /usr/lib/nginx/modules/{module}.so;"
    for module in ("ndk_http_module", "ngx_http_lua_module")
)
_AUTHENTICATE_IN_LUA = """
            set $redis_socket @redis_socket@;
            set $authorization "";
            access_by_lua_file @peers@/session.lua;
            proxy_set_header Authorization $authorization;
"""
_FORWARD_AUTH = """
    forward_auth 127.0.0.1:@auth_port@ {
        uri /
        copy_headers Authorization
        transport http {
            keepalive_idle_conns_per_host 128
        }
    }
"""


@dataclass(frozen=True)
class Running:
    """A gateway that serves."""

    name: str
    pid: int
    port: int
    key: str
    access_log: Path

    def get(self, path: str, key: str) -> tuple[int, str]:
        """Status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def empty_access_log(self) -> None:
        """Cut the log short, which keeps the disk out of the bench.

        Gateways append to their logs. Raises `BenchError` if there is nothing in it.
        """
        if not self.access_log.stat().st_size:
            raise BenchError(f"{self.name} wrote no access log")
        os.truncate(self.access_log, 0)


@dataclass(frozen=True)
class Gateway:
    """One column of comparison."""

    name: str
    title: str
    start: Callable[[Ground, str], AbstractContextManager[Running]]
    identifies: bool = True  # swaps the key for the token; otherwise it passes all on as it came


@contextmanager
def serving(gateway: Gateway, ground: Ground) -> Iterator[Running]:
    """The gateway on its core, checked, until the block ends."""
    with gateway.start(ground, gateway.name) as up:
        _check(gateway, ground, up)
        yield up


def _check(gateway: Gateway, ground: Ground, up: Running) -> None:
    """Check that the upstream gets the token, and an unknown key a 401."""
    sent = f"Bearer {ground.token if gateway.identifies else up.key}"
    expected = [("/api/whoami", up.key, (200, sent))]
    if gateway.identifies:
        expected.append(("/api/small", new_key(), (401, "")))
    for path, key, (status, body) in expected:
        answer = up.get(path, key)
        if answer[0] != status or (body and answer[1] != body):
            raise BenchError(f"{gateway.name} answers {path} with {answer[0]}, not {status}")


@contextmanager
def _nginx(ground: Ground, name: str) -> Iterator[Running]:
    with _peer(ground, name, "nginx.conf", ["nginx", "-c"], modules="", authenticate="") as up:
        yield up


@contextmanager
def _nginx_lua(ground: Ground, name: str) -> Iterator[Running]:
    more = {"modules": _MODULES, "authenticate": _AUTHENTICATE_IN_LUA}
    with _peer(ground, name, "nginx.conf", ["nginx", "-c"], **more) as up:
        yield up


@contextmanager
def _caddy(ground: Ground, name: str) -> Iterator[Running]:
    command = ["caddy", "run", "--adapter", "caddyfile", "--config"]
    with _peer(ground, name, "Caddyfile", command, authenticate="") as up:
        yield up


@contextmanager
def _haproxy(ground: Ground, name: str) -> Iterator[Running]:
    with _peer(ground, name, "haproxy.cfg", ["haproxy", "-db", "-f"]) as up:
        yield replace(up, access_log=ground.directory / f"{name}.log")  # its standard output


@contextmanager
def _caddy_forward_auth(ground: Ground, name: str) -> Iterator[Running]:
    command = ["caddy", "run", "--adapter", "caddyfile", "--config"]
    with _peer(ground, name, "Caddyfile", command, authenticate=_FORWARD_AUTH) as up:
        yield up


@contextmanager
def _naive(ground: Ground, name: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "bench.peers.naive"]
    with _peer(ground, name, "naive.json", command) as up:
        yield up


@contextmanager
def _latchkey(ground: Ground, name: str, template: str = "latchkey.yaml") -> Iterator[Running]:
    command = [sys.executable, "-m", "gateway", "run", "-c"]
    more = {"admin_port": free_port(), "proxy_port": free_port(), "idle_timeout": "30m"}
    with _peer(ground, name, template, command, **more) as up:
        yield replace(up, key=log_in(up.port))


def latchkey_with(cores: Sequence[int]) -> Gateway:
    """Latchkey with a worker for each of these cores."""

    @contextmanager
    def start(ground: Ground, name: str) -> Iterator[Running]:
        command = [sys.executable, "-m", "gateway", "run", "-c"]
        more = {"admin_port": free_port(), "idle_timeout": "30m", "workers": len(cores)}
        own = replace(ground.cores, gateway=cores[0], further=tuple(cores[1:]))
        with _peer(replace(ground, cores=own), name, "latchkey.yaml", command, **more) as up:
            yield replace(up, key=log_in(up.port))

    return Gateway(f"latchkey-{len(cores)}", f"Latchkey, {len(cores)} workers", start)


@contextmanager
def _peer(
    ground: Ground, name: str, template: str, command: list[str], **more: object
) -> Iterator[Running]:
    port, log = free_port(), ground.directory / f"{name}.access.log"
    config = ground.config(template, name, **more, port=port)
    log.touch()
    with running(
        [*command, str(config)],
        core=ground.cores.of_gateway,
        output=ground.directory / f"{name}.log",
        address=port,
        environment={"XDG_CONFIG_HOME": str(ground.directory)},  # where Caddy leaves its state
    ) as pid:
        yield Running(name, pid, port, ground.key, log)


def log_in(port: int) -> str:
    """Log in through the gateway, as a device does. Return the key."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/login", body=b"{}", headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise BenchError(f"the login through Latchkey is answered with {answer.status}")
    key: str = json.loads(body)["token"]
    return key


LATCHKEY = Gateway("latchkey", "Latchkey", _latchkey)
LATCHKEY_ALL = Gateway(
    "latchkey-all",
    "Latchkey, all configured",
    partial(_latchkey, template="latchkey-all.yaml"),
)
NGINX_LUA = Gateway("nginx-lua", "nginx + Lua + Redis", _nginx_lua)
NGINX = Gateway("nginx", "nginx, plain proxy", _nginx, identifies=False)
CADDY = Gateway("caddy", "Caddy, plain proxy", _caddy, identifies=False)
CADDY_AUTH = Gateway("caddy-auth", "Caddy, forward_auth", _caddy_forward_auth)
HAPROXY = Gateway("haproxy", "HAProxy, plain proxy", _haproxy, identifies=False)
NAIVE = Gateway("naive", "aiohttp + redis, naive", _naive)

ALL = (LATCHKEY, LATCHKEY_ALL, NGINX_LUA, NGINX, HAPROXY, CADDY, CADDY_AUTH, NAIVE)
STREAMING = (LATCHKEY, NGINX, HAPROXY, CADDY)
