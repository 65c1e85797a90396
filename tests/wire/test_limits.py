"""wire-rules.md#D1 to #D3: slow, large, and many of them.

Times are bounded only against hanging.
"""

import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, resident_bytes
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status
from tests.support.redis_server import RedisServer

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\n%b\r\n"
MIB = 2**20

LARGE = 512 * MIB

# What a large transfer may add to a worker: both directions' bounds, with room for the allocator.
# Without backpressure it would be all of it.
MAX_GROWTH_BYTES = 24 * MIB

# What the buffers of two connections in the kernel take.
MAX_BUFFERED_BYTES = 64 * MIB


def serving_worker(relay: Gateway, shop: Upstream) -> int:
    """The process id of the one worker, which has answered: clients are let in while it still begins,
    and what it takes by then is no connection's.
    """
    shop.clear()
    with Client(relay.port) as client:
        client.send(GET)
        assert client.answer()[0] == 200
    [worker] = relay.workers()
    return worker


def test_a_slow_head_is_408(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D1: byte after byte gets 408 when the head's time is over; others are served
    meanwhile.
    """
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


def test_a_body_that_stops_is_cut(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D1: a body that stops coming is cut after the body's idle timeout."""
    with Client(relay.port) as client:
        client.send(POST % b"Content-Length: 100\r\n" + b"hello")
        assert status(client.rest()) == 408
    shop.wait(lambda: shop.visits[0].ended)


def test_a_body_that_keeps_coming_may_take_its_time(
    tmp_path: Path, redis: RedisServer, shop: Upstream
) -> None:
    """wire-rules.md#D1: a body that keeps coming is sent on for as long as it comes, over a
    connection that has waited in the pool as over a new one: how long that may wait counts no more.
    """
    with (
        gateway(
            tmp_path,
            redis.url,
            upstreams={"shop": shop.url},
            routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
            timeouts={"upstream_idle": 1},
        ) as running,
        Client(running.port) as client,
    ):
        client.send(GET)
        assert client.answer()[0] == 200
        client.send(POST % b"Content-Length: 30\r\n")
        for _ in range(30):  # 3 s
            client.send(b"x")
            time.sleep(0.1)
        assert client.answer()[0] == 200
        assert len(shop.visits) == 1


def test_many_slow_clients_keep_no_other_out(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D1: hundreds of unfinished heads and bodies do not keep one client from being
    served.
    """
    with ExitStack() as stack:
        slow = [stack.enter_context(Client(relay.port)) for _ in range(300)]
        for n, client in enumerate(slow):
            client.send(GET[:-2] if n % 2 else POST % b"Content-Length: 9\r\n")
        quick = stack.enter_context(Client(relay.port))
        for _ in range(20):
            quick.send(GET)
            assert quick.answer()[0] == 200
        assert {status(client.rest()) for client in slow} == {408}


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
def test_heads_over_the_limit_are_414_or_431(
    relay: Gateway, shop: Upstream, request_: bytes, expected: int
) -> None:
    """wire-rules.md#D2: 414 for the target, 431 for the fields."""
    assert status(ask(relay.port, request_)) == expected
    assert shop.got == b""


def test_heads_at_the_limit_pass(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D2: what is just under the limits passes: a target of 8 KiB, 100 fields, a head
    of 32 KiB.
    """
    target = b"/public/" + b"a" * 8100
    for request in (
        GET.replace(b"/public/", target),
        GET[:-2] + b"X: a\r\n" * 99 + b"\r\n",
        GET[:-2] + b"X: " + b"a" * 32_000 + b"\r\n\r\n",
    ):
        shop.clear()
        with Client(relay.port) as client:
            client.send(request)
            assert client.answer()[0] == 200
    assert b"a" * 32_000 in shop.got


def test_bodies_over_the_limit_are_413(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D2: 413, declared before anything is read, chunked as soon as it is passed."""
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


class Flood:
    """An upstream that sends `size` bytes as fast as they are taken."""

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


def until_it_rests(producer: Flood) -> None:
    """Waits until a flood has sent nothing for a while."""
    sent = -1
    while producer.sent != sent:
        sent = producer.sent
        time.sleep(0.5)


def test_a_download_to_a_slow_reader_is_paused(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D3: half a GiB through a reader that first stops: the upstream is paused, memory
    stays flat.
    """
    worker = serving_worker(relay, shop)
    producer = Flood(LARGE)
    shop.clear(producer)
    before = resident_bytes(worker)
    with Client(relay.port) as client:
        client.send(GET)
        client.head()
        until_it_rests(producer)
        assert producer.sent < MAX_BUFFERED_BYTES
        assert resident_bytes(worker) - before < MAX_GROWTH_BYTES
        view, left = bytearray(4 * MIB), LARGE - len(client.held)
        while left:
            got = client.sock.recv_into(view)
            assert got
            left -= got
        assert resident_bytes(worker) - before < MAX_GROWTH_BYTES


def test_bytes_behind_the_last_request_cut_nothing(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A20 [9112 §9.6]: it cuts nothing of an answer, however slowly that is read: a
    close beside unread bytes would be a reset. Nor does it keep the connection open.
    """
    size = 3 * MIB
    shop.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size))
    request = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with ExitStack() as stack:
        clients = []
        for version, stray in ((b"HTTP/1.0", b"\r\n"), (b"HTTP/1.1", GET)):
            client = stack.enter_context(Client(relay.port))
            client.send(request.replace(b"HTTP/1.1", version))
            assert status(client.head()) == 200
            client.send(stray)
            clients.append(client)
        # Longer than the shared gateway lingers, and shorter than it waits to write.
        time.sleep(1.5)
        for client in clients:
            assert len(client.rest()) == size


def test_an_upload_to_a_slow_upstream_is_paused(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D3: half a GiB to an upstream that first stops: the client is paused, memory stays
    flat.
    """
    worker = serving_worker(relay, shop)
    total = LARGE

    goes_on = threading.Event()

    def slow(visit: Visit) -> None:
        head = visit.head()
        left = total - (len(visit.got) - len(head))
        visit.got = head
        goes_on.wait(HANG)
        view = bytearray(4 * MIB)
        while left:
            left -= visit.sock.recv_into(view)
        visit.send(OK)

    shop.clear(slow)
    before = resident_bytes(worker)
    sent = 0
    with Client(relay.port) as client:
        client.send(POST % (b"Content-Length: %d\r\n" % total))
        piece = bytes(MIB)
        client.sock.settimeout(0.5)
        with suppress(TimeoutError):
            while sent < total:
                sent += client.sock.send(piece)
        assert sent < MAX_BUFFERED_BYTES
        goes_on.set()
        client.sock.settimeout(HANG)
        while sent < total:
            sent += client.sock.send(piece[: total - sent])
        assert client.answer()[::2] == (200, b"ok")
    assert resident_bytes(worker) - before < MAX_GROWTH_BYTES


# wire-rules.md#D3's bound for one connection, in bytes.
MAX_HELD_BYTES = 512 * 1024
MANY = 40


def test_readers_that_stop_take_a_bounded_memory(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D3: what the gateway holds for each of them stays under the bound, both ways."""
    worker = serving_worker(relay, shop)
    stop = threading.Event()

    def deaf(visit: Visit) -> None:
        visit.sock.recv(1)
        stop.wait(HANG)

    for behaviour, request in (
        (Flood(64 * MIB), GET),
        (deaf, POST % b"Content-Length: 100000000\r\n" + bytes(8 * MIB)),
    ):
        shop.clear(behaviour)
        before = resident_bytes(worker)
        with ExitStack() as stack:
            for _ in range(MANY):
                client = stack.enter_context(Client(relay.port))
                client.sock.settimeout(0.02)
                with suppress(TimeoutError):
                    client.send(request)
            time.sleep(0.7)
            assert resident_bytes(worker) - before < MANY * MAX_HELD_BYTES
        stop.set()


def test_a_reader_that_never_reads_is_cut(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D3: cut after the write timeout, and so is its upstream."""
    shop.clear(Flood(512 * MIB))
    with Client(relay.port) as client:
        client.send(GET.replace(b"/public/", b"/public/stalled"))
        shop.wait(lambda: bool(shop.visits) and shop.visits[0].ended)
