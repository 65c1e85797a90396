"""Hundreds of reloads under load: nothing is lost, and nothing is left behind."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.processes.control import Result, request_reload
from tests.process.test_reload import KEPT, echoes, running, tunnel
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Client, Upstream
from tests.support.redis_server import RedisServer

_RELOADS = 200
_WARM_RELOADS = 10  # until a gateway holds what it will
_PACE_SECONDS = 0.02
_MAX_GROWTH_KIB = 4096


@dataclass(frozen=True)
class Holdings:
    """What a gateway holds: numbers of things, and its memory."""

    children: int
    descriptors: tuple[int, ...]  # of the supervisor, and of the worker that serves
    listening: int
    files: int
    memory: tuple[int, ...]  # KiB, of the same processes


def holdings(relay: Gateway, folder: Path) -> Holdings:
    processes = (relay.pid, max(relay.workers()))
    return Holdings(
        children=len(relay.children()),
        descriptors=tuple(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes),
        listening=_listening(relay.port) + _listening(relay.admin_port),
        files=sum(file.is_file() for file in folder.rglob("*")),
        memory=tuple(_memory(pid) for pid in processes),
    )


def _listening(port: int) -> int:
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in sockets)


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class Load:
    """Clients that ask at a pace, over kept connections and over new ones."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.lost: list[object] = []
        self._port = port
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(requests,)) for requests in (1, 10)
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, requests: int) -> None:
        """Ask so many requests over each connection, or until an answer is its last."""
        while not self._ends.is_set():
            try:
                with Client(self._port) as client:
                    for _ in range(requests):
                        client.send(KEPT)
                        code, head, _ = client.answer()
                        self.answered += 1
                        if code != 200:
                            self.lost.append(code)
                        time.sleep(_PACE_SECONDS)
                        if b"\r\nConnection: close\r\n" in head:
                            break
            except (OSError, AssertionError) as error:
                self.lost.append(error)


def reload_times(relay: Gateway, count: int) -> None:
    for _ in range(count):
        outcome = request_reload(str(relay.log.with_name("config.yaml")))
        assert outcome.result == Result.RELOADED, outcome.text
        # Of more than three old generations the oldest ends, and it is the tunnel's.
        eventually(lambda: len(relay.children()) <= 4)
    # The tunnel's generation, and the present one: others have drained.
    eventually(lambda: len(relay.children()) == 2)


@pytest.mark.busy
def test_hundreds_of_reloads(
    tmp_path: Path, redis: RedisServer, shop: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is answered, a tunnel stays, and processes, descriptors, listening sockets,
    temporary files and memory are the same after 10 reloads and after 200.

    They follow each other at once: the reading of the next one begins while old workers drain.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running(tmp_path / "gateway", redis, shop) as relay, tunnel(relay) as kept:
        load = Load(relay.port)
        with load.running():
            reload_times(relay, _WARM_RELOADS)
            early = holdings(relay, temporary)
            reload_times(relay, _RELOADS - _WARM_RELOADS)
        late = holdings(relay, temporary)
        assert echoes(kept)
        assert load.lost == []
        assert load.answered > _RELOADS
        assert relay.metrics()['latchkey_config_reloads_total{result="ok"}'] == _RELOADS
        assert late.children == early.children
        assert late.listening == early.listening
        assert late.files == early.files
        for before, after in zip(early.descriptors, late.descriptors, strict=True):
            assert after <= before + 4  # the connections of the load
        for before, after in zip(early.memory, late.memory, strict=True):
            assert after <= before + _MAX_GROWTH_KIB
