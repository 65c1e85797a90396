"""What the gateway tells systemd (sd_notify(3)), by a path and by an abstract name."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.process.conftest import sections
from tests.support.gateway import gateway, reload
from tests.support.processes import HANG, eventually
from tests.support.raw import Upstream
from tests.support.redis_server import RedisServer


@pytest.mark.parametrize("is_abstract", [False, True])
def test_states_are_told(
    tmp_path: Path, redis: RedisServer, shop: Upstream, is_abstract: bool
) -> None:
    """It serves, reloads, serves again (also after a reload that failed), and stops."""
    path = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + path if is_abstract else path)
        systemd.settimeout(HANG)
        env = {"NOTIFY_SOCKET": "@" + path if is_abstract else path}
        with gateway(tmp_path, redis.url, env=env, **sections(shop)) as relay:
            said = systemd.recv(4096).decode().splitlines()
            assert said[:2] == ["READY=1", f"MAINPID={relay.pid}"]
            assert said[2].startswith("STATUS=listening on ")
            reload(relay)
            assert systemd.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert systemd.recv(4096).endswith(b"STATUS=reloaded")
            (tmp_path / "config.yaml").write_text("version: 2")
            reload(relay)
            assert systemd.recv(4096).startswith(b"RELOADING=1\n")
            assert b"READY=1\n" in systemd.recv(4096)
            os.kill(relay.pid, signal.SIGTERM)
            assert systemd.recv(4096).startswith(b"STOPPING=1\n")


def test_the_watchdog(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """It is told twice in its time that the gateway lives, until a worker hangs, and when it goes
    on; a watchdog of another process is not.
    """
    path = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(HANG)
        env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "800000"}
        with gateway(tmp_path, redis.url, env=env, workers=2, **sections(shop)) as relay:
            while not systemd.recv(4096).startswith(b"READY=1"):
                pass
            assert [systemd.recv(4096) for _ in range(12)] == [b"WATCHDOG=1"] * 12  # 5 s
            hanging = relay.workers()[1]
            os.kill(hanging, signal.SIGSTOP)
            try:
                eventually(lambda: not comes(systemd, seconds=1.5))
            finally:
                os.kill(hanging, signal.SIGCONT)
            assert comes(systemd, seconds=HANG)
            systemd.settimeout(HANG)
        other = {**env, "WATCHDOG_PID": "1"}
        with gateway(tmp_path, redis.url, env=other, **sections(shop)):
            while comes(systemd, seconds=1.5):
                pass


def comes(systemd: socket.socket, *, seconds: float) -> bool:
    """Whether a beat comes within this time."""
    systemd.settimeout(seconds)
    try:
        return systemd.recv(4096) == b"WATCHDOG=1"
    except TimeoutError:
        return False
