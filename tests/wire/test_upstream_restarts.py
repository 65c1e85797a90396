"""wire-rules.md#D14: requests wait for a server that restarts, while none can be reached."""

import contextlib
import re
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import OK, Client, Upstream, Visit, status
from tests.support.redis_server import RedisServer
from tests.wire.vectors import cases

CONNECT = 5.0  # timeouts.connect, in seconds
OUTAGE = 0.4

# From `_MAX_UNREACHED`: one address may hold half of the room.
ROOM_OF_ONE = 500

GET = b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n"
HALF_A_POST = b"POST %b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhello"
HEAD = b"HTTP/1.1\r\nHost: a.example\r\n"


@dataclass
class Site:
    """A gateway before one server, before two, before one with few places, and before none."""

    gateway: Gateway
    server: Upstream
    other: Upstream

    def ask(self, path: str = "/one/", request: bytes = GET) -> Client:
        client = Client(self.gateway.port)
        client.send(request % path.encode())
        return client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Site]:
    server, other, gone = Upstream(), Upstream(), Upstream()
    gone.refuse()
    upstreams = {
        "one": server.url,
        "two": {"servers": [server.url, other.url]},
        "patient": {"servers": [server.url, other.url], "try_for": f"{CONNECT:g}s"},
        "few": {"servers": [server.url], "max_connections": 2},
        "tls": other.url.replace("http", "https"),
        "gone": gone.url,
        "away": gone.url,
    }
    routes = [
        {"path": f"/{name}/*", "upstream": name, "auth": "public", "websocket": True}
        for name in upstreams
    ]
    with gateway(
        tmp_path_factory.mktemp("restarts"),
        redis.url,
        upstreams=upstreams,
        routes=routes,
        timeouts={"connect": CONNECT},
    ) as started:
        yield Site(started, server, other)
    for upstream in (server, other, gone):
        upstream.stop()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    running.other.clear()
    running.server.refuse()
    yield running
    with contextlib.suppress(OSError):
        running.server.listen()


def _switches(visit: Visit) -> None:
    visit.head()
    visit.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


@cases(
    "sent",
    {
        "GET": b"GET /one/ " + HEAD + b"\r\n",
        "POST": b"POST /one/ " + HEAD + b"Content-Length: 5\r\n\r\nhello",
        "chunked": b"PUT /one/ "
        + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "large": b"POST /one/ " + HEAD + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000,
        "two servers": b"POST /patient/ " + HEAD + b"Content-Length: 5\r\n\r\nhello",
    },
)
def test_a_request_waits_for_a_restart(site: Site, sent: bytes) -> None:
    """It is dialled for again until the server is back, and is sent once, with its whole body.

    Where there are several servers, `try_for` has it wait.
    """
    if b"/patient/" in sent:
        site.other.refuse()
    with Client(site.gateway.port) as client:
        client.send(sent)
        time.sleep(OUTAGE)
        site.server.listen()
        assert client.answer()[0] == 200
    if b"/patient/" in sent:
        site.other.listen()
    assert len(site.server.visits) == 1
    assert site.server.got.count(b"HTTP/1.1") == 1
    if b"hello" in sent:
        assert b"hello" in site.server.got
    if b"/two/" in sent:
        site.other.listen()


def test_a_body_that_is_asked_for(site: Site) -> None:
    """A client that asks whether to send its body is told by the server that is back."""
    with Client(site.gateway.port) as client:
        client.send(b"POST /one/ " + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(OUTAGE)
        site.server.listen()
        assert status(client.head()) == 100
        client.send(b"hello")
        assert client.answer()[0] == 200


def test_a_tunnel(site: Site) -> None:
    """A WebSocket that is opened meanwhile waits, too."""
    site.server.answer = _switches
    with Client(site.gateway.port) as client:
        client.send(b"GET /one/ " + HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        time.sleep(OUTAGE)
        site.server.listen()
        assert status(client.head()) == 101


def test_a_pooled_connection_that_went_with_the_server(site: Site) -> None:
    """A request that is repeated since its connection was stale waits for the new one."""
    site.server.listen()
    with site.ask() as client:
        assert client.answer()[0] == 200
        site.server.refuse()
        client.send(GET % b"/one/")
        time.sleep(OUTAGE)
        site.server.listen()
        assert client.answer()[0] == 200


def test_more_wait_than_there_are_places(site: Site) -> None:
    """Those that wait hold no place, so that all are answered when the server is back."""
    clients = [site.ask("/few/") for _ in range(12)]
    time.sleep(OUTAGE)
    site.server.listen()
    assert [client.answer()[0] for client in clients] == [200] * 12
    for client in clients:
        client.sock.close()


def test_a_server_that_stays_away(site: Site) -> None:
    """After `timeouts.connect` the request is refused, and the log says why; once for a request."""
    began = time.monotonic()
    with site.ask("/away/at-last") as client:
        assert client.answer()[0] == 502
    assert time.monotonic() - began > CONNECT / 2
    (record,) = site.gateway.records(path="/away/at-last")
    assert (record["reason"], record["cause"]) == ("upstream_unreachable", "Connection refused")
    assert record["upstream"] == site.gateway.config["upstreams"]["away"]
    assert site.gateway.log.read_text().count("upstream away: ") == 1


def test_several_servers_that_are_away(site: Site) -> None:
    """503 that names the upstream, at once. A server that is back is found by the next requests."""
    site.other.refuse()
    for request in (GET, HALF_A_POST, GET):
        began = time.monotonic()
        with site.ask("/two/", request) as client:
            refused, head, body = client.answer()
        assert time.monotonic() - began < CONNECT / 2
        assert refused == 503
        assert re.search(rb"\r\nRetry-After: [1-9]\d?\r\n", head)
        assert b'"reason": "upstream_down"' in body
        assert b"upstream two" in body
    site.other.listen()
    eventually(lambda: _status(site, "/two/") == 200)
    assert [_status(site, "/two/") for _ in range(4)] == [200] * 4


def _status(site: Site, path: str) -> int:
    with site.ask(path) as client:
        return client.answer()[0]


def test_what_no_restart_explains(site: Site) -> None:
    """A server that does not speak TLS will not learn it: the request is refused at once."""
    site.other.answer = lambda visit: visit.send(OK)
    began = time.monotonic()
    with site.ask("/tls/") as client:
        assert client.answer()[0] == 502
    assert time.monotonic() - began < CONNECT


def _answered(clients: list[Client], seconds: float) -> int:
    """How many have an answer, after so long."""
    time.sleep(seconds)
    poll = select.poll()
    for client in clients:
        poll.register(client.sock, select.POLLIN)
    return len(poll.poll(0))


def test_the_room_to_wait_is_limited(site: Site) -> None:
    """One client does not fill it, others have theirs, and a client that leaves makes room."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        requests = (ROOM_OF_ONE // 2 + 10) * [GET, HALF_A_POST]
        clients = [stack.enter_context(site.ask("/gone/", request)) for request in requests]
        while not (refused := _answered(clients, 0.1)):
            pass
        assert time.monotonic() - began < CONNECT
        assert refused <= 20
        other = stack.enter_context(Client(site.gateway.port, "127.0.0.2"))
        other.send(GET % b"/gone/")
        assert not _answered([other], 0.2)
        for client in clients:
            client.sock.close()
        assert not _answered([stack.enter_context(site.ask("/gone/"))], 0.2)
