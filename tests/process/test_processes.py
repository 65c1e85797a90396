"""The gateway's processes: start, restart, reload, drain, and nothing left behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from gateway import __version__
from tests.conftest import accounts, log_in
from tests.process.conftest import GET, sections
from tests.support.gateway import REPOSITORY, Gateway, environment, gateway, reload
from tests.support.processes import HANG, alive, eventually, free_port
from tests.support.raw import OK, Client, Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )


def test_a_killed_worker_is_replaced(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Two workers share the port; kill -9 of one costs no listening socket."""
    with gateway(tmp_path, redis.url, workers=2, **sections(shop)) as relay:
        eventually(lambda: len(relay.workers()) == 2)
        first = relay.workers()
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda: len(relay.workers()) == 2 and first[0] not in relay.workers())
        for _ in range(20):
            assert status(ask(relay.port, GET)) == 200


def test_a_worker_that_dies_over_and_over(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """The gateway does not give up: requests wait for the next one."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        for _ in range(5):
            [worker] = relay.workers()
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: bool(set(relay.workers()) - {worker}))  # noqa: B023 (called at once)
        assert status(ask(relay.port, GET)) == 200


def test_fewer_files_than_connections(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Said before the first client is refused for it."""
    limits = {"connections": 2**31}
    with gateway(tmp_path, redis.url, limits=limits, **sections(shop)) as relay:
        assert re.search(
            r"a worker may open \d+ files, and limits.connections", relay.log.read_text()
        )


def test_what_serves_does_not_carry_what_reads_the_configuration(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        for pid in (relay.pid, *relay.workers()):
            assert "pydantic_core" not in Path(f"/proc/{pid}/maps").read_text()


def test_sessions_survive_a_restart(tmp_path: Path, shop: Upstream) -> None:
    """The embedded store keeps them over a stop, and over kill -9 of everything at once."""
    shop.clear(accounts)
    data = {"url": "embedded", "data_dir": str(tmp_path / "data")}
    key = ""
    for kill in (False, True, False):
        config = {**sections(shop), "store": data}
        store = config.pop("store")
        with gateway(tmp_path, store, **config) as relay:  # type: ignore[arg-type]
            if key:
                shop.clear()
                request = b"GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                answer = ask(
                    relay.port, request + b"Authorization: Bearer " + key.encode() + b"\r\n\r\n"
                )
                assert status(answer) == 200
                shop.clear(accounts)
            key = log_in(relay.port)
            if kill:
                time.sleep(1.2)  # the store writes to disk each second
                os.kill(relay.pid, signal.SIGKILL)


def kill_store(relay: Gateway) -> None:
    """Kills the embedded store's server, and waits for the next one."""
    [server] = set(relay.children()) - set(relay.workers())
    os.kill(server, signal.SIGKILL)
    eventually(lambda: bool(set(relay.children()) - set(relay.workers()) - {server}))


def test_a_killed_store_is_started_again(tmp_path: Path, shop: Upstream) -> None:
    """Sessions work again, as often as it dies; the log says what ended it."""
    shop.clear(accounts)
    store = {"url": "embedded", "data_dir": str(tmp_path / "data")}
    with gateway(tmp_path, store, workers=2, **sections(shop)) as relay:
        key = log_in(relay.port)
        shop.clear()
        request = (
            f"GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\n\r\n"
        ).encode()
        for _ in range(2):
            kill_store(relay)
            eventually(lambda: status(ask(relay.port, request)) == 200)
        assert "the embedded store has ended (killed by SIGKILL)" in relay.log.read_text()


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path, shop: Upstream) -> None:
    """Neither a worker nor the embedded store outlives it."""
    store = {"url": "embedded", "data_dir": str(tmp_path / "data")}
    with gateway(tmp_path, store, **sections(shop)) as relay:
        eventually(lambda: len(relay.children()) == 2)
        children = relay.children()
        os.kill(relay.pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in children))


