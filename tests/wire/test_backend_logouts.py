"""wire-rules.md#E17: a backend's own logout, reached by a route: it ends the gateway's session as
well.
"""

from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, log_in
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, Visit, always, ask, request, status
from tests.support.redis_server import RedisServer, redis_server
from tests.wire.vectors import cases

OWN = "Sec-Fetch-Site: same-origin"

LOGOUT = {"path": "/logout", "upstream": "shop", "backend_path": "/api/auth/logout"}


def sections(upstream: Upstream, login_upstream: Upstream, **changes: object) -> dict[str, object]:
    return {
        "upstreams": {
            "shop": upstream.url,
            "alias": upstream.url.replace("127.0.0.1", "localhost"),
            "other": login_upstream.url,
        },
        "login": {**LOGIN, "upstream": "other", "token": "/token"},
        "logout": LOGOUT,
        "verify": {},
        "routes": [
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/alias/*", "upstream": "alias", "strip_prefix": "/alias"},
            {"path": "/open/*", "upstream": "shop", "strip_prefix": "/open", "auth": "public"},
            {"path": "/maybe/*", "upstream": "shop", "strip_prefix": "/maybe", "auth": "optional"},
            {"path": "/captured/*", "upstream": "shop", "strip_prefix": "/captured"}
            | {"captures": "/token"},
            {"path": "/other/*", "upstream": "other", "strip_prefix": "/other"},
        ],
        **changes,
    }


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway that knows where its backend logs people out."""
    return start(**sections(upstream, login_upstream))


@pytest.fixture
def key(site: Gateway) -> str:
    return log_in(site.port)


def send(relay: Gateway, line: str, *fields: str) -> bytes:
    return ask(relay.port, request(line, *fields, host="shop.example"))


def lives(relay: Gateway, key: str) -> bool:
    return status(send(relay, "GET /api/x", f"Authorization: Bearer {key}")) == 200


WAYS = {
    "the route": "POST /api/auth/logout",
    "another method": "DELETE /api/auth/logout",
    "a query": "POST /api/auth/logout?everywhere=1",
    "a prefix": "POST /maybe/api/auth/logout",
    "another name of the server": "POST /alias/api/auth/logout",
    "a public route": "POST /open/api/auth/logout",
    "a route that captures": "POST /captured/api/auth/logout",
    "a spelling in escapes": "POST /api/auth/%6cogout",
}


@cases("line", WAYS)
def test_a_declared_logout_ends_the_session(
    site: Gateway, shop: Upstream, key: str, line: str
) -> None:
    """wire-rules.md#E4: the session ends, whichever way leads to it; the backend's answer is the
    answer.
    """
    shop.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye"))
    answer = send(site, line, f"Authorization: Bearer {key}")
    assert (status(answer), answer[-3:]) == (200, b"bye")
    assert (b"\r\nAuthorization: Bearer eyJ" in shop.got) is ("/open/" not in line)
    assert not lives(site, key)
    [event] = site.events(event="logout", reason="backend_path")[-1:]
    assert (event["subject"], event["address"]) == ("alice", "127.0.0.1")


@cases(
    "line",
    {
        "only looked at": "GET /api/auth/logout",
        "asked what may be done": "OPTIONS /api/auth/logout",
        "another path": "POST /api/auth/logout/all",
        "another upstream": "POST /other/api/auth/logout",
    },
)
def test_an_undeclared_path_ends_nothing(
    site: Gateway, shop: Upstream, key: str, line: str
) -> None:
    """wire-rules.md#E4: what is not declared ends nothing."""
    send(site, line, f"Authorization: Bearer {key}")
    assert lives(site, key)


@pytest.mark.parametrize("code", [b"401 Unauthorized", b"403 Forbidden", b"500 Server Error"])
def test_a_backend_that_fails_keeps_no_key_alive(
    site: Gateway, shop: Upstream, key: str, code: bytes
) -> None:
    """wire-rules.md#E4: that keeps no key alive, and its answer passes as it is."""
    shop.clear(always(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % code))
    answer = send(site, "POST /api/auth/logout", f"Authorization: Bearer {key}")
    assert status(answer) == int(code[:3])
    shop.clear()
    assert not lives(site, key)


def test_a_logout_by_cookie_comes_from_the_sites_own_pages(
    site: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#E4: only from the site's own pages; the browser forgets the cookie, and all
    keys end.
    """
    again = log_in(site.port)
    line = f"Cookie: latchkey={key}; latchkey={again}"
    for path in ("/api/auth/logout", "/open/api/auth/logout"):
        answer = send(site, f"POST {path}", line, "Sec-Fetch-Site: cross-site")
        assert b"Set-Cookie" not in answer
    assert lives(site, key)
    answer = send(site, "POST /api/auth/logout", line, OWN)
    assert status(answer) == 200
    assert b"\r\nSet-Cookie: latchkey=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax\r\n" in answer
    assert not lives(site, key)
    assert not lives(site, again)


def test_a_logout_ends_what_the_session_holds_open(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#E4: it ends; but the logout's own answer, however slow it is, does not."""

    def slow(visit: Visit) -> None:
        if b"/logout" in visit.request():
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nby")

    shop.clear(slow)
    head = "Host: a\r\nAuthorization: Bearer " + key + "\r\n\r\n"
    with Client(site.port) as waiting, Client(site.port) as leaving:
        waiting.send(f"GET /api/wait HTTP/1.1\r\n{head}".encode())
        shop.wait(lambda: b"/api/wait" in shop.got)
        leaving.send(f"POST /api/auth/logout HTTP/1.1\r\n{head}".encode())
        assert status(waiting.head()) == 401
        assert status(leaving.head()) == 200
        assert leaving.exactly(2) == b"by"
        leaving.sock.settimeout(1.5)  # longer than a tick of the clock that ends what is open
        with pytest.raises(TimeoutError):
            leaving.exactly(2)


def test_a_proxy_that_asks_ends_the_session(site: Gateway, key: str) -> None:
    """wire-rules.md#E4: the session ends by its question, as it hands the request on with the
    answer's token.
    """
    described = ("X-Forwarded-Method: POST", "X-Forwarded-Uri: /api/auth/logout")
    line = "GET /.well-known/latchkey/verify"
    answer = send(site, line, *described, f"Authorization: Bearer {key}")
    assert status(answer) == 200
    assert b"\r\nAuthorization: Bearer eyJ" in answer
    assert not lives(site, key)


def test_no_logout_while_the_store_is_away(
    tmp_path: Path, upstream: Upstream, login_upstream: Upstream, shop: Upstream
) -> None:
    """wire-rules.md#E14: 503, nothing reaches the backend, and the browser keeps its cookie."""
    with (
        redis_server(tmp_path) as store,
        gateway(tmp_path / "gateway", store.url, **sections(upstream, login_upstream)) as alone,
    ):
        key = log_in(alone.port)
        assert lives(alone, key)
        shop.clear()
        store.freeze()
        answer = send(alone, "POST /api/auth/logout", f"Cookie: latchkey={key}", OWN)
        assert (status(answer), b"Set-Cookie" in answer) == (503, False)
        assert b"logout" not in shop.got
        store.thaw()


def test_a_link_logs_out_where_get_is_declared(
    tmp_path: Path, redis: RedisServer, upstream: Upstream, login_upstream: Upstream, shop: Upstream
) -> None:
    """wire-rules.md#E4, #C7: where the declared method is GET, a link logs out, and so does a HEAD,
    which backends answer as GET.
    """
    changed = sections(upstream, login_upstream, logout={**LOGOUT, "method": "GET"})
    with gateway(tmp_path, redis.url, **changed) as alone:
        for method, ends in (("OPTIONS", False), ("HEAD", True), ("GET", True)):
            key = log_in(alone.port)
            send(alone, f"{method} /api/auth/logout", f"Authorization: Bearer {key}")
            assert lives(alone, key) is not ends
