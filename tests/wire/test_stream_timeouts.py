"""wire-rules.md#D10: what may pause, and for how long: answers and connections."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, Visit
from tests.support.redis_server import RedisServer

# Deadlines are kept to within half a second, and these lie further apart.
_BODY_IDLE = 0.5
_QUIET = 2.0
_STREAM_IDLE = 3.5


@pytest.fixture(scope="module")
def streams(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, upstream: Upstream
) -> Iterator[Gateway]:
    routes = [
        {"path": "/plain/*", "upstream": "shop", "auth": "public"},
        {"path": "/patient/*", "upstream": "shop", "auth": "public", "body_idle": _STREAM_IDLE},
        {"path": "/short/*", "upstream": "short", "auth": "public"},
        {"path": "/hasty/*", "upstream": "shop", "auth": "public", "body_idle": _BODY_IDLE},
    ]
    with gateway(
        tmp_path_factory.mktemp("streams"),
        redis.url,
        upstreams={
            "shop": upstream.url,
            "short": {"servers": upstream.url, "upstream_idle": _BODY_IDLE},
        },
        routes=routes,
        timeouts={"body_idle": _BODY_IDLE, "stream_idle": _STREAM_IDLE, "upstream_idle": 30},
    ) as running:
        yield running


_KINDS = {
    b"text": b"text/plain",
    b"events": b"Text/Event-Stream; charset=utf-8",
    b"close": b"text/event-stream",
    b"lines": b"application/x-ndjson",
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
    "/plain/text": 1,
    "/patient/text": 2,
    "/hasty/events": 1,
}


def test_a_quiet_answer_is_cut_by_the_routes_timeout(streams: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D10: an event stream waits for the next event for a time of its own, others for
    `body_idle`, and a route may say how long. Then it is cut, without an end that looks whole.
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
