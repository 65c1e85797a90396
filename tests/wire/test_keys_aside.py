"""wire-rules.md#C15: keys in a query or among subprotocols, on the routes that take them there."""

import base64
import json

import pytest

from tests.conftest import LOGIN, Start, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.raw import (
    Client,
    Upstream,
    Visit,
    always,
    ask,
    field_lines,
    fields_by_name,
    request,
    status,
)
from tests.wire.vectors import cases


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway with such routes, and with others."""
    ws = {"upstream": "shop", "websocket": True}
    return start(
        upstreams={
            "shop": upstream.url,
            "own": {"servers": upstream.url, "send_token": "query:token"},
            "accounts": login_upstream.url,
        },
        login=[LOGIN],
        guessing="off",
        verify={},
        login_page="/public/login",
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/files/*", "upstream": "shop", "key_in_query": "access_token"},
            {"path": "/maybe/*", "upstream": "shop", "key_in_query": "k", "auth": "optional"},
            {"path": "/swap/*", "upstream": "own", "key_in_query": "token"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
            {"path": "/ws", **ws, "key_in_subprotocol": True},
            {"path": "/ws/cookie", **ws, "key_in_subprotocol": True, "send_token": "cookie:jwt"},
            {"path": "/ws/other", **ws},
            {"path": "/ws/open", **ws, "auth": "public"},
        ],
    )


@pytest.fixture
def key(site: Gateway) -> str:
    return log_in(site.port)


def escaped(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


QUERIES = {
    "alone": ("?access_token=KEY", ""),
    "first": ("?access_token=KEY&a=%20", "?a=%20"),
    "last": ("?a=1&access_token=KEY", "?a=1"),
    "in the middle": ("?a=1&access_token=KEY&b=50%", "?a=1&b=50%"),
    "escaped": ("?a=1&access_token=ESCAPED", "?a=1"),
    "with an escaped name": ("?a=1&%61ccess_token=KEY", "?a=1"),
    "as PHP reads it": ("?a=1&access.token=KEY", "?a=1"),
    "behind a semicolon": ("?a=1;access_token=KEY", "?a=1"),
    "in the shape of a JWT": ("?a=1&access_token=eyJh.e30.KEY", "?a=1"),
}


@cases("query", QUERIES)
def test_a_key_in_the_named_parameter_is_taken_and_cut_out(
    site: Gateway, shop: Upstream, key: str, query: tuple[str, str]
) -> None:
    """wire-rules.md#C15: the rest of the query stays as it came, and the page sends no Referer."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nReferrer-Policy: unsafe-url\r\nETag: x\r\nContent-Length: 0\r\n\r\n"
        )
    )
    given, kept = query
    target = "/files/photo.png" + given.replace("KEY", key).replace("ESCAPED", escaped(key))
    answer = ask(site.port, request(f"GET {target}"))
    assert status(answer) == 200
    assert shop.got.startswith(f"GET /files/photo.png{kept} HTTP/1.1\r\n".encode())
    assert b"\r\nAuthorization: Bearer ey" in shop.got
    assert key[3:].encode() not in shop.got
    policies = [line for line in field_lines(answer) if line.lower().startswith(b"referrer-")]
    assert policies == [b"Referrer-Policy: no-referrer"]
    assert fields_by_name(answer)["Cache-Control"] == "private"
    for log in (site.access_log, site.audit_log, site.log):
        assert key[3:] not in log.read_text()


