"""wire-rules.md#D10: what may pause, and for how long: answers and connections."""

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import Client, Upstream, Visit
from tests.support.redis_server import RedisServer

# Deadlines are kept to within half a second, and these lie further apart.
_BODY_IDLE = 0.5
_QUIET = 2.0
_STREAM_IDLE = 3.5

_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

# A frame (RFC 6455 §5.2) of 16 MiB, more than the buffers on the way hold.
_FRAME = b"\x82\x7f" + struct.pack(">Q", 2**24) + bytes(2**24)


@pytest.fixture(scope="module")
def streams(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, upstream: Upstream
) -> Iterator[Gateway]:
    routes = [
        {"path": "/plain/*", "upstream": "shop", "auth": "public"},
        {"path": "/patient/*", "upstream": "shop", "auth": "public", "body_idle": _STREAM_IDLE},
        {"path": "/short/*", "upstream": "short", "auth": "public"},
        {"path": "/hasty/*", "upstream": "shop", "auth": "public", "body_idle": _BODY_IDLE},
        {"path": "/brief/*", "upstream": "shop", "auth": "public", "stream_idle": 0.2},
        {"path": "/endless/*", "upstream": "shop", "auth": "public", "stream": True},
        {"path": "/answer/*", "upstream": "shop", "auth": "public"}
        | {"response_body_idle": _STREAM_IDLE},
        {"path": "/upload/*", "upstream": "shop", "auth": "public"}
        | {"request_body_idle": _STREAM_IDLE},
        {"path": "/soon/*", "upstream": "shop", "auth": "public", "websocket": True}
        | {"tunnel_idle": _BODY_IDLE},
        {"path": "/tunnel/*", "upstream": "shop", "auth": "public", "websocket": True},
    ]
    with gateway(
        tmp_path_factory.mktemp("streams"),
        redis.url,
        upstreams={
            "shop": upstream.url,
            "short": {"servers": upstream.url, "upstream_idle": _BODY_IDLE},
        },
        routes=routes,
        timeouts={
            "body_idle": _BODY_IDLE,
            "stream_idle": _STREAM_IDLE,
            "tunnel_idle": _QUIET,
            "upstream_idle": 30,
        },
    ) as running:
        yield running


_KINDS = {
    b"text": b"text/plain",
    b"events": b"Text/Event-Stream; charset=utf-8",
    b"close": b"text/event-stream",
    b"lines": b"application/x-ndjson",
    b"calls": b"application/grpc-web+proto",
    b"places": b"Application/geo+json-seq",
    b"container": b"application/vnd.docker.raw-stream",
    b"watch": b"application/vnd.kubernetes.protobuf;stream=watch",
    b"likeness": b'text/plain; name="text/event-stream"',
}


def _events(visit: Visit) -> None:
    """Pauses, goes on, and then falls silent."""
    target = visit.head().split(b" ")[1]
    kind = _KINDS[target.rpartition(b"/")[2]]
    framing = b"" if target.startswith(b"/plain/close") else b"Transfer-Encoding: chunked\r\n"
    first, second = (b"data: 1\n\n", b"data: 2\n\n")
    if framing:
        first, second = (b"%x\r\n%b\r\n" % (len(data), data) for data in (first, second))
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n" + framing + b"\r\n" + first)
    time.sleep(_QUIET)
    visit.send(second)


# How many pieces come before the answer is cut.
_PIECES = {
    "/plain/events": 2,
    "/plain/close": 2,  # an event stream that ends with its connection
    "/plain/lines": 2,
    "/plain/calls": 2,
    "/plain/places": 2,
    "/plain/container": 2,
    "/plain/watch": 2,
    "/plain/text": 1,
    "/plain/likeness": 1,
    "/brief/events": 1,
    "/brief/text": 1,
    "/endless/text": 2,
    "/answer/text": 2,
    "/upload/text": 1,
    "/patient/text": 2,
    "/hasty/events": 2,
    "/hasty/text": 1,
}


