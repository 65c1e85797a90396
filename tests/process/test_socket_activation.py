"""Sockets that systemd hands over (sd_listen_fds(3)), from a parent that does the same."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.process.conftest import GET, sections
from tests.support.gateway import config, environment
from tests.support.processes import HANG, eventually, free_port, running
from tests.support.raw import Upstream, ask, fields_by_name, status
from tests.support.redis_server import RedisServer
from tests.support.tls import named, trusting_all

# The descriptors that become 3, 4, … have higher numbers than those.
_FIRST_HELD = 100

# Moves descriptors to 3, 4, … and becomes the gateway, whose process id LISTEN_PID has to be.
_HAND_OVER = """
import os, sys
held = [int(number) for number in sys.argv[1].split()]
for at, number in enumerate(held):
    os.dup2(number, 3 + at)
os.closerange(3 + len(held), 4096)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def command(folder: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "gateway", "run", "-c", str(folder / "config.yaml")]


def write(folder: Path, redis: RedisServer, shop: Upstream, **changes: Any) -> None:
    data = config(0, free_port(), folder, redis.url, **{**sections(shop), **changes})
    (folder / "config.yaml").write_text(yaml.safe_dump(data))


@contextmanager
def activated(
    folder: Path, sockets: Mapping[str, Sequence[socket.socket]], **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway with these sockets, by the names of their units."""
    named = [(sock, name) for name, socks in sockets.items() for sock in socks]
    variables = {"LISTEN_FDS": str(len(named)), "LISTEN_FDNAMES": ":".join(n for _, n in named)}

    # Numbers that no other test of this process has open, and that the child inherits.
    held = [fcntl.fcntl(sock, fcntl.F_DUPFD, _FIRST_HELD) for sock, _ in named]
    numbers = " ".join(map(str, held))
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, numbers, *command(folder)],
            stderr=log,
            env=environment(**{**variables, **env}),
            close_fds=False,
        )
    for number in held:
        os.close(number)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(HANG)


def said(folder: Path) -> str:
    return (folder / "gateway.log").read_text()


def has_reloaded(folder: Path, times: int) -> bool:
    return said(folder).count("gateway: reloaded") == times


def listening(path: Path | None = None) -> socket.socket:
    """A socket as systemd opens it; its queue takes clients before the gateway runs."""
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


def are_shared(gateway: int, *sockets: socket.socket) -> bool:
    """Whether two workers of a gateway hold all of these sockets."""
    workers = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    wanted = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in sockets}
    held = [{os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()} for pid in workers]
    return sum(wanted <= files for files in held) == 2


def ask_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        client.connect(str(path))
        client.sendall(GET)
        return client.recv(65536)


def test_sockets_of_systemd(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """All workers accept from them, TCP and unix, by name; a reload keeps them, also one that does
    not name them, and a stop leaves them and their files. Children do not learn of them.
    """
    path = tmp_path / "web.sock"
    with listening() as web, listening(path) as local, listening() as admin, listening() as new:
        port, admin_port = web.getsockname()[1], admin.getsockname()[1]
        changes = {"listen": "systemd:web", "admin": {"listen": "systemd:admin"}, "workers": 2}
        write(tmp_path, redis, shop, **changes)
        early = socket.create_connection(("127.0.0.1", port), HANG)
        early.sendall(GET)
        sockets = {"web": [web, local], "admin": [admin], "new": [new]}
        with early, activated(tmp_path, sockets) as gateway:
            assert status(early.recv(65536)) == 200  # it waited in the queue
            assert status(ask(port, GET)) == 200
            assert status(ask_unix(path)) == 200
            assert "takes the sockets of systemd named new: clients wait" in said(tmp_path)
            ready = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            assert status(ask(admin_port, ready)) == 200
            for reloads, listen in enumerate(["systemd:new", "systemd:web"], start=1):
                write(tmp_path, redis, shop, **{**changes, "listen": listen})
                gateway.send_signal(1)
                eventually(partial(has_reloaded, tmp_path, reloads))
                reached = new if listen == "systemd:new" else web
                assert status(ask(reached.getsockname()[1], GET)) == 200
            assert status(ask_unix(path)) == 200
            assert are_shared(gateway.pid, web, local)
        assert gateway.returncode == 0
        assert path.exists()
        socket.create_connection(("127.0.0.1", port), HANG).close()  # systemd's is still open


def test_one_word_for_all_of_them(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """`systemd` needs no names; the first word of a PROXY header is expected where it is set."""
    with listening() as one, listening() as other:
        listen = {"address": "systemd", "proxy_protocol": True}
        write(tmp_path, redis, shop, listen=listen, trusted_proxies="127.0.0.2")
        with activated(tmp_path, {"a": [one], "b": [other]}):
            for sock in (one, other):
                first = b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 80\r\n"
                assert status(ask(sock.getsockname()[1], first + GET, "127.0.0.2")) == 200
                assert b"203.0.113.7" in shop.got


def test_what_goes_with_sockets_of_systemd(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """TLS at those of one name, over IPv4 and IPv6, redirects at those of another; and the admin
    listener may have an address of IPv6.
    """
    pair, admin = named(tmp_path, "shop.example"), free_port()
    with (
        listening() as web,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as web6,
        listening() as plain,
    ):
        listen = [
            {"address": "systemd:web", "tls": pair},
            {"address": "systemd:plain", "redirect": "https"},
        ]
        write(tmp_path, redis, shop, listen=listen, admin={"listen": f"[::1]:{admin}"}, workers=2)
        with activated(tmp_path, {"web": [web, web6], "plain": [plain]}):
            for place in (web.getsockname()[:2], web6.getsockname()[:2]):
                with trusting_all().wrap_socket(socket.create_connection(place, HANG)) as tls:
                    tls.sendall(GET)
                    assert status(tls.recv(65536)) == 200
                assert fields_by_name(shop.got)["X-Forwarded-Proto"] == "https"
            head = ask(plain.getsockname()[1], GET)
            assert fields_by_name(head)["Location"].startswith("https://")
            with socket.create_connection(("::1", admin), HANG) as client:
                client.sendall(b"GET /readyz HTTP/1.1\r\nHost: [::1]\r\n\r\n")
                assert status(client.recv(65536)) == 200


@pytest.mark.parametrize(
    ("listen", "env", "message"),
    [
        ("systemd:wbe", {}, "cannot listen on systemd:wbe: systemd has handed over admin, web"),
        ("systemd", {"LISTEN_PID": "1"}, "for process 1 (LISTEN_PID), and this one is "),
        ("systemd", {"LISTEN_FDS": ""}, "systemd has handed over no socket"),
        ("systemd", {"LISTEN_FDS": "x"}, "LISTEN_FDS is not a number"),
        ("systemd", {"LISTEN_FDS": "1"}, "LISTEN_FDNAMES has 2 names, and LISTEN_FDS is 1"),
        ("systemd:web", {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c"}, "descriptor 5"),
    ],
)
def test_no_socket_no_start(
    tmp_path: Path,
    redis: RedisServer,
    shop: Upstream,
    listen: str,
    env: dict[str, str],
    message: str,
) -> None:
    """The message says what is missing, and which names there are."""
    write(tmp_path, redis, shop, listen=listen)
    with listening() as web, listening() as admin:
        variables = {"LISTEN_FDNAMES": "web:admin", "LISTEN_FDS": "2", **env}
        with activated(tmp_path, {"web": [web], "admin": [admin]}, **variables) as gateway:
            assert gateway.wait(HANG) == 1
    assert message in said(tmp_path)


def test_a_socket_for_datagrams(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    write(tmp_path, redis, shop, listen="systemd")
    with socket.socket(type=socket.SOCK_DGRAM) as sock, activated(tmp_path, {"u": [sock]}) as run:
        assert run.wait(HANG) == 1
    assert "its socket u accepts no connections" in said(tmp_path)


def test_systemd_s_own_tool(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """The first connection starts the gateway."""
    tool = shutil.which("systemd-socket-activate")
    assert tool is not None
    write(tmp_path, redis, shop, listen="systemd:web")
    port = free_port()
    line = [tool, f"--listen=127.0.0.1:{port}", "--fdname=web", "-E", "PYTHONPATH", "-E", "PATH"]
    with running(
        [*line, *command(tmp_path)], log=tmp_path / "gateway.log", port=port, env=environment()
    ):
        assert status(ask(port, GET)) == 200
