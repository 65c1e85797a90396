"""Reloads: new workers take over when they serve; whatever happens before changes nothing."""

import os
import re
import resource
import signal
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.http.addresses import MAX_UNIX_PATH_BYTES
from tests.process.conftest import GET, sections
from tests.support.gateway import Gateway, gateway, reload, reloaded
from tests.support.processes import HANG, alive, eventually
from tests.support.raw import OK, Client, Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer

KEPT = GET.replace(b"Connection: close\r\n", b"")
UPGRADE = (
    b"GET /ws/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def answer(visit: Visit) -> None:
    """A plain answer, or a tunnel that repeats each byte as a frame of its own."""
    seen = 0
    while True:
        head = visit.head(seen)
        seen += len(head)
        if b"pgrade: websocket" not in head:
            visit.send(OK)
            continue
        visit.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while data := visit.read():
            for byte in data:
                visit.send(bytes([0x82, 1, byte]))
        return


@pytest.fixture
def relay(tmp_path: Path, redis: RedisServer, shop: Upstream) -> Iterator[Gateway]:
    with running(tmp_path, redis, shop) as started:
        yield started


@contextmanager
def running(folder: Path, redis: RedisServer, shop: Upstream, **more: Any) -> Iterator[Gateway]:
    shop.clear(answer)
    routes = [
        {"path": "/public/*", "upstream": "shop", "auth": "public"},
        {"path": "/ws/*", "upstream": "shop", "auth": "public", "websocket": True},
    ]
    timeouts = {"drain": 1, "idle": 30}
    changes = {**sections(shop), "routes": routes, "timeouts": timeouts, **more}
    with gateway(folder, redis.url, **changes) as started:
        eventually(lambda: "listening on" in started.log.read_text())
        yield started


def change(relay: Gateway, **changes: Any) -> None:
    relay.config.update(changes)
    relay.log.with_name("config.yaml").write_text(yaml.safe_dump(relay.config))


def stays(relay: Gateway) -> str:
    """Waits until a reload has failed; says what the log says of it."""
    eventually(lambda: "the old configuration stays: " in relay.log.read_text())
    [line] = re.findall("the old configuration stays: (.*)", relay.log.read_text())
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 0
    assert relay.metrics()['latchkey_config_reloads_total{result="failed"}'] == 1
    assert status(ask(relay.port, GET)) == 200
    return str(line)


def begin_reload(relay: Gateway) -> int:
    """Reloads; the process that reads the file."""
    before = relay.children()
    reload(relay)
    return new_child(relay, before)


def new_child(relay: Gateway, before: list[int]) -> int:
    """Waits for the next process that the gateway starts."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        if new := set(relay.children()) - set(before):
            return min(new)
    raise AssertionError("there is no new process")


def tunnel(relay: Gateway) -> Client:
    client = Client(relay.port)
    client.send(UPGRADE)
    assert b" 101 " in client.head()
    assert echoes(client)
    return client


def accepting(relay: Gateway) -> list[int]:
    """The workers that listen on the gateway's port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {
        f"socket:[{line[9]}]"
        for line in lines
        if line[1].endswith(f":{relay.port:04X}") and line[3] == "0A"  # TCP_LISTEN
    }
    return [pid for pid in relay.workers() if listening & open_files(pid)]


