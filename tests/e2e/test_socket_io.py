"""socket.io by HTTP polling over two servers, each of which knows its own clients alone."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backends.conftest import build_cache, node_modules  # noqa: F401 (fixtures)
from tests.support.gateway import environment, gateway
from tests.support.processes import HANG, free_port, running
from tests.support.redis_server import RedisServer

_MESSAGES = 5
_CLIENTS = 3


@dataclass
class Site:
    """The gateway before two socket.io servers."""

    url: str
    folder: Path

    def talk(self) -> list[str]:
        """Send messages as one client. Returns the answers, or the error."""
        command = ["node", "socket_io_client.mjs", self.url, str(_MESSAGES)]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=HANG, check=True
        )
        answers = json.loads(done.stdout)
        assert isinstance(answers, list)
        return answers


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    node_modules: Path,  # noqa: F811
) -> Path:
    made = tmp_path_factory.mktemp("socket-io")
    for name in ("socket_io_server.js", "socket_io_client.mjs"):
        shutil.copy(Path(__file__).with_name(name), made)
    (made / "node_modules").symlink_to(node_modules)
    return made


@pytest.fixture(scope="module")
def site(folder: Path, redis: RedisServer) -> Iterator[Site]:
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(
                running(
                    ["node", "socket_io_server.js"],
                    log=folder / f"{port}.log",
                    port=port,
                    env=environment(PORT=str(port)),
                    cwd=folder,
                )
            )
        front = stack.enter_context(
            gateway(
                folder / "gateway",
                redis.url,
                upstreams={
                    "chat": {
                        "servers": [f"http://127.0.0.1:{port}" for port in ports],
                        "balance": {"sticky": "cookie"},
                    }
                },
                routes=[{"path": "/*", "upstream": "chat", "auth": "public"}],
            )
        )
        yield Site(f"http://127.0.0.1:{front.port}", folder)


def test_each_client_stays_at_its_server(site: Site) -> None:
    """Every poll of a client finds the server of its first one, over connections of its own."""
    for _ in range(_CLIENTS):
        answers = site.talk()
        found = {answer.rpartition(" from ")[2] for answer in answers}
        assert [answer.partition(" from ")[0] for answer in answers] == [
            f"message {number}" for number in range(_MESSAGES)
        ]
        assert len(found) == 1