def test_such_a_request_is_logged_without_its_query(
    site: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#C4."""
    assert status(ask(site.port, request(f"GET /files/logged?access_token={key}"))) == 200
    assert "lk_" not in json.dumps(site.records(path="/files/logged"))


def test_the_token_may_take_its_place(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C13: where the upstream reads it from the query, too."""
    assert status(ask(site.port, request(f"GET /swap/x?token={key}&a=1"))) == 200
    assert shop.got.startswith(b"GET /swap/x?a=1&token=ey")
    assert key.encode() not in shop.got


TWICE = [
    "?access_token=KEY&access_token=KEY",
    "?access_token=KEY&access_token=x",
    "?access_token=ESCAPED&%61ccess_token=KEY",
    "?access_token=KEY&k=KEY",
]


@pytest.mark.parametrize("query", TWICE)
def test_twice_is_malformed(site: Gateway, shop: Upstream, key: str, query: str) -> None:
    """wire-rules.md#C15: neither is picked by chance."""
    query = query.replace("KEY", key).replace("ESCAPED", escaped(key))
    assert status(ask(site.port, request(f"GET /files/x{query}"))) == 400
    assert shop.got == b""


ELSEWHERE = [
    "GET /api/x?access_token=KEY",
    "GET /public/x?access_token=KEY",
    "GET /public/x?access_token=ESCAPED",
    "GET /maybe/x?access_token=KEY",
    "GET /files/x?k=KEY",
    "GET /files/x?other=KEY",
    "GET /files/x?access_token=KEY&other=KEY",
    "GET /files/KEY?access_token=KEY",
    "GET /files/x?KEY",
    "GET /files/x?a=access_token=KEY",
    "POST /login?access_token=KEY",
    "POST /logout?access_token=KEY",
    "GET /sessions?access_token=KEY",
    "KEY /files/x?access_token=KEY",
]


@pytest.mark.parametrize("line", ELSEWHERE)
@pytest.mark.parametrize("more", [(), ("Accept: text/html", "Sec-Fetch-Mode: navigate")])
def test_a_key_elsewhere_in_a_url_stays_a_401(
    site: Gateway, shop: Upstream, key: str, line: str, more: tuple[str, ...]
) -> None:
    """wire-rules.md#C3: as on gateways that take none there at all."""
    line = line.replace("KEY", key).replace("ESCAPED", escaped(key))
    answer = ask(site.port, request(line, *more))
    assert status(answer) == 401
    assert b"Location" not in answer
    assert shop.got == b""
    assert key[3:].encode() not in answer
    if not more:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "key_in_url"


def test_other_keys_in_the_query_open_nothing(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C2, #C5: a dead one, one beside another one, and nothing."""
    dead, target = log_in(site.port), "GET /files/x?access_token="
    assert status(ask(site.port, request("POST /logout", f"Authorization: Bearer {dead}"))) == 204
    answer = ask(site.port, request(target + dead))
    assert status(answer) == 401
    assert b"\r\nReferrer-Policy: no-referrer\r\n" in answer
    other = log_in(site.port)
    for line in (f"Authorization: Bearer {other}", f"Cookie: latchkey={other}"):
        assert status(ask(site.port, request(target + key, line))) == 400
    for line in (f"Authorization: Bearer {key}", f"Cookie: latchkey={key}"):
        assert status(ask(site.port, request(target + key, line))) == 200
    assert status(ask(site.port, request("GET /maybe/x?k=null"))) == 200
    assert status(ask(site.port, request("GET /maybe/x?k=" + dead))) == 401


def test_a_proxy_that_asks_cannot_cut_it_out(site: Gateway, key: str) -> None:
    """wire-rules.md#C11: it would send the query on as it came."""
    described = (f"X-Forwarded-Uri: /files/x?access_token={key}", "X-Forwarded-Method: GET")
    answer = ask(site.port, request("GET /.well-known/latchkey/verify", *described))
    assert status(answer) == 401
    lines = ("X-Forwarded-Uri: /ws", "X-Forwarded-Method: GET")
    offered = f"Sec-WebSocket-Protocol: bearer, {key}"
    answer = ask(site.port, request("GET /.well-known/latchkey/verify", *lines, offered))
    assert status(answer) == 400


# WebSockets.


def handshake(path: str, *fields: str) -> bytes:
    """The handshake of a browser (RFC 6455 §4.1)."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: a.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: https://a.example",
        *fields,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def picking(name: str | None) -> bytes:
    """What a backend answers that picks this subprotocol, or none."""
    line = "" if name is None else f"Sec-WebSocket-Protocol: {name}\r\n"
    return (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{line}\r\n"
    ).encode()


def opened(site: Gateway, path: str, offered: str, *fields: str) -> tuple[int, str | None]:
    """The status of a handshake with this offer, and the subprotocol of its answer."""
    with Client(site.port) as client:
        client.send(handshake(path, f"Sec-WebSocket-Protocol: {offered}", *fields))
        head = client.head()
    assert b"eyJ" not in head
    return status(head), fields_by_name(head).get("Sec-WebSocket-Protocol")


def offered_to(shop: Upstream) -> str | None:
    shop.wait(lambda: b"\r\n\r\n" in shop.got)
    return fields_by_name(shop.got).get("Sec-WebSocket-Protocol")


K8S = "base64url.bearer.authorization.k8s.io."


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def test_a_pair_is_swapped_and_answered(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C15: the backend picks `bearer`, as it would without a gateway."""
    shop.clear(always(picking("bearer")))
    assert opened(site, "/ws", f"bearer, {key}") == (101, "bearer")
    got = offered_to(shop)
    assert got is not None
    assert got.startswith("bearer, ey")
    assert f"\r\nAuthorization: Bearer {got.partition(', ')[2]}\r\n".encode() in shop.got
    assert key.encode() not in shop.got


def test_a_key_of_kubernetes_is_swapped_and_answered(
    site: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#C15: the API server picks one of the other subprotocols."""
    shop.clear(always(picking("v4.channel.k8s.io")))
    offered = f"{K8S}{encoded(key)}, v4.channel.k8s.io"
    assert opened(site, "/ws", offered) == (101, "v4.channel.k8s.io")
    got = offered_to(shop)
    assert got is not None
    assert got.startswith(K8S + "ZXlK")
    assert encoded(key).encode() not in shop.got


@pytest.mark.parametrize(
    ("offered", "picked", "answered"),
    [
        ("bearer, KEY", None, "bearer"),
        ("chat, bearer, KEY", None, None),
        ("chat, bearer, KEY", "chat", "chat"),
    ],
)
def test_browsers_accept_the_answer(
    site: Gateway, shop: Upstream, key: str, offered: str, picked: str | None, answered: str | None
) -> None:
    """wire-rules.md#C15: it is one that they have offered; without one Chromium closes."""
    shop.clear(always(picking(picked)))
    assert opened(site, "/ws", offered.replace("KEY", key)) == (101, answered)


def test_a_backend_may_repeat_the_token(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C4: the browser gets the word before it."""

    def answer(visit: Visit) -> None:
        head = visit.head()
        visit.send(picking(fields_by_name(head)["Sec-WebSocket-Protocol"].partition(", ")[2]))

    shop.clear(answer)
    assert opened(site, "/ws", f"bearer, {key}") == (101, "bearer")


def test_with_send_token_it_is_cut(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C15: the upstream reads its token elsewhere."""
    shop.clear(always(picking(None)))
    assert opened(site, "/ws/cookie", f"bearer, {key}") == (101, "bearer")
    assert offered_to(shop) is None
    assert b"\r\nCookie: jwt=ey" in shop.got


@cases(
    "offered",
    {
        "a pair": "bearer, KEY, chat",
        "Kubernetes": K8S + "ENCODED, chat",
        "alone": "KEY, chat",
        "inside": "xKEY, chat",
    },
)
def test_a_key_where_it_is_not_read_goes_nowhere(
    site: Gateway, shop: Upstream, key: str, offered: str
) -> None:
    """wire-rules.md#C4: on other routes it is no credential, and is cut all the same."""
    offered = offered.replace("KEY", key).replace("ENCODED", encoded(key))
    assert opened(site, "/ws/other", offered)[0] == 401
    assert shop.got == b""
    shop.clear(always(picking("chat")))
    assert opened(site, "/ws/open", offered) == (101, "chat")
    assert offered_to(shop) == "chat"
    shop.clear()
    assert (
        status(ask(site.port, request("GET /public/x", f"Sec-WebSocket-Protocol: {offered}")))
        == 200
    )
    assert key.encode() not in shop.got
    assert encoded(key).encode() not in shop.got


def test_other_offers_pass_as_they_came(site: Gateway, shop: Upstream) -> None:
    """With a token of another kind, too: on a public route it is the client's own."""
    offered = f"bearer, {token_of('x')},chat"
    with Client(site.port) as client:
        client.send(handshake("/ws/open", f"Sec-WebSocket-Protocol: {offered}"))
        shop.wait(lambda: b"\r\n\r\n" in shop.got)
    assert offered_to(shop) == offered


def test_keys_that_differ_are_ambiguous(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#C2: in one offer, or beside a cookie."""
    other = log_in(site.port)
    assert opened(site, "/ws", f"bearer, {key}, {K8S}{encoded(other)}")[0] == 400
    assert opened(site, "/ws", f"bearer, {key}", f"Cookie: latchkey={other}")[0] == 400
    assert shop.got == b""


def test_too_many_subprotocols_beside_a_key_are_malformed(site: Gateway, key: str) -> None:
    """Each is searched for a key, so there is a limit; without a key there is none."""
    many = ", ".join(f"p{number}" for number in range(64))
    assert opened(site, "/ws", f"bearer, {key}, {many}")[0] == 400
    assert opened(site, "/ws", many)[0] == 401
