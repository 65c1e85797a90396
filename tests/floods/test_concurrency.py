"""wire-rules.md#D16: how many requests a client may have in flight by a route."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import (
    Client,
    Upstream,
    Visit,
    ask,
    fields_by_name,
    request,
    status,
    until_cut,
)

ORIGIN = "Origin: https://app.example"
MAX = 3


def rule(path: str, auth: str, *concurrency: dict[str, Any]) -> dict[str, Any]:
    cors = {"origins": "https://app.example"}
    more = {"websocket": True, "concurrency": [*concurrency], "cors": cors}
    return {"path": path, "upstream": "shop", "auth": auth, **more}


ROUTES = [
    rule("/address/*", "public", {"max": MAX}),
    rule("/session/*", "required", {"max": MAX, "per": "session"}),
    rule("/route/*", "public", {"max": MAX, "per": "route"}, {"max": 2}),
    {"path": "/*", "upstream": "shop", "auth": "public"},
]


def silent(visit: Visit) -> None:
    visit.head()
    until_cut(visit)


def streaming(visit: Visit) -> None:
    visit.head()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
    until_cut(visit)


def upgrading(visit: Visit) -> None:
    visit.head()
    visit.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    until_cut(visit)


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    login_upstream.clear(accounts)
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        routes=ROUTES,
        trusted_proxies="127.0.0.9",
    )


def begin(stack: ExitStack, gate: Gateway, path: str, *fields: str, source: str) -> Client:
    """A request that is under way."""
    client = stack.enter_context(Client(gate.port, source))
    client.send(request(f"GET {path}", *fields).replace(b"Connection: close\r\n", b""))
    return client


def wait_for(shop: Upstream, visits: int) -> None:
    shop.wait(lambda: len(shop.visits) >= visits)


def passes(gate: Gateway, shop: Upstream, path: str, *fields: str, source: str) -> bool:
    """Whether one more request reaches the upstream."""
    with ExitStack() as stack:
        seen = len(shop.visits)
        client = begin(stack, gate, path, *fields, source=source)
        client.sock.settimeout(0.01)
        while len(shop.visits) == seen:
            try:
                return status(client.head()) != 429
            except TimeoutError:
                pass
        return True


@pytest.mark.parametrize(
    ("behaviour", "fields"),
    [
        (silent, ()),
        (streaming, ()),
        (upgrading, ("Connection: Upgrade", "Upgrade: websocket")),
    ],
)
def test_what_is_in_flight_counts_until_it_ends(
    gate: Gateway, shop: Upstream, behaviour: Callable[[Visit], None], fields: tuple[str, ...]
) -> None:
    """A request, a stream and a tunnel count alike, and are given back once: by a client that goes,
    and by an upstream that cuts. Another address is unharmed.
    """
    shop.clear(behaviour)
    for ends_with_client in (True, False):
        with ExitStack() as stack:
            for number in range(MAX):
                begin(stack, gate, "/address/", *fields, source="127.0.0.1")
                wait_for(shop, number + 1)
            for _ in range(2):
                refused = ask(gate.port, request("GET /address/", ORIGIN))
                told = fields_by_name(refused)
                assert status(refused) == 429
                assert told["Retry-After"] == "1"
                assert told["Access-Control-Allow-Origin"] == "https://app.example"
                problem = json.loads(refused.partition(b"\r\n\r\n")[2])
                assert problem["reason"] == "concurrency_limited"
                assert "routes[0].concurrency[0]" in problem["title"]
            assert passes(gate, shop, "/address/", *fields, source="127.0.0.2")
            if not ends_with_client:
                shop.clear(behaviour)
        if ends_with_client:
            shop.wait(lambda: all(visit.ended for visit in shop.visits))
            shop.clear(behaviour)
        eventually(lambda: passes(gate, shop, "/address/", *fields, source="127.0.0.1"))
        shop.wait(lambda: all(visit.ended for visit in shop.visits))
        shop.clear(behaviour)


def test_a_session_counts_from_all_its_addresses(gate: Gateway, shop: Upstream) -> None:
    """Another session of the same subject counts by itself."""
    one, two = (f"Authorization: Bearer {log_in(gate.port)}" for _ in range(2))
    shop.clear(silent)
    with ExitStack() as stack:
        for number in range(MAX):
            begin(stack, gate, "/session/", one, source=f"127.0.0.{number + 1}")
            wait_for(shop, number + 1)
        assert not passes(gate, shop, "/session/", one, source="127.0.0.7")
        assert passes(gate, shop, "/session/", two, source="127.0.0.1")


def test_several_limits_count_all_or_nothing(gate: Gateway, shop: Upstream) -> None:
    """What one limit refuses, the others do not count."""
    shop.clear(silent)
    with ExitStack() as stack:
        for number in range(2):
            begin(stack, gate, "/route/", source="127.0.0.1")
            wait_for(shop, number + 1)
        for _ in range(MAX):
            assert not passes(gate, shop, "/route/", source="127.0.0.1")
        begin(stack, gate, "/route/", source="127.0.0.2")
        shop.wait(lambda: len(shop.visits) == MAX)
        assert not passes(gate, shop, "/route/", source="127.0.0.3")


def test_the_client_of_a_trusted_proxy_counts(gate: Gateway, shop: Upstream) -> None:
    """All addresses of an IPv6 home count as one."""
    shop.clear(silent)
    proxy = "127.0.0.9"
    with ExitStack() as stack:
        for number in range(MAX):
            home = f"X-Forwarded-For: 2001:db8::{number + 1}"
            begin(stack, gate, "/address/", home, source=proxy)
            wait_for(shop, number + 1)
        one, other = "X-Forwarded-For: 2001:db8::9", "X-Forwarded-For: 2001:db8:1::9"
        assert not passes(gate, shop, "/address/", one, source=proxy)
        assert passes(gate, shop, "/address/", other, source=proxy)
