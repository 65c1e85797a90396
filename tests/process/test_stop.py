"""How the gateway ends: what it lets go of first, what it waits for, and what ends it at once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from gateway.core.http.addresses import UnixAddress
from gateway.processes.errors import StartError
from gateway.processes.listeners import listen
from tests.process.conftest import GET, sections
from tests.process.test_reload import answer, close_code, running, tunnel
from tests.support import processes, proxies
from tests.support.gateway import Gateway, environment, gateway
from tests.support.processes import HANG, alive, eventually, free_port
from tests.support.raw import OK, Client, Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer

# How long the gateways wait for what is in flight, in seconds; a test waits longer for their end.
DRAIN = 0.8 * HANG


@dataclass
class Held:
    """An answer that waits until the test lets it go."""

    goes: threading.Event = field(default_factory=threading.Event)

    def __call__(self, visit: Visit) -> None:
        visit.request()
        self.goes.wait(HANG)
        visit.send(OK)


@pytest.fixture
def held(shop: Upstream) -> Iterator[Held]:
    """The shared upstream's answer to all requests."""
    answer = Held()
    shop.clear(answer)
    yield answer
    answer.goes.set()


@pytest.fixture
def relay(tmp_path: Path, redis: RedisServer, shop: Upstream) -> Iterator[Gateway]:
    timeouts = {"drain": DRAIN}
    with gateway(tmp_path, redis.url, workers=2, timeouts=timeouts, **sections(shop)) as started:
        eventually(lambda: "listening on" in started.log.read_text())
        yield started


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=HANG).close()
    except ConnectionRefusedError:
        return True
    return False


def test_nothing_is_accepted_during_a_drain(relay: Gateway, shop: Upstream, held: Held) -> None:
    """Who comes now is refused at once, and goes to another gateway; what is in flight ends."""
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        os.kill(relay.pid, signal.SIGTERM)
        eventually(lambda: refuses(relay.port))
        assert alive(relay.pid)
        held.goes.set()
        assert client.answer()[0] == 200
    eventually(lambda: not alive(relay.pid))


