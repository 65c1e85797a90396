"""Paths that are other ones upstream: prefixes, a base path, rewrites; and the way back."""

from collections.abc import Iterator

import pytest

from gateway.core.sessions.keys import new_key
from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, field_lines, status

LOGIN = {"kind": "backend", "path": "/login", "upstream": "based", "backend_path": "/auth/login"}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def site(start: Start, server: Upstream) -> Gateway:
    public = {"auth": "public"}
    return start(
        upstreams={
            "plain": server.url,
            "based": server.url + "/base",
            "named": {"servers": server.url, "host": "shop.internal:81"},
        },
        login=[LOGIN],
        logout={"path": "/logout", "upstream": "based", "backend_path": "/auth/logout"},
        trusted_proxies=["127.0.0.1"],
        routes=[
            {"path": "/cut/*", "upstream": "plain", "strip_prefix": "/cut", **public},
            {"path": "/add/*", "upstream": "plain", "add_prefix": "/v1", **public},
            {
                "path": "/both/*",
                "upstream": "based",
                "add_prefix": "/v1",
                **public,
                "strip_prefix": "/both",
            },
            {"path": "/base/*", "upstream": "plain", **public},
            {"path": "/b/*", "upstream": "based", **public},
            {"path": "/auth/*", "upstream": "based", **public},
            {
                "path": "/old/*",
                "upstream": "plain",
                **public,
                "rewrite": {"match": "/old/(.*)", "to": "/new/$1"},
            },
            {
                "path": "/any/*",
                "upstream": "plain",
                **public,
                "rewrite": {"match": "/any/(.*)", "to": "/$1"},
            },
            {"path": "/item/{id}", "upstream": "based", "rewrite": "/items/${path.id}", **public},
            {
                "path": "/caught/*",
                "upstream": "based",
                "strip_prefix": "/caught",
                "auth": "required",
                "captures": "/token",
            },
            {"path": "/host/*", "upstream": "named", **public},
            {
                "path": "/left/*",
                "upstream": "based",
                "strip_prefix": "/left",
                "proxy_redirect": False,
                "proxy_cookie_path": False,
                **public,
            },
        ],
    )


@pytest.fixture(autouse=True)
def _cleared(server: Upstream) -> None:
    server.clear()


def get(site: Gateway, path: str, *lines: str, method: str = "GET") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    head = f"{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n"
    return ask(site.port, head.encode())


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/cut/x?q=%2F", "/x?q=%2F"),
        ("/add/x", "/v1/add/x"),
        ("/both/x?q", "/base/v1/x?q"),
        ("/b/x", "/base/b/x"),
        ("/old/x/y?q", "/new/x/y?q"),
        ("/item/5?q", "/base/items/5?q"),
        ("/item/a%20b", "/base/items/a%20b"),
    ],
)
def test_the_target_upstream(site: Gateway, server: Upstream, path: str, target: str) -> None:
    assert status(get(site, path)) == 200
    assert server.got.startswith(f"GET {target} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "path",
    [
        "/base/auth/login",
        "/BASE/auth//login/",
        "/base/%61uth/login.json",
        "/b/../auth/login",
        "/auth/login",
        "/cut/base/auth/login",
        "/old/../any/base/auth/login",
        "/any/base/auth/login",
        "/any/base/x/../auth/login",
        "/any/b%61se/auth;x/login",
        "/any/base%2Fauth%2Flogin",
        "/b/../../base/auth/login",
        "/cut/x/../../base/auth/login",
    ],
)
def test_no_route_leads_to_a_login(site: Gateway, server: Upstream, path: str) -> None:
    """wire-rules.md#E1: a login below a base path is guarded from each route that reaches it, by a
    prefix or by a rewrite, under every spelling.
    """
    for method in ("GET", "POST"):
        assert status(get(site, path, "Content-Length: 0", method=method)) in (400, 404)
    assert not server.visits


@pytest.mark.parametrize(
    "value", ["..", "%2e%2e", "a%2fb", "a%3fb=1", "a%23", "a%5cb", "a\\b", "."]
)
def test_a_value_of_a_path_stays_in_its_segment(
    site: Gateway, server: Upstream, value: str
) -> None:
    for path in (f"/item/{value}", f"/old/{value}"):
        assert status(get(site, path)) in (400, 404)
    assert not server.visits


def test_no_path_leaves_the_base(site: Gateway, server: Upstream) -> None:
    """What a backend would resolve to a path above the base is no path of the route."""
    for path in ("/b/../../admin", "/both/x/../../../../admin", "/both/../x"):
        assert status(get(site, path)) in (400, 404)
    assert not server.visits


