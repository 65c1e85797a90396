"""wire-rules.md#D17: a worker that has too much to do refuses a part of the new requests early."""

import json
import threading
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import HANG, eventually
from tests.support.raw import OK, Client, Upstream, Visit, ask, request, status

# Each connection of the flood sends so many requests at once, which the gateway answers itself.
PIPELINED = 128
CONNECTIONS = 32
FLOOD = b"GET /api/ HTTP/1.1\r\nHost: a.example\r\n\r\n" * PIPELINED


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream) -> Gateway:
    """A gateway that sheds load at a delay which a flood of any speed causes."""
    return start(
        upstreams={"shop": upstream.url},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/*", "upstream": "shop", "auth": "public"},
        ],
        limits={"shed": "10ms", "per_address": "100%"},
        access_log="off",
    )


class Flood:
    """Clients that send as fast as answers come, from threads of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CONNECTIONS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with suppress(OSError), Client(self._port, "127.0.0.2") as client:
            while not self._ends.is_set():
                client.send(FLOOD)
                until = time.monotonic() + HANG
                got = 0
                while got < PIPELINED and time.monotonic() < until:
                    got += client.sock.recv(262144).count(b"HTTP/1.1 ")


def streaming(visit: Visit) -> None:
    """Events for as long as the client listens; other requests are answered at once."""
    for asked in visit.requests():
        if b"GET /stream" not in asked:
            visit.send(OK)
            continue
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        with suppress(OSError):
            while True:
                visit.send(b"data: x\n\n")
                time.sleep(0.05)


def get(gate: Gateway) -> dict[str, Any]:
    """A small request's status and reason, and how long it took (seconds)."""
    began = time.monotonic()
    answer = ask(gate.port, request("GET /"))
    took = time.monotonic() - began
    head, _, body = answer.partition(b"\r\n\r\n")
    reason = json.loads(body)["reason"] if status(answer) == 503 else ""
    return {"status": status(answer), "reason": reason, "took": took, "head": head}


def test_a_flood_is_shed_and_others_are_served(gate: Gateway, shop: Upstream) -> None:
    """Some requests get 503 at once, some pass, none waits for long. A stream that has begun goes
    on, and the admin listener answers. After the flood, all requests pass.
    """
    shop.clear(streaming)
    with ExitStack() as stack:
        stream = stack.enter_context(Client(gate.port))
        stream.send(b"GET /stream HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert status(stream.head()) == 200
        seen: Counter[int] = Counter()
        with Flood(gate.port):
            until = time.monotonic() + HANG
            while not (seen[503] and seen[200]) and time.monotonic() < until:
                one = get(gate)
                seen[one["status"]] += 1
                assert one["took"] < HANG / 4
                if one["status"] == 503:
                    assert one["reason"] == "overloaded"
                    assert b"\r\nRetry-After: 1\r\n" in one["head"]
            assert {200, 503} <= seen.keys()
            for _ in range(3):
                stream.until(b"data: x\n\n")
            url = f"http://127.0.0.1:{gate.admin_port}/healthz"
            with urllib.request.urlopen(url, timeout=HANG) as answer:
                assert answer.status == 200
        eventually(lambda: all(get(gate)["status"] == 200 for _ in range(20)))
        stream.until(b"data: x\n\n")