def open_files(pid: int) -> set[str]:
    """What the descriptors of a process stand for."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    return set()


def echoes(client: Client) -> bool:
    client.send(b"x")
    return client.exactly(3) == b"\x82\x01x"


def close_code(client: Client) -> int:
    """The status of the close frame with which a tunnel ends."""
    data = client.rest()
    assert data[:1] == b"\x88"
    return int(struct.unpack(">H", data[2:4])[0])


def test_a_reload_is_counted(relay: Gateway) -> None:
    before = relay.workers()
    reloaded(relay)
    eventually(lambda: not set(before) & set(relay.workers()))
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 1
    assert relay.metrics()['latchkey_config_reloads_total{result="ok"}'] == 1


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, r"worker \d has ended \(killed by SIGKILL\)"),
        (signal.SIGSTOP, r"the workers did not serve within 2 s"),
    ],
)
def test_a_new_worker_that_does_not_serve(
    relay: Gateway, number: signal.Signals, reason: str
) -> None:
    """It dies, or never says that it can serve: the old ones have never stopped to."""
    before = relay.workers()
    change(relay, workers=4, timeouts={**relay.config["timeouts"], "start": 2})
    reader = begin_reload(relay)
    worker = new_child(relay, [*relay.children(), reader])
    os.kill(worker, number)
    assert re.fullmatch(reason, stays(relay))
    assert set(before) < set(relay.workers())
    eventually(lambda: relay.workers() == before)
    reloaded(relay)
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 1


def test_a_replacement_that_hangs(relay: Gateway) -> None:
    """A worker that takes the place of another has as long as others, and is killed then."""
    change(relay, timeouts={**relay.config["timeouts"], "start": 2})
    reloaded(relay)
    eventually(lambda: len(relay.workers()) == 1)
    assert any(is_killed(hung_replacement(relay)) for _ in range(5))
    eventually(lambda: len(relay.workers()) == 1)
    assert status(ask(relay.port, GET)) == 200


def hung_replacement(relay: Gateway) -> int:
    """Kills the worker, and stops the next one: as a rule before that one can serve."""
    before = relay.children()
    os.kill(relay.workers()[0], signal.SIGKILL)  # the children may hold one that has ended
    worker = new_child(relay, before)
    os.kill(worker, signal.SIGSTOP)
    return worker


def is_killed(worker: int) -> bool:
    """Whether the gateway ends a worker within some seconds."""
    end = time.monotonic() + 4
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(worker)


def test_a_new_worker_that_cannot_serve(relay: Gateway) -> None:
    """One line says why."""
    folder = relay.log.parent / "logs"
    folder.mkdir()
    change(relay, access_log=str(folder / "access.log"), workers=2)
    before = relay.workers()
    # The configuration is read, and then its folder goes away.
    reload(relay)
    eventually(lambda: len(relay.workers()) > 1)
    (folder / "access.log").unlink(missing_ok=True)
    folder.rmdir()
    assert f"{folder}/access.log: No such file or directory" in stays(relay)
    eventually(lambda: relay.workers() == before)


def endless(relay: Gateway) -> None:
    """Puts a pipe that nothing is written to in the place of config.yaml."""
    file = relay.log.with_name("config.yaml")
    file.unlink()
    os.mkfifo(file)


def test_a_reader_that_is_killed(relay: Gateway) -> None:
    """It holds no socket and no lock, and goes on when a terminal tells the whole group."""
    endless(relay)
    reader = begin_reload(relay)
    eventually(lambda: len(os.listdir(f"/proc/{reader}/fd")) <= 4)  # standard streams, and its pipe
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGKILL):
        os.kill(reader, number)
        time.sleep(0.1)
    assert "the process that reads it was killed by signal 9" in stays(relay)


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP])
def test_a_file_that_never_ends(relay: Gateway, number: signal.Signals) -> None:
    """It has `timeouts.start` to be read, also where the reader hangs."""
    change(relay, timeouts={**relay.config["timeouts"], "start": 1})
    reloaded(relay)
    eventually(lambda: len(relay.children()) == 1)
    endless(relay)
    reader = begin_reload(relay)
    os.kill(reader, number)
    assert "config.yaml:1:1: cannot be read: not within 1 s" in stays(relay)
    eventually(lambda: not alive(reader))


def test_while_a_file_is_read(relay: Gateway) -> None:
    """A worker that dies is replaced, a second SIGHUP waits its turn, and SIGTERM is obeyed."""
    good = relay.log.with_name("config.yaml").read_text()
    endless(relay)
    begin_reload(relay)
    reload(relay)
    [worker] = relay.workers()[:1]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: status_or_none(relay) == 200)
    with relay.log.with_name("config.yaml").open("w") as pipe:
        pipe.write(good)
    eventually(lambda: "gateway: reloaded" in relay.log.read_text())
    eventually(lambda: len(relay.children()) == 2)  # the second one is being read
    os.kill(relay.pid, signal.SIGTERM)
    eventually(lambda: not alive(relay.pid))


def status_or_none(relay: Gateway) -> int | None:
    with suppress(OSError):
        return status(ask(relay.port, GET))
    return None


def test_no_descriptors_left(relay: Gateway) -> None:
    """A supervisor that can open nothing keeps what it has."""
    before = relay.workers()
    resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (0, 4096))
    reload(relay)
    assert "Too many open files" in stays(relay)
    assert relay.workers() == before
    resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    reloaded(relay)


def test_metrics_that_are_cleaned_away(relay: Gateway) -> None:
    """The worker that is asked counts for itself, until a reload makes the folder anew."""
    environment = Path(f"/proc/{relay.workers()[0]}/maps").read_text()
    [folder] = set(re.findall(r"(/\S*latchkey-metrics-[^/\s]+)/", environment))
    for file in Path(folder).iterdir():
        file.unlink()
    Path(folder).rmdir()
    assert relay.metrics()["latchkey_store_up"] == 1
    Path(f"{folder}-reloads").unlink()
    reloaded(relay)
    assert relay.metrics()["latchkey_config_last_reload_successful"] == 1


def asking(relay: Gateway, stop: threading.Event, keep: bool) -> Callable[[], list[float]]:
    """Asks again and again from a thread; gives the seconds that each request took."""
    took: list[float] = []
    failed: list[object] = []

    def work() -> None:
        client: Client | None = None
        while not stop.is_set():
            began = time.monotonic()
            try:
                if client is None:
                    client = Client(relay.port)
                client.send(KEPT if keep else GET)
                code, head, _ = client.answer()
                assert code == 200
            except (OSError, AssertionError) as error:
                failed.append(error)
                break
            took.append(time.monotonic() - began)
            if b"\r\nConnection: close\r\n" in head:
                client.sock.close()
                client = None
        if client is not None:
            client.sock.close()

    thread = threading.Thread(target=work)
    thread.start()

    def ended() -> list[float]:
        stop.set()
        thread.join(HANG)
        assert failed == []
        return took

    return ended


@pytest.mark.parametrize("workers", [(1, 1), (3, 1), (1, 3)])
def test_no_request_is_lost(
    tmp_path: Path, redis: RedisServer, shop: Upstream, workers: tuple[int, int]
) -> None:
    """Whether connections are kept or new, and also when there are fewer workers than before."""
    with running(tmp_path, redis, shop, workers=workers[0]) as relay:
        stop = threading.Event()
        users = [asking(relay, stop, keep) for keep in (True, False, False)]
        change(relay, workers=workers[1])
        for _ in range(2):
            reloaded(relay)
        time.sleep(0.5)
        slowest = max(max(user()) for user in users)
        eventually(lambda: len(relay.workers()) == workers[1])
    assert slowest < HANG / 4


def test_a_request_at_the_moment_of_the_change(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """A worker that has nothing to do ends at once, but not before what it has accepted."""
    with running(tmp_path, redis, shop, workers=2) as relay:
        for _ in range(4):
            reloaded(relay)
            for _ in range(3):
                assert status(ask(relay.port, GET)) == 200


def test_connections_that_wait_to_be_accepted(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """Those in the queues of workers that there are no more are taken by those that there are."""
    with running(tmp_path, redis, shop, workers=3) as relay:
        old = relay.workers()
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        change(relay, workers=1)
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(relay.port)) for _ in range(30)]
            for client in clients:
                client.send(GET)
            reloaded(relay)
            for client in clients:
                assert client.answer()[0] == 200
        for pid in old:
            os.kill(pid, signal.SIGCONT)


def test_tunnels_outlive_a_reload(relay: Gateway) -> None:
    """Also `timeouts.drain`, which is for a stop."""
    with tunnel(relay) as client:
        reloaded(relay)
        time.sleep(1.5)
        assert echoes(client)
    eventually(lambda: len(relay.workers()) == 1)


@pytest.mark.parametrize(
    "changed",
    [
        [],
        [{"path": "/ws/x/*", "upstream": "shop", "auth": "public", "websocket": True}],
        [{"path": "/ws/*", "upstream": "other", "auth": "public", "websocket": True}],
        [{"path": "/ws/*", "upstream": "shop", "auth": "required", "websocket": True}],
        [{"path": "/ws/*", "upstream": "shop", "claims": {"role": "admin"}, "websocket": True}],
    ],
    ids=["no route", "another path", "another upstream", "a key is needed", "a claim is needed"],
)
def test_tunnels_end_with_their_route(
    relay: Gateway, shop: Upstream, changed: list[dict[str, Any]]
) -> None:
    """Going away (1001). An ordinary request in flight is answered."""
    release = threading.Event()

    def serve(visit: Visit) -> None:
        answer(visit) if b"pgrade: websocket" in visit.head() else wait_for(release, visit)

    shop.clear(serve)
    with tunnel(relay) as client, Client(relay.port) as waiting:
        waiting.send(GET)
        shop.wait(lambda: b"GET /public/" in shop.got)
        change(relay, routes=changed, upstreams={**relay.config["upstreams"], "other": shop.url})
        reloaded(relay)
        assert close_code(client) == 1001
        release.set()
        assert status(waiting.rest()) == 200


def test_event_streams_end_with_their_route(relay: Gateway, shop: Upstream) -> None:
    """And those of the other routes do not."""

    def events(visit: Visit) -> None:
        visit.head()
        visit.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"
        )
        again.wait(HANG)
        visit.send(b"9\r\ndata: b\n\n\r\n")
        visit.read()

    again = threading.Event()
    shop.clear(events)
    public, _ = relay.config["routes"]
    with Client(relay.port) as gone, Client(relay.port) as kept:
        for client, path in ((gone, b"/ws/x"), (kept, b"/public/x")):
            client.send(KEPT.replace(b"/public/", path))
            client.until(b"data: a")
        change(relay, routes=[{**public, "response_timeout": 7}])
        reloaded(relay)
        with pytest.raises(ConnectionError):
            gone.until(b"never")
        again.set()
        kept.until(b"data: b")


def test_many_reloads_with_tunnels(relay: Gateway) -> None:
    """Of the generations that still hold one, the oldest ends first: service restart (1012)."""
    with ExitStack() as stack:
        tunnels = []
        for _ in range(6):
            tunnels.append(stack.enter_context(tunnel(relay)))
            reloaded(relay)
            # Until it has heard so, the worker of the old generation accepts the next tunnel.
            eventually(lambda: len(accepting(relay)) == 1)
        assert [close_code(client) for client in tunnels[:3]] == [1012, 1012, 1012]
        assert all(echoes(client) for client in tunnels[3:])
        eventually(lambda: len(relay.workers()) == 4)
        os.kill(relay.pid, signal.SIGTERM)
        assert [close_code(client) for client in tunnels[3:]] == [1001, 1001, 1001]


def test_many_reloads_with_requests(tmp_path: Path, redis: RedisServer, shop: Upstream) -> None:
    """However many generations have one in flight, each is answered, as its connection's last."""
    with (
        running(tmp_path, redis, shop, timeouts={"drain": HANG}) as relay,
        ExitStack() as stack,
    ):
        release = threading.Event()
        shop.clear(partial(wait_for, release))
        clients = []
        for number in range(5):
            clients.append(stack.enter_context(Client(relay.port)))
            clients[-1].send(KEPT)
            eventually(lambda: len(shop.visits) > number)  # noqa: B023 (called at once)
            reloaded(relay)
        release.set()
        for client in clients:
            code, head, _ = client.answer()
            assert code == 200
            assert b"\r\nConnection: close\r\n" in head
        eventually(lambda: len(relay.workers()) == 1)