def test_what_waited_to_be_accepted_is_answered(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """A connection that the kernel has taken is not reset by a stop."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        [worker] = relay.workers()
        os.kill(worker, signal.SIGSTOP)
        with Client(relay.port) as client:
            client.send(GET)
            os.kill(relay.pid, signal.SIGTERM)
            time.sleep(0.2)
            os.kill(worker, signal.SIGCONT)
            assert client.answer()[0] == 200


def test_logs_are_reopened_during_a_drain(relay: Gateway, shop: Upstream, held: Held) -> None:
    """Of the requests that are still in flight, the moved file would get the lines."""
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        os.kill(relay.pid, signal.SIGTERM)
        eventually(lambda: refuses(relay.port))
        relay.access_log.rename(relay.access_log.with_suffix(".1"))
        os.kill(relay.pid, signal.SIGUSR1)
        eventually(relay.access_log.exists)
        held.goes.set()
        assert client.answer()[0] == 200
    assert relay.records(status=200)


def test_a_worker_that_hangs_during_a_stop(relay: Gateway) -> None:
    """It would keep its listeners open, where new connections wait: they are refused soon."""
    os.kill(relay.workers()[1], signal.SIGSTOP)
    began = time.monotonic()
    os.kill(relay.pid, signal.SIGTERM)
    eventually(lambda: not alive(relay.pid))
    assert time.monotonic() - began < DRAIN - 2
    assert refuses(relay.port)


def test_a_worker_that_drains_by_itself(relay: Gateway, shop: Upstream, held: Held) -> None:
    """SIGTERM for a worker alone, as of a guard of memory: its connections go to another one."""
    first = relay.workers()
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        for worker in first:
            os.kill(worker, signal.SIGTERM)
        eventually(lambda: len(set(relay.workers()) - set(first)) == len(first))
        held.goes.set()
        assert status(ask(relay.port, GET)) == 200
        assert client.answer()[0] == 200
    eventually(lambda: len(relay.workers()) == len(first))
    assert "takes no more connections; starting another" in relay.log.read_text()


@pytest.mark.parametrize(
    "signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGQUIT,)]
)
def test_an_end_at_once(
    relay: Gateway, shop: Upstream, held: Held, signals: tuple[signal.Signals]
) -> None:
    """A second Ctrl-C, a second SIGTERM, or SIGQUIT: nothing in flight is waited for."""
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        began = time.monotonic()
        for number in signals:
            os.kill(relay.pid, number)
            time.sleep(0.2)
        assert client.rest() == b""
        eventually(lambda: not alive(relay.pid))
        assert time.monotonic() - began < DRAIN / 2


def test_a_ctrl_c_of_the_whole_group(relay: Gateway, shop: Upstream, held: Held) -> None:
    """A terminal tells all processes; what is in flight is answered all the same."""
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        for pid in (relay.pid, *relay.workers()):
            os.kill(pid, signal.SIGINT)
        eventually(lambda: refuses(relay.port))
        held.goes.set()
        assert client.answer()[0] == 200


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP])
def test_signals_that_end_nothing(relay: Gateway, number: signal.Signals) -> None:
    """Neither the supervisor nor a worker ends by them, whenever they come."""
    for pid in (relay.pid, *relay.workers()):
        os.kill(pid, number)
    time.sleep(0.3)
    assert status(ask(relay.port, GET)) == 200
    assert alive(relay.pid)


def test_signals_while_it_starts(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """SIGUSR1 and SIGUSR2 do no harm from the beginning on, and a Ctrl-C ends it."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        file = relay.log.with_name("config.yaml")
    command = [sys.executable, "-P", "-m", "gateway", "run", "-c", str(file)]
    for number, code in ((signal.SIGUSR2, None), (signal.SIGINT, 0), (signal.SIGTERM, 0)):
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
            blocked = Path(f"/proc/{process.pid}/status")
            eventually(partial(blocks, blocked, signal.SIGUSR2))
            process.send_signal(number)
            if code is None:
                eventually(lambda: not refuses(relay.port))
                process.terminate()
            process.communicate(timeout=HANG)
            assert process.returncode == 0


def test_signals_that_were_ignored(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Whatever starts a gateway may ignore signals (`nohup`); it takes them all the same."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        file = relay.log.with_name("config.yaml")
    numbers = [signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]
    program = (
        "import os, signal, sys\n"
        f"for number in {[int(number) for number in numbers]}:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'gateway', 'run', '-c', {str(file)!r}])"
    )
    log = tmp_path / "ignored.log"
    command = [sys.executable, "-c", program]
    with processes.running(command, log=log, port=relay.port, env=environment()) as process:
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "gateway: reloaded" in log.read_text())
        assert status(ask(relay.port, GET)) == 200
        process.terminate()
        assert process.wait(HANG) == 0


def blocks(file: Path, number: signal.Signals) -> bool:
    """Whether a process blocks a signal (proc(5))."""
    lines = file.read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    return bool(mask & 1 << number - 1)


def test_a_port_is_free_at_once_after_kill_9(relay: Gateway, shop: Upstream, held: Held) -> None:
    """The workers notice; what is in flight is still answered."""
    with Client(relay.port) as client:
        client.send(GET)
        eventually(lambda: bool(shop.got))
        os.kill(relay.pid, signal.SIGKILL)
        for port in (relay.port, relay.admin_port):
            eventually(partial(is_free, port))
        held.goes.set()
        assert client.answer()[0] == 200


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_tunnels_are_told(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """Going away (1001), when the drain is over."""
    with running(tmp_path, redis, shop) as relay, tunnel(relay) as client:
        os.kill(relay.pid, signal.SIGTERM)
        assert close_code(client) == 1001


def test_a_unix_socket_that_is_in_use(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """A second gateway does not steal it, and its end does not remove it."""
    path = tmp_path / "a.sock"
    listen = {**sections(shop), "listen": f"unix:{path}"}
    with gateway(tmp_path / "first", redis.url, **listen) as first:
        eventually(lambda: "listening on" in first.log.read_text())
        inode = path.stat().st_ino
        second = gateway(tmp_path / "second", redis.url, **listen)
        with pytest.raises(AssertionError, match="another process listens there"), second:
            pass
        assert path.stat().st_ino == inode
        assert speaks(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("kind", "backlog", "why"),
    [
        (socket.SOCK_DGRAM, None, "another process listens there"),
        (socket.SOCK_STREAM, 0, "another process listens there"),
        (None, None, "what stands there is no socket"),
    ],
)
def test_a_path_that_is_in_use(
    tmp_path: Path, kind: socket.SocketKind | None, backlog: int | None, why: str
) -> None:
    """A socket for datagrams, one with a full queue, and a file: all stay where they are."""
    path = tmp_path / "a.sock"
    with ExitStack() as sockets:
        if kind is None:
            path.write_text("not a socket")
        else:
            owner = sockets.enter_context(socket.socket(socket.AF_UNIX, kind))
            owner.bind(str(path))
        if backlog is not None:
            owner.listen(backlog)
            sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        with pytest.raises(StartError, match=why):
            listen(UnixAddress(str(path)))
        assert path.exists()


def test_a_unix_socket_that_is_another_s(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """What stands at the path when the gateway ends is removed only if it is its own."""
    path = tmp_path / "a.sock"
    with gateway(tmp_path, redis.url, **{**sections(shop), "listen": f"unix:{path}"}) as relay:
        eventually(lambda: "listening on" in relay.log.read_text())
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
    assert path.exists()
    other.close()


def speaks(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        client.connect(str(path))
        client.sendall(GET)
        return status(client.recv(65536)) == 200


def test_strangers_are_reaped(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """As the process with the id 1, or as a subreaper, it inherits what others leave behind."""
    with gateway(tmp_path, redis.url, **sections(shop)) as relay:
        file = relay.log.with_name("config.yaml")
    orphan = "import os, time\nif os.fork() == 0:\n time.sleep(1)\n os._exit(0)\nos._exit(0)"
    program = (
        "import ctypes, os, subprocess, sys\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"  # PR_SET_CHILD_SUBREAPER
        f"subprocess.run([sys.executable, '-c', {orphan!r}])\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'gateway', 'run', '-c', {str(file)!r}])"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
        eventually(lambda: not refuses(relay.port))
        time.sleep(1)
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert all(alive(int(pid)) for pid in listed)
        process.terminate()
        assert process.wait(HANG) == 0


def test_a_stop_behind_a_load_balancer(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """nginx sends no request into a gateway that ends: none of many POSTs fails."""
    port = free_port()
    with (
        gateway(tmp_path / "a", redis.url, **sections(shop)) as first,
        gateway(tmp_path / "b", redis.url, **sections(shop)) as second,
    ):
        shop.clear(answer)
        command = proxies.nginx(
            tmp_path,
            "upstream gateways {"
            f"server 127.0.0.1:{first.port}; server 127.0.0.1:{second.port}; keepalive 8; }}"
            f"server {{ listen 127.0.0.1:{port}; location / {{"
            "proxy_http_version 1.1; proxy_set_header Connection '';"
            "proxy_pass http://gateways; } }",
        )
        with processes.running(command, log=tmp_path / "nginx.log", port=port):
            statuses = posts_during(port, lambda: os.kill(first.pid, signal.SIGTERM))
    assert set(statuses) == {200}


def posts_during(port: int, act: Callable[[], None]) -> list[int]:
    """The statuses of POSTs that are sent before, during and after something."""
    post = b"POST /public/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    statuses: list[int] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            statuses.append(status(ask(port, post)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    act()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join(HANG)
    return statuses