def test_a_quiet_answer_is_cut_by_the_routes_timeout(streams: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D10: an event stream waits for the next event for a time of its own, whatever
    the `body_idle` of its route, others for `body_idle`; and a route may say how long. Then it is
    cut, without an end that looks whole.
    """
    shop.clear(_events)
    with ExitStack() as clients:
        asked = {path: clients.enter_context(Client(streams.port)) for path in _PIECES}
        for path, client in asked.items():
            client.send(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        for path, client in asked.items():
            answer = client.rest()
            assert answer.count(b"data: ") == _PIECES[path], path
            assert not answer.endswith(b"0\r\n\r\n")
            assert streams.records(path=path, reason="upstream_timeout")


@pytest.mark.parametrize("kind", ["events", "close", "lines"])
def test_an_event_arrives_before_the_next_one_is_written(
    streams: Gateway, shop: Upstream, kind: str
) -> None:
    """The head and each event leave at once: the server goes on only when the client has them."""
    steps = [threading.Event() for _ in range(5)]

    def one_by_one(visit: Visit) -> None:
        visit.head()
        framing = b"" if kind == "close" else b"Transfer-Encoding: chunked\r\n"
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % _KINDS[kind.encode()])
        visit.send(framing + b"\r\n")
        for number, step in enumerate(steps):
            assert step.wait(HANG)
            event = b"data: %d\n\n" % number
            visit.send(b"%x\r\n%b\r\n" % (len(event), event) if framing else event)

    shop.clear(one_by_one)
    with Client(streams.port) as client:
        client.send(f"GET /plain/{kind} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        client.head()
        for number, step in enumerate(steps):
            step.set()
            client.until(b"data: %d\n\n" % number)


def test_each_direction_has_an_idle_timeout_of_its_own(streams: Gateway, shop: Upstream) -> None:
    """A route says how long the body of a request may pause, and how long that of an answer."""
    begun = b" HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\n1"
    with ExitStack() as clients:
        asked = {path: clients.enter_context(Client(streams.port)) for path in ("answer", "upload")}
        for path, client in asked.items():
            client.send(b"POST /%b/x" % path.encode() + begun)
        assert asked["answer"].answer()[0] == 408
        asked["upload"].send(b"2")
        time.sleep(_QUIET)
        asked["upload"].send(b"3")
        assert asked["upload"].answer()[0] == 200


def test_a_client_may_wait_to_be_asked_for_its_body(streams: Gateway, shop: Upstream) -> None:
    """`body_idle` is shorter than `timeouts.continue`, for which the upstream may be silent."""
    with Client(streams.port) as client:
        client.send(b"POST /plain/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n")
        client.send(b"Expect: 100-continue\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 100 ")
        client.send(b"hi")
        assert client.answer()[0] == 200


def test_a_tunnel_ends_by_the_routes_own_timeout(streams: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D10: `tunnel_idle` of a route."""
    shop.clear(lambda visit: visit.send(_SWITCH) if visit.head() else None)
    with Client(streams.port) as client:
        client.send(
            b"GET /soon/ HTTP/1.1\r\nHost: a.example\r\n"
            b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        client.head()
        began = time.monotonic()
        assert client.rest() == b""
        assert time.monotonic() - began < _QUIET


def test_an_upstreams_own_idle_timeout_closes_its_connections(
    streams: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#D10: an upstream's own `upstream_idle` says how long a connection is kept,
    others keep theirs; so a backend that closes sooner never meets a POST on its way.
    """
    with Client(streams.port) as client:
        for path in ("/plain/", "/short/", "/plain/"):
            client.send(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            assert client.answer()[0] == 200
            if path == "/short/":
                shop.wait(lambda: shop.visits[1].ended)
    assert len(shop.visits) == 2
    assert not shop.visits[0].ended


def test_a_tunnel_is_as_patient_after_a_client_that_did_not_read(
    streams: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#D10: once its client has read what held it up, a tunnel may be quiet for
    `tunnel_idle` again: for no less, and no more.
    """

    def sends_much(visit: Visit) -> None:
        visit.head()
        visit.send(_SWITCH + _FRAME)

    shop.clear(sends_much)
    with Client(streams.port) as client:
        client.send(
            b"GET /tunnel/ HTTP/1.1\r\nHost: a.example\r\n"
            b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        client.head()
        time.sleep(_QUIET + 1)  # none of which is the server's
        size = len(client.held)
        while size < len(_FRAME):
            piece = client.sock.recv(2**20)
            assert piece
            size += len(piece)
        time.sleep(_QUIET / 2)
        client.send(b"still here")
        shop.wait(lambda: shop.got.endswith(b"still here"))
        began = time.monotonic()
        assert client.sock.recv(1) == b""
        assert time.monotonic() - began > _QUIET / 2
