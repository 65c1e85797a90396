"""What is deployed: the image's and compose.yaml's files, and a container's conditions."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from gateway.config.load import load
from gateway.config.units import parse_duration
from gateway.core.http.addresses import TcpAddress
from tests.process.conftest import GET, sections
from tests.support.gateway import REPOSITORY, config, environment
from tests.support.processes import HANG, eventually, free_port, wait_for_port
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer

SECRETS = {"GATEWAY_SECRET": "s" * 32, "REDIS_PASSWORD": "p" * 32}


def compose() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    return data


def in_a_container() -> list[str]:
    """Runs a command as process 1, as another user, with nothing that could be written to.

    The user may read files (the interpreter may be another's), which says nothing about writing.
    """
    space = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-pf", "--mount", "--mount-proc"]
    read_only = 'mount --make-rprivate / && mount -o remount,bind,ro / && cd / && exec "$@"'
    return [*space, "sh", "-c", read_only, "sh", *as_another_user()]


def as_another_user() -> list[str]:
    return [
        *("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--"),
    ] * (os.geteuid() == 0)


def executed(first: int, *arguments: str) -> str:
    """What a further program says in the container, as with `docker exec`."""
    enter = ["nsenter", f"--target={first}", "--all", *as_another_user()]
    command = [*enter, sys.executable, "-P", "-B", *arguments]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=HANG, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_container(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Read-only, another user, process 1: it serves, reloads, reaps, and stops when told to."""
    port, admin_port = free_port(), free_port()
    data = config(port, admin_port, tmp_path, redis.url, **sections(shop))
    data |= {"access_log": "stdout", "audit_log": "stdout", "workers": 2}
    file, log = tmp_path / "config.yaml", tmp_path / "log"
    file.write_text(yaml.safe_dump(data))
    command = [*in_a_container(), sys.executable, "-P", "-B", "-m", "gateway", "run", "-c"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, str(file)], env=environment(), stdout=out, stderr=out)
    listed = f"/proc/{process.pid}/task/{process.pid}/children"
    try:
        wait_for_port(admin_port, process)
        [first] = [int(pid) for pid in Path(listed).read_text().split()]
        uid = os.geteuid() or 10001
        assert f"\nUid:\t{uid}\t" in Path(f"/proc/{first}/status").read_text()
        assert status(ask(port, GET)) == 200
        os.kill(first, signal.SIGHUP)
        eventually(lambda: "gateway: reloaded" in log.read_text())
        assert status(ask(port, GET)) == 200
        assert "reloaded\n" in executed(first, "-m", "gateway", "reload", "-c", str(file))
        os.kill(first, signal.SIGTERM)
        assert process.wait(HANG) == 0, log.read_text()
    finally:
        if process.poll() is None:
            for pid in Path(listed).read_text().split():
                os.kill(int(pid), signal.SIGKILL)  # process 1 of the container, and all in it
            process.wait()
    assert "Traceback" not in log.read_text()


def test_the_image_s_configuration() -> None:
    """It listens where a container can be reached, and keeps its data where it may write."""
    read = load(REPOSITORY / "deploy" / "image.config.yaml", {"BACKEND": "http://backend:9000"})
    assert read.listen == (TcpAddress("", 8080),)
    assert read.store.data_dir == "/data"
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert "COPY deploy/image.config.yaml /etc/latchkey/config.yaml" in dockerfile
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    for source in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.MULTILINE):
        for name in source.split():
            assert f"!{name}" in ignored


def test_the_unit_reloads_what_it_runs() -> None:
    """systemd waits for the outcome, at the path of the gateway's own start."""
    lines = (REPOSITORY / "deploy" / "latchkey.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    assert unit["ExecReload"] == unit["ExecStart"].replace(" run ", " reload ")
    assert unit["Type"] == "notify"


def test_compose() -> None:
    """Redis has a password and only the gateway for company; a drain is not cut short."""
    services = compose()["services"]
    networks = {name: set(service["networks"]) for name, service in services.items()}
    assert not networks["redis"] & networks["backend"]
    assert networks["redis"] & networks["gateway"]
    assert networks["backend"] & networks["gateway"]
    assert all(compose()["networks"][name]["internal"] for name in ("store", "backends"))
    gateway = services["gateway"]
    assert gateway["read_only"]
    assert gateway["tmpfs"] == ["/tmp"]
    read = load(REPOSITORY / "deploy" / "compose.config.yaml", SECRETS)
    assert read.store.password is not None
    assert read.timeouts.drain + 5 < parse_duration(gateway["stop_grace_period"])


def test_compose_s_redis(tmp_path: Path) -> None:
    """Its command becomes a Redis that asks for the password, and ends when it is told to."""
    [shell, option, script] = compose()["services"]["redis"]["command"]
    port, data = free_port(), tmp_path / "data"
    data.mkdir()
    script = script.replace("$$", "$").replace("/data", str(data))
    script = script.replace("requirepass", f"port {port}\nbind 127.0.0.1\nrequirepass")
    env = {**os.environ, "REDISCLI_AUTH": SECRETS["REDIS_PASSWORD"]}
    with subprocess.Popen([shell, option, script], env=env, stdout=subprocess.DEVNULL) as server:
        wait_for_port(port, server)
        ping = ["redis-cli", "-p", str(port), "ping"]
        asked = [subprocess.run(ping, env=e, capture_output=True, check=False) for e in (env, None)]
        assert asked[0].stdout == b"PONG\n"
        assert b"NOAUTH" in asked[1].stdout
        assert Path(f"/proc/{server.pid}/comm").read_text() == "redis-server\n"
        server.terminate()
        assert server.wait(HANG) == 0