def wait_for(release: threading.Event, visit: Visit) -> None:
    visit.request()
    release.wait(HANG)
    visit.send(OK)


def test_a_kept_connection_whose_answer_takes_long(relay: Gateway, shop: Upstream) -> None:
    """It began before the reload and promised one more request: there is time to send that."""
    release = threading.Event()

    def download(visit: Visit) -> None:
        for _ in visit.requests():
            visit.send(OK[:-1])
            release.wait(HANG)
            visit.send(OK[-1:])

    shop.clear(download)
    with Client(relay.port) as client:
        client.send(KEPT)
        assert b"Connection: close" not in client.head()
        assert client.exactly(1) == b"o"
        reloaded(relay)
        time.sleep(1.5)
        release.set()
        assert client.exactly(1) == b"k"
        time.sleep(0.3)
        client.send(KEPT)
        code, head, _ = client.answer()
        assert code == 200
        assert b"\r\nConnection: close\r\n" in head
        assert client.rest() == b""


def test_reloads_that_come_faster_than_they_are_done(relay: Gateway) -> None:
    """They are done one after another, and the last one is not forgotten."""
    for number in range(6):
        change(relay, routes=[{"path": f"/{number}/*", "upstream": "shop", "auth": "public"}])
        reload(relay)
        time.sleep(0.1)
    last = GET.replace(b"/public/", b"/5/")
    eventually(lambda: status(ask(relay.port, last)) == 200)
    eventually(lambda: len(relay.workers()) == 1)