def test_calls_of_the_gateway_go_below_the_base(site: Gateway, server: Upstream) -> None:
    """A login's backend_path, a logout's, and what a route that captures asks."""
    server.clear(always(b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"token": "not a token"}'))
    get(site, "/login", "Content-Length: 0", method="POST")
    assert server.got.startswith(b"POST /base/auth/login HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], b"/cut"),
        (["X-Forwarded-Prefix: /outer"], b"/outer/cut"),
        (["X-Forwarded-Prefix: /outer/"], b"/outer/cut"),
        (["X-Forwarded-Prefix: /"], b"/cut"),
        (["X-Forwarded-Prefix: /a, /b"], b"/cut"),
        (["X-Forwarded-Prefix: /a/../b"], b"/cut"),
        ([f"X-Forwarded-Prefix: /{new_key(bytes(32)).reveal()}"], b"/cut"),
        (["X-Forwarded-Prefix: /a", "X-Forwarded-Prefix: /b"], b"/cut"),
        (["X-Forwarded-Prefix: //evil.example"], b"/cut"),
        (["X_Forwarded-Prefix: /outer"], b"/cut"),
    ],
)
def test_the_upstream_learns_the_prefix(
    site: Gateway, server: Upstream, lines: list[str], expected: bytes
) -> None:
    """X-Forwarded-Prefix stands once, behind what a trusted proxy has cut before.

    It is a plain path on each route: backends begin links with it, and the proxy may have passed on
    what its client wrote.
    """
    for path, own in (("/cut/x", b"/cut"), ("/base/x", b"")):
        server.clear()
        get(site, path, *lines)
        found = [line for line in field_lines(server.got) if b"prefix" in line.lower()]
        outer = expected.removesuffix(b"/cut")
        assert found == ([b"X-Forwarded-Prefix: " + outer + own] if outer + own else [])


def test_no_client_names_a_prefix(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#B10: what an untrusted client says of a prefix goes nowhere."""
    for path in ("/public/x", "/strip/x"):
        get(relay, path, "X-Forwarded-Prefix: /evil", "x_forwarded_prefix: /evil")
        assert b"evil" not in shop.got
    assert b"\r\nX-Forwarded-Prefix: /strip\r\n" in shop.got


@pytest.mark.parametrize(
    ("path", "line", "expected"),
    [
        ("/cut/a/b", "Location: /x?y", "Location: /cut/x?y"),
        ("/cut/a/b", "location: ../c", "location: /cut/c"),
        ("/cut/a/b", "Content-Location: http://a.example/x", ""),
        ("/both/a", "Location: /base/v1/x", "Location: /both/x"),
        ("/both/a", "Set-Cookie: a=1; Path=/base/v1/x", "Set-Cookie: a=1; Path=/both/x"),
        ("/both/a", "Set-Cookie: a=1; Path=/", "Set-Cookie: a=1; Path=/both"),
        ("/b/a", "Location: /base/b/", "Location: /b/"),
        ("/host/a", "Location: http://shop.internal:81/x", "Location: /x"),
        ("/host/a", "Location: https://id.example/x", "Location: https://id.example/x"),
        ("/item/5", "Location: /base/items/6", "Location: /items/6"),
        ("/left/a", "Location: /base/x", "Location: /base/x"),
        ("/left/a", "Set-Cookie: a=1; Path=/base", "Set-Cookie: a=1; Path=/base"),
    ],
)
def test_the_way_back(site: Gateway, server: Upstream, path: str, line: str, expected: str) -> None:
    """Redirects and cookies name paths as the client knows them."""
    server.clear(always(f"HTTP/1.1 302 Found\r\n{line}\r\nContent-Length: 0\r\n\r\n".encode()))
    expected = expected or "Content-Location: http://a.example/cut/x"
    assert expected.encode() in field_lines(get(site, path))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pub.example/x", "https://pub.example/cut/x"),
        ("/outer/cut/x", "/outer/cut/x"),
        ("https://pub.example/outer/cut/x", "https://pub.example/outer/cut/x"),
        ("/x", "/cut/x"),
    ],
)
def test_links_of_a_backend_that_reads_what_a_proxy_in_front_told(
    site: Gateway, server: Upstream, url: str, expected: str
) -> None:
    """Its X-Forwarded-Host is the client's host, and its prefix stands before the route's."""
    server.clear(
        always(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())
    )
    told = ("X-Forwarded-Host: pub.example", "X-Forwarded-Prefix: /outer")
    assert f"Location: {expected}".encode() in field_lines(get(site, "/cut/x", *told))


def test_a_host_that_is_set(site: Gateway, server: Upstream) -> None:
    get(site, "/host/x")
    assert b"\r\nHost: shop.internal:81\r\n" in server.got
    assert b"\r\nX-Forwarded-Host: a.example\r\n" in server.got
