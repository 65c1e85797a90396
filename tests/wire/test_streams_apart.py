"""Places of an upstream: streams are counted apart from requests, which may wait in a queue."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import OK, Client, Upstream, Visit, status

_STREAMS = 2  # of `max_streams`, and places of requests

_EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_FIRST = b"9\r\ndata: 1\n\n\r\n"
_LAST = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream) -> Gateway:
    return start(
        upstreams={
            "shop": {
                "servers": upstream.url,
                "max_connections": _STREAMS,
                "max_streams": _STREAMS,
                "queue": {"size": 1, "timeout": "300ms"},
            }
        },
        limits={"per_address": "100%", "requests": 4},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public", "websocket": True}],
    )


@pytest.fixture
def release(shop: Upstream) -> Iterator[threading.Event]:
    """The upstream streams, opens tunnels, answers at once, or when the event is set."""
    released = threading.Event()

    def answer(visit: Visit) -> None:
        for request in visit.requests():
            if b"/events" in request:
                visit.send(_EVENTS + _FIRST)
            elif b"/socket" in request:
                visit.send(
                    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
            elif b"/slow" in request:
                released.wait(20)
                visit.send(OK)
            else:
                visit.send(OK)

    shop.clear(answer)
    yield released
    released.set()


def _get(path: str, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"GET {path} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n".encode()


EVENTS = _get("/events")
_POST = b"POST /slow HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n"
SOCKET = _get(
    "/socket",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize("opening", [EVENTS, SOCKET])
def test_open_streams_starve_no_request(
    site: Gateway, release: threading.Event, opening: bytes
) -> None:
    """Neither of its upstream nor of `limits.requests`; one stream too many is a clean 503."""
    with contextlib.ExitStack() as opened:
        for _ in range(_STREAMS):
            client = opened.enter_context(Client(site.port))
            client.send(opening)
            assert status(client.head()) in (101, 200)
        for _ in range(4):
            assert _asked(site, _get("/"))[0] == 200
        code, head, body = _asked(site, opening)
        assert code == 503
        assert b"Retry-After: 1\r\n" in head
        problem = json.loads(body)
        title = "upstream shop is full: 2 of upstreams.shop.max_streams are open"
        assert (problem["reason"], problem["title"]) == ("streams_full", title)
        [record, *_] = site.records(reason="streams_full")
        assert record["cause"] == title
    eventually(lambda: status(_opened(site, opening)) in (101, 200))


def _opened(site: Gateway, opening: bytes) -> bytes:
    with Client(site.port) as client:
        client.send(opening)
        return client.head()


def test_a_full_queue_names_the_upstream_and_its_settings(
    site: Gateway, release: threading.Event
) -> None:
    """One request waits for `queue.timeout`, one more is refused at once; both with the reason."""
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Client(site.port)) for _ in range(_STREAMS + 1)]
        for client in clients:
            client.send(_get("/slow"))
        busy = "upstream shop is full: 2 of upstreams.shop.max_connections are busy, and "
        code, _, body = next(
            answer for answer in iter(lambda: _asked(site, _get("/slow")), None) if answer[0] != 200
        )
        title = busy + "upstreams.shop.queue lets 1 wait"
        assert (code, json.loads(body)["title"]) == (503, title)
        code, _, body = clients[-1].answer()
        title = busy + "none was free for 0.3 s (upstreams.shop.queue.timeout)"
        assert (code, json.loads(body)["title"]) == (503, title)
        assert json.loads(body)["reason"] == "upstream_full"
        release.set()
        assert [client.answer()[0] for client in clients[:-1]] == [200, 200]


def test_a_body_whose_client_goes_is_no_request(site: Gateway, release: threading.Event) -> None:
    """wire-rules.md#A12: a body that has been read ahead is dropped with its request."""
    body = _get("/smuggled")
    with contextlib.ExitStack() as opened:
        for _ in range(_STREAMS):
            opened.enter_context(Client(site.port)).send(_get("/slow"))
        with Client(site.port) as client:
            client.send(_POST + body)
            time.sleep(0.1)  # it waits for a connection
            client.sock.shutdown(socket.SHUT_WR)
            assert client.rest() == b""
    _asked(site, _get("/after"))
    site.records(path="/after")
    assert "/smuggled" not in site.access_log.read_text()


def _asked(site: Gateway, data: bytes) -> tuple[int, bytes, bytes]:
    with Client(site.port) as client:
        client.send(data)
        return client.answer()


def test_a_finite_answer_of_lines_gives_its_place_back(site: Gateway, shop: Upstream) -> None:
    """A stream that has ended leaves no trace, and its connection is used again."""

    def answer(visit: Visit) -> None:
        for _ in visit.requests():
            visit.send(_EVENTS + _FIRST)
            visit.send(_LAST)

    shop.clear(answer)
    with Client(site.port) as client:
        for _ in range(10):
            client.send(EVENTS)
            assert status(client.head()) == 200
            assert client.chunks() == b"data: 1\n\n"
    assert len(shop.visits) == 1
