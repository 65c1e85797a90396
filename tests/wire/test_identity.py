"""wire-rules.md#B9 to #B15: who asks, who answers, and who may keep the answer."""

import re
import time

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, always, ask, field_lines, field_names, status
from tests.wire.vectors import cases

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def inner(start: Start, upstream: Upstream) -> Gateway:
    """A gateway behind a proxy that it trusts, with an upstream that wants its own Host."""
    return start(
        upstreams={"shop": {"servers": [upstream.url], "host": "upstream"}},
        routes=[{"path": "/*", "upstream": "shop", "auth": "public"}],
        trusted_proxies=["127.0.0.0/8"],
    )


def test_the_upstreams_own_host(inner: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B9: `host: upstream` sends the upstream's; the client's is told beside it."""
    assert status(ask(inner.port, GET + b"\r\n")) == 200
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % shop.port in shop.got
    assert b"\r\nX-Forwarded-Host: a.example\r\n" in shop.got


def test_a_trusted_proxys_fields_are_kept_and_appended_to(inner: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B10 [7239 §5]: its fields are kept, and it is appended to them; a disguise
    stays one.
    """
    lines = (
        b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: shop.example\r\nForwarded: for=203.0.113.7;proto=https\r\n"
        b"X_Forwarded_For: 6.6.6.6\r\nX-User-Id: forged\r\n"
    )
    assert status(ask(inner.port, GET.replace(b"/public/", b"/kept") + lines + b"\r\n")) == 200
    for line in (
        b"X-Forwarded-For: 203.0.113.7, 127.0.0.1",
        b"X-Real-IP: 203.0.113.7",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example",
        b"Forwarded: for=203.0.113.7;proto=https, for=127.0.0.1",
    ):
        assert shop.got.count(b"\r\n" + line + b"\r\n") == 1, line
    assert b"6.6.6.6" not in shop.got
    assert b"forged" not in shop.got
    assert inner.records(path="/kept", client="203.0.113.7")


@cases(
    "lines, client",
    {
        "in one line": (b"X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n", b"203.0.113.7"),
        "in two lines": (
            b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7\r\n",
            b"203.0.113.7",
        ),
        "in three lines": (
            b"X-Forwarded-For: 6.6.6.6\r\nX: y\r\nX-Forwarded-For: 6.6.6.6, 6.6.6.7\r\n"
            b"x-forwarded-for: 203.0.113.7\r\n",
            b"203.0.113.7",
        ),
        "beside a made up X-Real-IP": (
            b"X-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7\r\n",
            b"203.0.113.7",
        ),
        "in X-Real-IP alone": (b"X-Real-IP: 203.0.113.7\r\n", b"203.0.113.7"),
    },
)
def test_the_client_is_the_last_entry_of_a_trusted_proxy(
    inner: Gateway, shop: Upstream, lines: bytes, client: bytes
) -> None:
    """wire-rules.md#B10: many proxies append a line of their own to the one that the client has
    made up; the last entry of all is the only one that the trusted peer vouches for.
    """
    path = b"/named" + bytes((97 + len(lines) % 26,))
    assert status(ask(inner.port, GET.replace(b"/public/", path) + lines + b"\r\n")) == 200
    assert b"\r\nX-Real-IP: " + client + b"\r\n" in shop.got
    assert inner.records(path=path.decode(), client=client.decode())


def test_a_trusted_proxys_request_id_goes_on(inner: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B10: a trusted peer has named the request already; both sides are told that
    name.
    """
    answer = ask(inner.port, GET + b"X-Request-Id: outer-0001\r\n\r\n")
    assert shop.got.count(b"\r\nX-Request-Id: outer-0001\r\n") == 1
    assert answer.count(b"\r\nX-Request-Id: outer-0001\r\n") == 1


def test_a_trusted_proxy_that_names_no_client_is_the_client(inner: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B10: then it is the client."""
    assert status(ask(inner.port, GET + b"\r\n")) == 200
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in shop.got
    assert b"\r\nX-Real-IP: 127.0.0.1\r\n" in shop.got
    assert b"\r\nX-Forwarded-Proto: http\r\n" in shop.got


FORGED = [
    b"X-Forwarded-For: 6.6.6.6",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Proto: gopher",
    b"X-Forwarded-Prefix: /evil",
    b"Forwarded: for=6.6.6.6",
    b"X-Real-IP: 6.6.6.6",
    b"X-Request-Id: forged",
    b"X-Original-URL: /api/evil",
    b"X-Rewrite-URL: /api/evil",
    b"X-Latchkey-Session: forged",
    b"X_Forwarded_For: 6.6.6.6",
    b"x.real.ip: 6.6.6.6",
    b"X-User-Id: forged",
    b"X_User_Id: forged",
    b"x.user.id: forged",
    b"X_LATCHKEY_SESSION: forged",
    b"AUTHORIZATION: Basic Zm9yZ2Vk",
    b"authorization: Basic Zm9yZ2Vk",
    b"X-Client-IP: 6.6.6.6",
    b"X-Forwarded-Port: forged",
    b"X-Forwarded-Anything: forged",
    b"X.Forwarded.Host: evil.example",
    b"x_latchkey.carrier: forged",
    b"Proxy: forged",
]


def test_an_untrusted_clients_fields_are_dropped(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B9, #B10, #B11: its forwarding and identity fields are dropped in every
    spelling.
    """
    assert status(ask(relay.port, GET + b"\r\n".join(FORGED) + b"\r\n\r\n")) == 200
    for part in (b"6.6.6.6", b"evil", b"forged", b"gopher", b"Zm9yZ2Vk"):
        assert part not in shop.got, part
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in shop.got
    assert b"\r\nX-Real-IP: 127.0.0.1\r\n" in shop.got
    assert b"\r\nX-Forwarded-Proto: http\r\n" in shop.got
    assert b"\r\nX-Forwarded-Host: a.example\r\n" in shop.got
    assert b"\r\nHost: a.example\r\n" in shop.got


def test_each_request_gets_an_id_and_keeps_its_trace(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B10, W3C Trace Context: a fresh id, told to both sides; the client's trace goes
    on.
    """
    answer = ask(relay.port, GET + b"\r\n")
    ours = re.search(rb"\r\nX-Request-Id: ([0-9a-f]{24,})\r\n", shop.got)
    assert ours is not None
    assert b"\r\nX-Request-Id: " + ours[1] + b"\r\n" in answer
    assert re.search(rb"\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n", shop.got)
    shop.clear()
    trace = b"4bf92f3577b34da6a3ce929d0e0e4736"
    ask(relay.port, GET + b"traceparent: 00-" + trace + b"-00f067aa0ba902b7-00\r\n\r\n")
    parent = re.search(rb"\r\ntraceparent: 00-" + trace + rb"-([0-9a-f]{16})-00\r\n", shop.got)
    assert parent is not None
    assert parent[1] != b"00f067aa0ba902b7"
    shop.clear()
    ask(relay.port, GET + b"traceparent: 00-" + b"0" * 32 + b"-00f067aa0ba902b7-00\r\n\r\n")
    assert b"0" * 32 not in shop.got


def test_the_key_is_cut_out_of_the_cookie_field(relay: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#B12: the other cookies keep their bytes; a field that would be empty
    disappears.
    """
    request = b"GET /api/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nCookie: %b\r\n\r\n"
    for cookie, left in (
        (b'a=1; session=%b; b="2"', b'Cookie: a=1; b="2"'),
        (b"session=%b; a=1;b=2", b"Cookie: a=1;b=2"),
        (b"a=1; session=%b", b"Cookie: a=1"),
        (b"session=%b", None),
    ):
        shop.clear()
        assert status(ask(relay.port, request % (cookie % key.encode()))) == 200
        found = [line for line in field_lines(shop.got) if line.startswith(b"Cookie")]
        assert found == ([] if left is None else [left])
        assert key.encode() not in shop.got


UPGRADE = (
    b"GET /ws/chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def test_an_upgrade_is_a_tunnel_after_the_101(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B13 [9110 §7.8]: after the 101 both directions are bytes, before it nothing is
    sent.
    """

    def switch(visit: Visit) -> None:
        head = visit.head()
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
        time.sleep(0.2)
        assert visit.got == head
        visit.send(SWITCH + b"\x81\x02hi")
        while piece := visit.read():
            visit.send(piece.upper())

    shop.clear(switch)
    with Client(relay.port) as client:
        client.send(UPGRADE)
        head = client.head()
        assert status(head) == 101
        assert b"\r\nUpgrade: websocket\r\n" in head
        assert client.exactly(4) == b"\x81\x02hi"
        frame = b"\x00\xff GET / HTTP/1.1\r\n\r\n"
        client.send(frame)
        assert client.exactly(len(frame)) == frame
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/ws/chat", status=101)


def test_an_upgrade_that_no_route_allows_is_dropped(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B13: h2c is dropped, and so is any upgrade on a route that allows none."""
    for request in (
        UPGRADE.replace(b"/ws/chat", b"/public/"),
        UPGRADE.replace(b"websocket\r\n", b"h2c\r\n", 1),
    ):
        shop.clear()
        with Client(relay.port) as client:
            client.send(request)
            assert client.answer()[::2] == (200, b"ok")
        assert b"pgrade:" not in shop.got


def test_server_is_the_upstreams(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B14: `Server` is the upstream's; the gateway's own answers carry none."""
    shop.clear(always(b"HTTP/1.1 200 OK\r\nServer: shop/1\r\nContent-Length: 0\r\n\r\n"))
    assert b"\r\nServer: shop/1\r\n" in ask(relay.port, GET + b"\r\n")
    for path in (b"/nowhere/", b"/logout", b"/login", b"/api/"):
        answer = ask(relay.port, GET.replace(b"/public/", path) + b"\r\n")
        assert b"server" not in field_names(answer)
        assert b"127.0.0.1" not in answer


def test_an_answer_to_a_key_in_a_cookie_is_private(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#B15, #E8: with a key from a cookie no shared cache may keep an answer."""
    request = b"GET /api/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%b\r\n\r\n"
    cookie = request % (b"Cookie: session=" + key.encode())
    answer = ask(relay.port, cookie)
    assert b"\r\nCache-Control: private\r\nVary: Cookie\r\n" in answer
    answer = ask(relay.port, request % (b"Authorization: Bearer " + key.encode()))
    assert b"Cache-Control" not in answer
    shop.clear(always(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 0\r\n\r\n"))
    assert b"\r\nCache-Control: private, max-age=5\r\nVary: Cookie\r\n" in ask(relay.port, cookie)


def test_a_cache_control_that_connection_names_protects_nothing(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#B15, #B1: one that Connection names is taken away, so it protects no answer."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nConnection: cache-control\r\nCache-Control: no-store\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
    )
    answer = ask(
        relay.port,
        GET.replace(b"/public/", b"/api/") + b"Cookie: session=%b\r\n\r\n" % key.encode(),
    )
    assert b"\r\nCache-Control: private\r\nVary: Cookie\r\n" in answer
