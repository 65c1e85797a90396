"""Section D of the wire rules: slow, large and many. Times are bounded only against hanging."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status
from tests.support.redis_server import RedisServer

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\n%b\r\n"
MIB = 2**20

# What a gigabyte-sized transfer may add to a worker: both directions' bounds, with room for the
# allocator. Without backpressure it would be a thousand times as much.
MOST_GROWTH = 24 * MIB


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_d1_a_slow_head(relay: Gateway, shop: Upstream) -> None:
    """D1: byte after byte gets 408 when the head's time is over; others are served meanwhile."""
    with Client(relay.port) as slow, Client(relay.port) as quick:
        answer = b""
        slow.sock.settimeout(0.2)
        for byte in GET * 4:
            try:
                slow.send(bytes((byte,)))
                answer += slow.sock.recv(65536)
            except TimeoutError:
                pass
            except OSError:
                break
            if answer:
                break
            quick.send(GET)
            assert quick.answer()[0] == 200
    assert status(answer) == 408


def test_d1_a_slow_body(relay: Gateway, shop: Upstream) -> None:
    """D1: a body that stops coming is cut after the body's idle timeout."""
    with Client(relay.port) as client:
        client.send(POST % b"Content-Length: 100\r\n" + b"hello")
        assert status(client.rest()) == 408
    shop.wait(lambda: shop.visits[0].ended)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 40000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_d2_heads_over_the_limit(
    relay: Gateway, shop: Upstream, request_: bytes, expected: int
) -> None:
    """D2: 414 for the target, 431 for the fields."""
    assert status(ask(relay.port, request_)) == expected
    assert shop.got == b""


def test_d2_bodies_over_the_limit(relay: Gateway, shop: Upstream) -> None:
    """D2: 413, declared before anything is read, chunked as soon as it is passed."""
    small = POST.replace(b"/public/", b"/small/")
    assert status(ask(relay.port, small % b"Content-Length: 1001\r\n")) == 413
    assert shop.got == b""
    chunked = small % b"Transfer-Encoding: chunked\r\n"
    assert (
        status(
            ask(relay.port, chunked + b"200\r\n" + b"x" * 512 + b"\r\n" + b"200\r\n" + b"x" * 512)
        )
        == 413
    )
    shop.wait(lambda: all(visit.ended for visit in shop.visits))
    assert b"\r\n0\r\n" not in shop.got
    shop.clear()
    assert (
        status(
            ask(relay.port, small % b"Content-Length: 1000\r\nConnection: close\r\n" + b"x" * 1000)
        )
        == 200
    )


def flood(size: int) -> "Visitor":
    """An upstream that sends `size` bytes as fast as they are taken."""
    return Visitor(size)


class Visitor:
    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = 0

    def __call__(self, visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
        piece = bytes(MIB)
        while self.sent < self.size:
            visit.send(piece)
            self.sent += MIB


def test_d3_a_download_to_a_slow_reader(relay: Gateway, shop: Upstream) -> None:
    """D3: 2 GiB through a reader that first stops: the upstream is paused, memory stays flat."""
    producer = flood(2048 * MIB)
    shop.clear(producer)
    [worker] = relay.workers()
    before = memory(worker)
    with Client(relay.port) as client:
        client.send(GET)
        client.head()
        time.sleep(1.5)
        held = producer.sent
        assert held < 64 * MIB  # what the kernel's buffers take, and not more
        assert memory(worker) - before < MOST_GROWTH
        view, left = bytearray(4 * MIB), 2048 * MIB - len(client.held)
        while left:
            got = client.sock.recv_into(view)
            assert got
            left -= got
        assert memory(worker) - before < MOST_GROWTH


def test_d3_an_upload_to_a_slow_upstream(relay: Gateway, shop: Upstream) -> None:
    """D3: 2 GiB to an upstream that first stops: the client is paused, memory stays flat."""
    total = 2048 * MIB

    def slow(visit: Visit) -> None:
        head = visit.head()
        left = total - (len(visit.got) - len(head))
        visit.got = head
        time.sleep(1.5)
        view = bytearray(4 * MIB)
        while left:
            left -= visit.sock.recv_into(view)
        visit.send(OK)

    shop.clear(slow)
    [worker] = relay.workers()
    before = memory(worker)
    sent = 0
    with Client(relay.port) as client:
        client.send(POST % (b"Content-Length: %d\r\n" % total))
        piece = bytes(MIB)
        started = time.monotonic()
        while sent < total:
            client.send(piece)
            sent += MIB
            if time.monotonic() - started < 1.4:
                assert sent < 64 * MIB
        assert client.answer()[::2] == (200, b"ok")
    assert memory(worker) - before < MOST_GROWTH


def test_d3_a_reader_that_never_reads(relay: Gateway, shop: Upstream) -> None:
    """D3: cut after the write timeout, and so is its upstream."""
    shop.clear(flood(512 * MIB))
    with Client(relay.port) as client:
        client.send(GET.replace(b"/public/", b"/public/stalled"))
        shop.wait(lambda: bool(shop.visits) and shop.visits[0].ended)


@pytest.fixture(scope="module")
def narrow(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, upstream: Upstream
) -> Iterator[Gateway]:
    """A gateway with few places."""
    with gateway(
        tmp_path_factory.mktemp("narrow"),
        redis.url,
        upstreams={"shop": {"servers": [upstream.url], "max_connections": 2}},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        limits={"connections": 10, "requests": 4},
        timeouts={"connect": 1, "idle": 2},
    ) as running:
        yield running


def test_d4_more_connections_than_the_limit(narrow: Gateway, shop: Upstream) -> None:
    """D4: the newest is refused with 503; those inside are unharmed; it recovers."""
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(narrow.port)) for _ in range(10)]
        for client in inside:
            client.send(GET)
            assert client.answer()[0] == 200
        answer = ask(narrow.port, b"")
        assert status(answer) == 503
        assert b"\r\nRetry-After: 1\r\n" in answer
        for client in inside:
            client.send(GET)
            assert client.answer()[0] == 200
    until = time.monotonic() + 10
    while (
        status(ask(narrow.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) != 200
    ):
        assert time.monotonic() < until


def test_d4_more_requests_than_the_limits(narrow: Gateway, shop: Upstream) -> None:
    """D4: beyond the upstream's connections they wait a moment, beyond the limit they get 503."""
    release = threading.Event()

    def held(visit: Visit) -> None:
        visit.request()
        release.wait(10)
        visit.send(OK)
        always(OK)(visit)

    shop.clear(held)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(narrow.port)) for _ in range(6)]
        for client in clients[:5]:
            client.send(GET)
        # Two are with the upstream, two wait for a place; the fifth is over the limit of four.
        assert clients[4].answer()[0] == 503
        # The two that wait have no place within the connect timeout.
        assert sorted(client.answer()[0] for client in clients[2:4]) == [503, 503]
        release.set()
        assert [client.answer()[0] for client in clients[:2]] == [200, 200]