def test_a_unix_socket_that_was_removed(relay: Gateway) -> None:
    """A reload listens there again."""
    path = relay.log.with_name("a.sock")
    change(relay, listen=[relay.config["listen"], f"unix:{path}"])
    reloaded(relay)
    path.unlink()
    reloaded(relay)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        client.connect(str(path))
        client.sendall(GET)
        assert status(client.recv(65536)) == 200


def test_who_may_connect_changes_with_a_reload(relay: Gateway, shop: Upstream) -> None:
    """And not with one that fails; what waits at the old socket is answered.

    The path is as long as it may be.
    """
    folder = relay.log.parent
    path = folder / "s".ljust(MAX_UNIX_PATH_BYTES - len(str(folder)) - 1, "s")

    def listen(mode: str, *more: str) -> None:
        unix = {"address": f"unix:{path}", "mode": mode}
        change(relay, listen=[relay.config["listen"][0], unix, *more])

    def mode() -> int:
        return stat.S_IMODE(path.stat().st_mode)

    change(relay, listen=[relay.config["listen"]])
    listen("0600")
    reloaded(relay)
    listen("0666", shop.url[7:])
    reload(relay)
    assert "cannot listen" in stays(relay)
    assert mode() == 0o600
    listen("0660")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        for pid in relay.workers():
            os.kill(pid, signal.SIGSTOP)
        client.connect(str(path))
        client.sendall(GET)
        before = relay.workers()
        reload(relay)
        eventually(lambda: mode() == 0o660)
        for pid in before:
            os.kill(pid, signal.SIGCONT)
        assert status(client.recv(65536)) == 200
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        client.connect(str(path))
        client.sendall(GET)
        assert status(client.recv(65536)) == 200
    assert [file for file in folder.iterdir() if file.is_socket()] == [path]


def test_an_address_becomes_wider_and_narrower(relay: Gateway) -> None:
    """On the port that it has; a port that another process has stays refused."""
    for host in ("0.0.0.0", "127.0.0.1", "[::]", "127.0.0.1"):
        change(relay, listen=f"{host}:{relay.port}")
        reloaded(relay)
        assert status(ask(relay.port, GET)) == 200
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        change(relay, listen=f"0.0.0.0:{other.getsockname()[1]}")
        reload(relay)
        assert "Address already in use" in stays(relay)


def test_an_address_that_goes(relay: Gateway) -> None:
    """A unix socket that is no longer listened on leaves no file."""
    path = relay.log.with_name("a.sock")
    change(relay, listen=[relay.config["listen"], f"unix:{path}"])
    reloaded(relay)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    change(relay, listen=relay.config["listen"][0])
    reloaded(relay)
    assert not path.exists()
