"""wire-rules.md#D12: one address does not take from all others what is limited: an upstream, the
login, the worker.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from tests.conftest import accounts
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Again, Answer, Client, Upstream, Visit, always, status, until_cut
from tests.support.redis_server import RedisServer

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n%b\r\n"
POST = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n%b\r\nx"
BODY = json.dumps({"username": "alice"}).encode()
LOGIN = b"POST %b HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n%b\r\n"

# Where the flood comes from, and another client.
GREEDY, OTHER = "127.0.0.1", "127.0.0.2"

# At the upstream of the gateways here; of one whose places all could be taken, others got none.
PLACES = 16

ROUTES = [
    {"path": "/*", "upstream": "shop", "auth": "public", "websocket": True},
]


def serve(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, **changes: Any
) -> AbstractContextManager[Gateway]:
    """A gateway with few places at its upstreams, and two logins at one of them."""
    login = {"kind": "backend", "upstream": "accounts", "backend_path": "/backend/login"}
    return gateway(
        tmp_path_factory.mktemp("shares"),
        redis.url,
        login=[{**login, "path": "/login"}, {**login, "path": "/other/login"}],
        guessing="off",
        routes=ROUTES,
        timeouts={"connect": 1, "response": HANG},
        **changes,
    )


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
    redis: RedisServer,
    upstream: Upstream,
    login_upstream: Upstream,
) -> Iterator[Gateway]:
    upstreams = {
        "shop": {
            "servers": [upstream.url],
            "max_connections": PLACES,
            "max_streams": PLACES,
        },
        "accounts": {"servers": [login_upstream.url], "max_connections": PLACES},
    }
    with serve(tmp_path_factory, redis, upstreams=upstreams) as running:
        yield running


@pytest.fixture
def held(login_upstream: Upstream) -> Iterator[None]:
    """A backend whose logins take long for all but who says that it is in a hurry."""
    release = threading.Event()

    def answer(visit: Visit) -> None:
        head = visit.request().partition(b"\r\n\r\n")[0]
        if b"X-Hurry" not in head:
            release.wait(HANG)
        accounts(Again(visit))

    login_upstream.clear(answer)
    yield
    release.set()
    login_upstream.clear(accounts)


def silent(visit: Visit) -> None:
    visit.request()
    until_cut(visit)


def streaming(visit: Visit) -> None:
    visit.request()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
    until_cut(visit)


def flooding(visit: Visit) -> None:
    visit.request()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        visit.send(bytes(65536))


def upgrading(visit: Visit) -> None:
    visit.head()
    visit.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    until_cut(visit)


UPGRADE = GET % b"Connection: Upgrade\r\nUpgrade: websocket\r\n%b"


def unless_hurried(answer: Answer) -> Answer:
    """The upstream's behaviour for the flood; the other client, in a hurry, is served at once.

    Its connection is closed then: a request of the flood could come over it.
    """

    def behave(visit: Visit) -> None:
        if b"X-Hurry" in visit.head():
            visit.send(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            visit.finish()
        else:
            answer(Again(visit))

    return behave


def flood(stack: ExitStack, port: int, request: bytes, count: int = 2 * PLACES) -> list[Client]:
    """So many clients of one address that have sent this."""
    clients = [stack.enter_context(Client(port, GREEDY)) for _ in range(count)]
    for client in clients:
        client.send(request)
    return clients


def wait_for(upstream: Upstream, visits: int) -> None:
    upstream.wait(lambda: len(upstream.visits) >= visits)


@pytest.mark.parametrize(
    ("answer", "request_"),
    [
        (always(OK), POST % b""),
        (flooding, GET % b""),
        (streaming, GET % b""),
        (silent, GET % b""),
        (upgrading, UPGRADE % b""),
    ],
    ids=["uploads", "downloads", "event streams", "long polls", "tunnels"],
)
def test_an_upstream_is_there_for_others(
    shared: Gateway, shop: Upstream, answer: Answer, request_: bytes
) -> None:
    """Whatever it is that one address holds all that it gets with."""
    shop.clear(unless_hurried(answer))
    with ExitStack() as stack:
        greedy = flood(stack, shared.port, request_)
        wait_for(shop, PLACES // 2)
        for _ in range(3):
            other = stack.enter_context(Client(shared.port, OTHER))
            other.send(GET % b"X-Hurry: yes\r\n")
            assert other.answer()[0] == 200
        # Those of its own that have waited in vain are told why.
        head = greedy[-1].head()
        assert status(head) == 503
        assert b"\r\nRetry-After: 1\r\n" in head
    assert shared.records(reason="over_share", client=GREEDY)


def test_others_do_not_wait_behind_a_flood(shared: Gateway, shop: Upstream) -> None:
    """Of those that wait for a place, each client gets one in its turn."""

    def slow(visit: Visit) -> None:
        for _ in visit.requests():
            threading.Event().wait(0.1)
            visit.send(OK)

    shop.clear(slow)
    with ExitStack() as stack:
        flood(stack, shared.port, GET % b"", count=10 * PLACES)
        wait_for(shop, PLACES // 2)
        others = [stack.enter_context(Client(shared.port, OTHER)) for _ in range(3)]
        for other in others:
            other.send(GET % b"")
        assert [other.answer()[0] for other in others] == [200, 200, 200]


@pytest.mark.parametrize(
    "sent",
    [LOGIN % (b"/login", len(BODY), b""), LOGIN % (b"/login", len(BODY), b"") + BODY[:1]],
    ids=["heads", "slow bodies"],
)
def test_the_login_is_there_for_others(shared: Gateway, shop: Upstream, sent: bytes) -> None:
    """As many as an upstream has places by default are not enough to take it."""
    with ExitStack() as stack:
        flood(stack, shared.port, sent, count=256)
        other = stack.enter_context(Client(shared.port, OTHER))
        other.send(LOGIN % (b"/login", len(BODY), b"") + BODY)
        assert other.answer()[0] == 200


def test_a_slow_backend_answers_logins_of_others(shared: Gateway, held: None) -> None:
    """The calls of one address leave some to others, whichever login they are for."""
    with ExitStack() as stack:
        held_up = flood(stack, shared.port, LOGIN % (b"/login", len(BODY), b"") + BODY)
        flood(stack, shared.port, LOGIN % (b"/other/login", len(BODY), b"") + BODY)
        other = stack.enter_context(Client(shared.port, OTHER))
        other.send(LOGIN % (b"/other/login", len(BODY), b"X-Hurry: yes\r\n") + BODY)
        assert other.answer()[0] == 200
        held_up[0].sock.setblocking(False)
        with pytest.raises(BlockingIOError):  # and not because the others' time was over
            held_up[0].sock.recv(1)


@pytest.fixture(scope="module")
def behind_a_proxy(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, upstream: Upstream
) -> Iterator[Gateway]:
    upstreams = {
        "shop": {"servers": [upstream.url], "max_connections": PLACES},
        "accounts": upstream.url,
    }
    with serve(
        tmp_path_factory, redis, upstreams=upstreams, trusted_proxies=["127.0.0.1"]
    ) as running:
        yield running


@pytest.mark.parametrize(
    "greedy",
    [
        lambda _: b"X-Forwarded-For: 192.0.2.1\r\n",
        lambda number: b"X-Forwarded-For: 2001:db8::%x\r\n" % number,
        lambda number: b"X-Forwarded-For: 203.0.113.%d, 192.0.2.1\r\n" % number,
    ],
    ids=["one address", "a network of IPv6", "a list that the client began"],
)
def test_behind_a_proxy_a_client_is_whom_the_proxy_names(
    behind_a_proxy: Gateway, shop: Upstream, greedy: Callable[[int], bytes]
) -> None:
    """What it has not come by itself, and an IPv6 client has a whole /64 of."""
    shop.clear(unless_hurried(silent))
    with ExitStack() as stack:
        for number in range(2 * PLACES):
            client = stack.enter_context(Client(behind_a_proxy.port))
            client.send(GET % greedy(number))
        wait_for(shop, PLACES // 2)
        other = stack.enter_context(Client(behind_a_proxy.port))
        other.send(GET % b"X-Hurry: yes\r\nX-Forwarded-For: 198.51.100.7\r\n")
        assert other.answer()[0] == 200


def test_connections_and_requests_are_there_for_others(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, shop: Upstream
) -> None:
    """One address has no more than its share of a worker either."""
    shop.clear(unless_hurried(silent))
    with (
        serve(
            tmp_path_factory,
            redis,
            upstreams={"shop": shop.url, "accounts": shop.url},
            limits={"connections": 200, "requests": 150, "per_address": "40%"},
        ) as running,
        ExitStack() as stack,
    ):
        greedy = flood(stack, running.port, GET % b"", count=250)
        refused = 0
        for client in greedy[150:]:
            refused += status(client.head()) == 503
        assert refused == 100
        other = stack.enter_context(Client(running.port, OTHER))
        other.send(GET % b"X-Hurry: yes\r\n")
        assert other.answer()[0] == 200
