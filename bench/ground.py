"""The ground that all gateways share.

It is the upstream, Redis, the auth service, a key and its token.
"""

from __future__ import annotations

import getpass
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench.credentials import new_key, new_token
from bench.machine import Cores, cores, free_port, running

_PEERS = Path(__file__).with_name("peers")
_READS = ("get", "getex")
_NONE = {"calls": 0}
_DOWNLOAD = 10 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Ground:
    """Addresses and secrets of one run; all files are in its directory."""

    directory: Path
    cores: Cores
    upstream_port: int = field(default_factory=free_port)
    live_port: int = field(default_factory=free_port)  # of the streams
    auth_port: int = field(default_factory=free_port)
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    token: str = field(default_factory=lambda: new_token("ada"))
    key: str = field(default_factory=new_key)

    @property
    def redis_socket(self) -> Path:
        return self.directory / "redis.sock"

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.redis_socket))

    def looked_up(self) -> int:
        """How many times a session was read, by a command or within a script."""
        with self.redis() as client:
            commands = client.info("commandstats")
        return sum(int(commands.get(f"cmdstat_{name}", _NONE)["calls"]) for name in _READS)

    def config(self, template: str, name: str, **more: object) -> Path:
        """A file of `peers/` with its values filled in: `@word@` stands for one."""
        values: Mapping[str, object] = {
            "workers": 1,
            **more,  # first, since these may name others of the values
            "dir": self.directory,
            "user": f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            "upstream_port": self.upstream_port,
            "live_port": self.live_port,
            "auth_port": self.auth_port,
            "redis_socket": self.redis_socket,
            "secret": self.secret,
            "token": self.token,
            "key": self.key,
            "peers": _PEERS,
            "name": name,
        }
        text = (_PEERS / template).read_text()
        for word, value in values.items():
            text = text.replace(f"@{word}@", str(value))
        path = self.directory / f"{name}.conf"
        path.write_text(text)
        return path


@contextmanager
def prepared(on: Cores | None = None) -> Iterator[Ground]:
    """The ground. Its servers run on the core for the load, unless `on` names another one.

    They end with the block.
    """
    with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as name, ExitStack() as stack:
        ground = Ground(Path(name), on or cores())
        (ground.directory / "10m").write_bytes(os.urandom(_DOWNLOAD))
        upstream = ["nginx", "-c", str(ground.config("upstream.conf", "upstream"))]
        live = [sys.executable, "-m", "bench.peers.live", str(ground.live_port)]
        auth = ["nginx", "-c", str(ground.config("auth.conf", "auth"))]
        for command, address in (
            (upstream, ground.upstream_port),
            (live, ground.live_port),
            (auth, ground.auth_port),
            (redis_server(ground.redis_socket), ground.redis_socket),
        ):
            output = ground.directory / "ground.log"
            stack.enter_context(
                running(command, core=ground.cores.of_upstream, output=output, address=address)
            )
        give_to_peers(ground, {ground.key: ground.token})
        yield ground


def redis_server(socket: Path) -> list[str]:
    """The command of a Redis that has only a unix socket and keeps no file."""
    command = ["redis-server", "--port", "0", "--save", "", "--dir", str(socket.parent)]
    return [*command, "--unixsocket", str(socket)]


def give_to_peers(ground: Ground, tokens: Mapping[str, str]) -> None:
    """Make keys known to the peers: the bare token, under the key itself."""
    with ground.redis() as client:
        client.mset({f"peer:{key}": token for key, token in tokens.items()})