def test_reload(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """SIGHUP takes a good config and refuses no request; it keeps the old one for a bad one."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        file = tmp_path / "config.yaml"
        before = relay.workers()
        other = GET.replace(b"/public/", b"/other/")
        assert status(ask(relay.port, other)) == 404
        good = {**relay.config, "routes": [{"path": "/*", "upstream": "shop", "auth": "public"}]}
        file.write_text(yaml.safe_dump({**good, "rutes": []}))
        reload(relay)
        eventually(
            lambda: "rutes: is not known here (did you mean routes?)" in relay.log.read_text()
        )
        assert relay.workers() == before
        assert status(ask(relay.port, GET)) == 200
        file.write_text(yaml.safe_dump(good))
        reload(relay)
        end = time.monotonic() + HANG
        while status(ask(relay.port, other)) != 200:
            assert time.monotonic() < end
        eventually(lambda: not set(before) & set(relay.workers()))


def test_drain(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """SIGTERM: what is in flight is answered, idle connections close, nothing new is taken."""

    def slow(visit: Visit) -> None:
        visit.request()
        time.sleep(1)
        visit.send(OK)

    shop.clear(slow)
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        with Client(relay.port) as busy, Client(relay.port) as idle:
            busy.send(GET.replace(b"Connection: close\r\n", b""))
            eventually(lambda: bool(shop.got))
            os.kill(relay.pid, signal.SIGTERM)
            assert idle.rest() == b""
            code, head, body = busy.answer()
            assert (code, body) == (200, b"ok")
            assert b"\r\nConnection: close\r\n" in head
        eventually(lambda: not alive(relay.pid))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", relay.port), timeout=2)


def test_a_drain_loses_no_request(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Over a connection that was idle a request may be under way: it is answered, as the last."""
    request = GET.replace(b"Connection: close\r\n", b"")
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        with Client(relay.port) as idle, Client(relay.port) as client:
            idle.send(request)
            assert idle.answer()[0] == 200
            client.send(request)
            os.kill(relay.pid, signal.SIGTERM)
            end = time.monotonic() + HANG
            while b"\r\nConnection: close\r\n" not in (answer := client.answer())[1]:
                assert answer[0] == 200
                assert time.monotonic() < end
                time.sleep(0.02)  # idle between two requests
                client.send(request)
            assert answer[0] == 200
            assert idle.rest() == client.rest() == b""
        eventually(lambda: not alive(relay.pid))


def test_an_address_in_use(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Said plainly, with exit code 1; the one that runs is not disturbed."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        again = run("run", "-c", str(tmp_path / "config.yaml"))
        assert again.returncode == 1
        assert f"cannot listen on 127.0.0.1:{relay.port}: Address already in use" in again.stderr
        assert status(ask(relay.port, GET)) == 200


def test_listening_on_a_unix_socket(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """A stale socket file is replaced, and the file goes with the gateway."""
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with gateway(tmp_path, redis.url, **{**sections(shop), "listen": f"unix:{path}"}):
        eventually(path.exists)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(HANG)
            client.connect(str(path))
            client.sendall(GET)
            answer = client.recv(65536)
        assert status(answer) == 200
        assert b"\r\nX-Forwarded-For: unknown\r\n" in shop.got
    assert not path.exists()


def test_who_may_connect_to_a_unix_socket(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """The gateway's own user alone, whatever the umask; or whom mode and group say, which a reload
    changes.
    """
    path = tmp_path / "gateway.sock"
    group = os.getgroups()[-1] if os.getuid() else 12345  # root may choose any

    def permitted() -> tuple[int, int]:
        found = path.stat()
        return stat.S_IMODE(found.st_mode), found.st_gid

    umask = os.umask(0)
    try:
        with gateway(tmp_path, redis.url, **{**sections(shop), "listen": f"unix:{path}"}) as relay:
            eventually(lambda: path.exists() and permitted() == (0o600, os.getgid()))
            listen = {"address": f"unix:{path}", "mode": "0660", "group": group}
            file = tmp_path / "config.yaml"
            file.write_text(yaml.safe_dump({**relay.config, "listen": listen}))
            reload(relay)
            eventually(lambda: permitted() == (0o660, group))
    finally:
        os.umask(umask)


def test_health(tmp_path: Path, shop: Upstream) -> None:
    """/healthz says that it lives also when the store is down; /readyz says what it can do."""
    with gateway(tmp_path, "redis://127.0.0.1:1", **sections(shop)) as relay:
        get = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = ask(relay.admin_port, get % b"/healthz")
        assert status(answer) == 200
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert body == {"status": "ok", "store": "down", "version": __version__}
        assert status(ask(relay.admin_port, get % b"/readyz")) == 503


def test_the_access_log(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """One JSON line a request with what operators need, and without query, key, token, cookie."""
    shop.clear(accounts)
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        key = log_in(relay.port)
        shop.clear()
        request = (
            b"POST /api/a%22b?secret=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Cookie: c=secret\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\nContent-Length: 5\r\n\r\nhello"
        )
        assert status(ask(relay.port, request)) == 200
        [record] = relay.records(route="/api/*")
        text = relay.access_log.read_text()
    assert record.pop("duration_us") > record.pop("upstream_us") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert re.fullmatch(r"[0-9a-f]{32}", record.pop("request_id"))
    assert re.fullmatch(r"[A-Za-z0-9_-]{12}", record.pop("session"))
    assert record == {
        "client": "127.0.0.1",
        "method": "POST",
        "route": "/api/*",
        "path": "/api/a%22b",
        "status": 200,
        "bytes_in": 5,
        "bytes_out": 2,
        "upstream": shop.url,
    }
    for secret in ("secret", key, "eyJ"):
        assert secret not in text


def test_a_command_whose_reader_has_enough() -> None:
    """As in `gateway schema | head`: it ends without a traceback."""
    command = [sys.executable, "-m", "gateway", "schema"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_the_command_line(tmp_path: Path) -> None:
    """check, routes, schema, version and --help say what they should, with their exit codes."""
    good = str(REPOSITORY / "config.yaml")
    checked = run("check", "-c", good)
    assert checked.returncode == 0, checked.stderr
    assert "is right: 3 routes, 2 upstreams" in checked.stdout
    assert run("check", "--strict", "-c", good).returncode == 0
    unsafe = tmp_path / "unsafe.yaml"
    unsafe.write_text((REPOSITORY / "config.yaml").read_text() + "limits: {min_rate: 0}\n")
    assert run("check", "-c", str(unsafe)).returncode == 0
    strict = run("check", "--strict", "-c", str(unsafe))
    assert (strict.returncode, strict.stderr.count("warning: ")) == (1, 1)
    assert run("version").stdout == run("--version").stdout == f"latchkey-gateway {__version__}\n"
    assert json.loads(run("schema").stdout)["title"] == "Latchkey's config.yaml"
    routes = run("routes", "-c", good).stdout.splitlines()
    assert routes[0].split() == ["/login", "POST", "login", "accounts"]
    assert routes[-1].split() == ["/public/*", "any", "public", "shop"] or "/api/*" in routes[-1]
    usage = run("--help").stdout
    for command in ("run", "check", "routes", "schema", "version"):
        assert command in usage
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nlistne: x\n")
    for command in ("check", "run", "routes"):
        refused = run(command, "-c", str(bad))
        assert refused.returncode == 2
        assert f"{bad}:2:1: listne: is not known here (did you mean listen?)" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert run("frobnicate").returncode == 2


def test_workers_that_cannot_live(tmp_path: Path, shop: Upstream) -> None:
    """A first worker that cannot serve ends the gateway: a line says why, and exit code 1."""
    config = {
        "version": 1,
        "listen": f"127.0.0.1:{free_port()}",
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "store": {"url": "embedded", "data_dir": str(tmp_path / "data")},
        "access_log": str(tmp_path),  # a folder cannot be written to
        **sections(shop),
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    ended = run("run", "-c", str(file))
    assert ended.returncode == 1
    assert f"worker 0 cannot serve: {tmp_path}: Is a directory" in ended.stderr
    assert "the workers do not stay alive; giving up" in ended.stderr


def test_the_make_targets() -> None:
    """`make` lists what there is to do."""
    listed = subprocess.run(
        ["make", "-C", str(REPOSITORY)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for target in ("run", "test", "check", "bench", "fmt"):
        assert f"make {target}" in listed
