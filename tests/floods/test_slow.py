"""wire-rules.md#D11: who is slow holds nothing that others need: no place at an upstream before a
body begins, nor for a body that comes, or is taken, at less than the least rate.
"""

import socket
import threading
import time

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Client, Upstream, Visit, status

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n"

# Bytes per second, and the seconds by which a client may fall behind.
RATE = 20_000
BEHIND = 1.0


@pytest.fixture(scope="module")
def strict(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with a high least rate, and one place at the upstream."""
    return start(
        upstreams={"shop": {"servers": [upstream.url], "max_connections": 1}},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        limits={"min_rate": RATE},
        timeouts={"body_idle": BEHIND, "write": BEHIND, "connect": HANG, "continue": 0.2},
    )


def send_for(client: Client, seconds: float, rate: int) -> None:
    """Sends at a rate in bytes per second; nothing more once the gateway has closed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.send(b"x" * (rate // 20))
        time.sleep(0.05)


def test_a_head_alone_takes_no_place(strict: Gateway, shop: Upstream) -> None:
    """An upstream hears of a request when its body begins; until then others use the place."""
    with Client(strict.port) as slow, Client(strict.port) as quick:
        slow.send(POST % 5)
        quick.send(GET)
        assert quick.answer()[0] == 200
        slow.send(b"hello")
        assert slow.answer()[0] == 200
    assert [visit.got.count(b" HTTP/1.1\r\n") for visit in shop.visits] == [2]


def test_a_body_that_never_begins(strict: Gateway, shop: Upstream) -> None:
    """It is 408 after the body's idle timeout, and no upstream has heard of it."""
    with Client(strict.port) as client:
        client.send(POST % 5)
        assert client.answer()[0] == 408
    assert shop.got == b""


def test_an_expectation_is_the_upstreams_to_meet(strict: Gateway, shop: Upstream) -> None:
    """The head goes ahead of a body that waits for leave to begin (wire-rules.md#B5)."""
    with Client(strict.port) as client:
        client.send((POST % 5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert status(client.head()) == 100
        assert b"POST /public/" in shop.got
        client.send(b"hello")
        assert client.answer()[0] == 200


def test_a_body_below_the_least_rate(strict: Gateway, shop: Upstream) -> None:
    """Bytes that keep coming are not enough: it is 408, and the upstream's place is free."""
    with Client(strict.port) as client:
        client.send(POST % 10**6)
        until = time.monotonic() + HANG
        while not (shop.visits and shop.visits[0].ended) and time.monotonic() < until:
            send_for(client, 0.1, RATE // 20)
        assert client.answer()[0] == 408
        assert shop.visits[0].ended


def test_a_body_above_the_least_rate(strict: Gateway, shop: Upstream) -> None:
    """It may take as long as it takes."""
    with Client(strict.port) as client:
        client.send(POST % 10**6)
        send_for(client, 2 * BEHIND, 3 * RATE)
        client.send(bytes(10**6))
        assert status(client.head()) == 200


class Endless:
    """An upstream whose answer has no end."""

    def __init__(self) -> None:
        self.cut = threading.Event()

    def __call__(self, visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**12)
        try:
            while True:
                visit.send(bytes(65536))
        finally:
            self.cut.set()


def reader(port: int) -> Client:
    """A client for which the kernels hold little, so that the gateway knows how fast it reads."""
    client = Client(port)
    client.sock.close()
    client.sock = socket.socket()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sock.settimeout(HANG)
    client.sock.connect(("127.0.0.1", port))
    return client


def read_until(client: Client, cut: threading.Event, seconds: float, rate: int) -> None:
    """Reads at a rate in bytes per second, until the answer is cut."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not cut.is_set():
        client.sock.recv(rate // 20)
        time.sleep(0.05)


def test_a_reader_below_the_least_rate(strict: Gateway, shop: Upstream) -> None:
    """Bytes that are taken now and then are not enough: the answer and its upstream are cut."""
    endless = Endless()
    shop.clear(endless)
    with reader(strict.port) as client:
        client.send(GET)
        read_until(client, endless.cut, HANG, RATE // 20)
        assert endless.cut.is_set()
    assert strict.records(reason="client_too_slow")[0]["status"] == 200
    assert strict.metrics()['latchkey_refusals_total{reason="client_too_slow"}'] == 1


def test_a_reader_above_the_least_rate(strict: Gateway, shop: Upstream) -> None:
    """It may take as long as it takes."""
    endless = Endless()
    shop.clear(endless)
    with reader(strict.port) as client:
        client.send(GET)
        read_until(client, endless.cut, 3 * BEHIND, 20 * RATE)
        assert not endless.cut.is_set()


def test_a_silent_upstream_is_not_its_readers_fault(strict: Gateway, shop: Upstream) -> None:
    """An event stream sends what there is: its reader takes all, and has no least rate."""

    def events(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(20):
            visit.send(b"data: x\n\n")
            time.sleep(0.1)
        visit.finish()

    shop.clear(events)
    with Client(strict.port) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.rest().endswith(b"\r\n0\r\n\r\n")
    shop.clear(lambda visit: visit.send(OK))