def test_d5_the_client_goes_away(relay: Gateway, shop: Upstream) -> None:
    """D5: the upstream request is cancelled at once, in whatever phase."""

    def silent(visit: Visit) -> None:
        visit.head()

    shop.clear(silent)
    with Client(relay.port) as client:
        client.send(GET.replace(b"/public/", b"/public/gone"))
        shop.wait(lambda: bool(shop.got))
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/public/gone", status=499)


def test_d6_a_stale_pooled_connection(relay: Gateway, shop: Upstream) -> None:
    """D6: what can be repeated goes once more on a new connection; a body never goes twice."""

    def closes_on_the_second(visit: Visit) -> None:
        first = visit.request()
        visit.send(OK)
        visit.head(len(first))
        visit.reset()

    for request, expected in (
        (GET, 200),
        (POST % b"Content-Length: 5\r\n" + b"hello", 502),
        (POST % b"Content-Length: 0\r\n", 502),
        (POST.replace(b"POST", b"PUT") % b"Content-Length: 5\r\n" + b"hello", 502),
        (POST.replace(b"POST", b"DELETE") % b"", 200),
    ):
        shop.clear(closes_on_the_second)
        with Client(relay.port) as client:
            client.send(GET)
            assert client.answer()[0] == 200
            shop.answer = always(OK)
            client.send(request)
            assert client.answer()[0] == expected, request
        assert shop.got.count(b"hello") <= 1


def test_d6_a_fresh_connection_that_closes(relay: Gateway, shop: Upstream) -> None:
    """D6: a connection that was never good is no reason to try again."""

    def closes(visit: Visit) -> None:
        visit.head()
        visit.close()

    shop.clear(closes)
    with Client(relay.port) as client:
        client.send(GET)
        assert client.answer()[0] == 502
    assert len(shop.visits) == 1


def test_d7_a_silent_upstream(relay: Gateway, shop: Upstream) -> None:
    """D7: 504 after the response timeout, also when the head comes byte by byte."""

    def silent(visit: Visit) -> None:
        visit.head()

    def trickles(visit: Visit) -> None:
        visit.head()
        for byte in OK:
            visit.send(bytes((byte,)))
            time.sleep(0.25)

    for answer in (silent, trickles):
        shop.clear(answer)
        with Client(relay.port) as client:
            client.send(GET)
            assert client.answer()[0] == 504


def test_nobody_listens(relay: Gateway, shop: Upstream) -> None:
    """An upstream that refuses connections is 502."""
    answer = ask(
        relay.port,
        GET.replace(b"/public/", b"/nowhere/").replace(
            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
        ),
    )
    assert status(answer) == 502
    assert b"upstream_unreachable" in answer


def test_many_idle_connections_are_no_burden(relay: Gateway, shop: Upstream) -> None:
    """D1: a thousand clients that say nothing do not keep one from being served."""
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(socket.create_connection(("127.0.0.1", relay.port)))
        with Client(relay.port) as client:
            client.send(GET)
            assert client.answer()[0] == 200
