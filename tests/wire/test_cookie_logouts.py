"""wire-rules.md#E17: backends that log out by their cookie, in which the key travels: the session
ends with it.
"""

import re
from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, accounts, json_answer, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, Visit, always, ask, request, set_cookies, status
from tests.support.redis_server import redis_server
from tests.wire.vectors import cases

PAST = "Thu, 01 Jan 1970 00:00:00 GMT"
DELETED = f"Set-Cookie: sid=; Path=/; Expires={PAST}; HttpOnly"


def sections(upstream: Upstream, login_upstream: Upstream) -> dict[str, object]:
    return {
        "upstreams": {"shop": upstream.url, "accounts": login_upstream.url},
        "login": [
            {**LOGIN, "token": "/token"},
            {**LOGIN, "path": "/api/auth/login", "token": "cookie:sid"},
        ],
        "verify": {},
        "routes": [
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {"path": "/open/*", "upstream": "shop", "auth": "public"},
            {"path": "/captured/*", "upstream": "shop", "captures": "cookie:sid"}
            | {"strip_prefix": "/captured"},
            {"path": "/json/*", "upstream": "shop", "captures": "/token"},
        ],
    }


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway whose backend hands its token out in a cookie."""
    return start(**sections(upstream, login_upstream))


def send(relay: Gateway, line: str, *fields: str) -> bytes:
    own = "Sec-Fetch-Site: same-origin"
    return ask(relay.port, request(line, own, *fields, host="www.shop.example"))


def log_in(relay: Gateway, login_upstream: Upstream, attributes: str = "Path=/; HttpOnly") -> str:
    """The key that comes in the backend's cookie."""
    line = f"Set-Cookie: sid={token_of('alice')}; {attributes}"
    login_upstream.clear(always(json_answer("200 OK", {"ok": True}, line)))
    try:
        answer = send(relay, "POST /api/auth/login", "Content-Length: 0")
    finally:
        login_upstream.clear(accounts)
    found = re.search(rb"\r\nSet-Cookie: sid=(lk_[\w-]{49}); ", answer)
    assert found is not None, answer
    return found[1].decode()


@pytest.fixture
def key(site: Gateway, login_upstream: Upstream) -> str:
    return log_in(site, login_upstream)


def lives(relay: Gateway, shop: Upstream, key: str) -> bool:
    shop.clear()
    return status(send(relay, "GET /api/x", f"Authorization: Bearer {key}")) == 200


ROUTES = ["/api/x", "/maybe/x", "/open/x", "/captured/x", "/json/x"]


@pytest.mark.parametrize("path", ROUTES)
@cases(
    "line",
    {
        "Express": DELETED,
        "Flask": f"Set-Cookie: sid=; Expires={PAST}; Max-Age=0; Path=/",
        "fastapi-users": 'Set-Cookie: sid=""; HttpOnly; Max-Age=0; Path=/; SameSite=lax; Secure',
        "PHP": "set-cookie: sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
        "a guest's": "Set-Cookie: sid=guest-of-the-shop; Path=/",
        "another person's": f"Set-Cookie: sid={token_of('mallory')}; Path=/",
    },
)
def test_a_deleted_or_replaced_cookie_ends_the_session(
    site: Gateway, shop: Upstream, key: str, path: str, line: str
) -> None:
    """wire-rules.md#E4: by whatever route: the session has ended when the answer comes, and the
    browser forgets the cookie; nothing else comes in it (wire-rules.md#E7).
    """
    if "eyJ" in line and path in ("/open/x", "/captured/x"):
        # There it is not known whose the session is, so nothing ends; and here it is captured, which
        # is refused (502 other_subject).
        line = DELETED
    shop.clear(always(json_answer("200 OK", {"bye": 1}, line, "Set-Cookie: theme=dark")))
    answer = send(site, f"POST {path}", f"Cookie: a=b; sid={key}", "Content-Length: 0")
    assert (status(answer), answer[-10:]) == (200, b'{"bye": 1}')
    values = set_cookies(answer)
    assert "theme=dark" in values
    assert [value for value in values if value.startswith("sid=; Max-Age=0; Path=/")]
    assert all(value.startswith("sid=; ") for value in values if value != "theme=dark")
    assert not lives(site, shop, key)
    [event] = site.events(event="logout", reason="cookie")[-1:]
    assert (event["subject"], event["address"]) == ("alice", "127.0.0.1")


@pytest.mark.parametrize("code", ["302 Found", "401 Unauthorized", "500 Oh", "204 No Content"])
@pytest.mark.parametrize("path", ["/api/x", "/captured/x"])
def test_answers_of_any_status_end_the_session(
    site: Gateway, shop: Upstream, key: str, code: str, path: str
) -> None:
    """wire-rules.md#E4: a browser takes a deletion from each."""
    shop.clear(always(f"HTTP/1.1 {code}\r\n{DELETED}\r\nContent-Length: 0\r\n\r\n".encode()))
    answer = send(site, f"GET {path}", f"Cookie: sid={key}")
    assert status(answer) == int(code[:3])
    assert "sid=; Max-Age=0; Path=/; HttpOnly" in set_cookies(answer)
    assert not lives(site, shop, key)


@pytest.mark.parametrize("path", ["/api/x", "/open/x", "/json/x"])
def test_a_new_token_of_the_same_person_is_no_logout(
    site: Gateway, shop: Upstream, key: str, path: str
) -> None:
    """wire-rules.md#E7: a backend that gives one with each answer does not log out; the token does
    not come.
    """
    for line in (
        f"Set-Cookie: sid={token_of('alice', n=1)}; Path=/; Max-Age=3600",
        f"Set-Cookie: sid=; Path=/old; Max-Age=0\r\nSet-Cookie: sid={token_of('alice')}; Path=/",
    ):
        shop.clear(always(json_answer("200 OK", {}, line)))
        answer = send(site, f"GET {path}", f"Cookie: sid={key}")
        assert (status(answer), set_cookies(answer)) == (200, [])
        assert b"eyJ" not in answer
    assert lives(site, shop, key)


def test_no_backend_deletes_the_gateways_own_cookie(
    site: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#E7: no backend knows of it, so none can mean it."""
    for name in ("latchkey", "__Host-latchkey"):
        shop.clear(always(json_answer("200 OK", {}, f"Set-Cookie: {name}=; Max-Age=0; Path=/")))
        answer = send(site, "GET /api/x", f"Cookie: {name}={key}")
        assert (status(answer), set_cookies(answer)) == (200, [])
        assert lives(site, shop, key)


@pytest.mark.parametrize("path", ["/api/x", "/json/x"])
def test_clear_site_data_ends_the_session(
    site: Gateway, shop: Upstream, key: str, path: str
) -> None:
    """wire-rules.md#E4: by Clear-Site-Data, the gateway's own as well."""
    cleared = 'Clear-Site-Data: "cache", "cookies"'
    shop.clear(always(json_answer("200 OK", {}, cleared)))
    answer = send(site, f"GET {path}", f"Cookie: latchkey={key}")
    assert status(answer) == 200
    assert f"\r\n{cleared}\r\n".encode() in answer
    assert "latchkey=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax" in set_cookies(answer)
    assert not lives(site, shop, key)


def test_a_cookie_that_the_device_lacks_ends_nothing(
    site: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#E4: a cookie that this device does not have says nothing of its session."""
    for line, more in (
        (f"Authorization: Bearer {key}", 'Clear-Site-Data: "*"'),
        (f"Cookie: latchkey={key}", "X-More: 1"),
    ):
        shop.clear(always(json_answer("200 OK", {}, DELETED, more)))
        assert status(send(site, "GET /api/x", line)) == 200
        assert lives(site, shop, key)


def test_a_logouts_answer_is_held_back_as_a_whole(site: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#E4: it is held back as a whole, and comes as a whole."""

    def closing(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.0 200 OK\r\n%b\r\n\r\n" % DELETED.encode() + b"x" * 300_000)
        visit.finish()

    shop.clear(closing)
    with Client(site.port) as client:
        client.send(b"GET /api/x HTTP/1.0\r\nHost: a\r\nCookie: sid=%b\r\n\r\n" % key.encode())
        assert status(client.head()) == 200
        assert client.rest() == b"x" * 300_000
    assert not lives(site, shop, key)


def test_no_logout_while_the_store_is_away(
    tmp_path: Path, upstream: Upstream, login_upstream: Upstream, shop: Upstream
) -> None:
    """wire-rules.md#E14: 503, and not the backend's answer, which would call the logout done."""
    with (
        redis_server(tmp_path) as store,
        gateway(tmp_path / "gateway", store.url, **sections(upstream, login_upstream)) as alone,
    ):
        for path in ("/api/x", "/captured/x"):
            key = log_in(alone, login_upstream)
            assert lives(alone, shop, key)

            def away(visit: Visit) -> None:
                visit.request()
                store.freeze()
                visit.send(json_answer("200 OK", {"bye": 1}, DELETED))

            shop.clear(away)
            answer = send(alone, f"GET {path}", f"Cookie: sid={key}")
            store.thaw()
            assert (status(answer), set_cookies(answer)) == (503, [])
            assert b"bye" not in answer


# Where the cookie is deleted.


@cases(
    "attributes",
    {
        "as ours": ("Path=/; HttpOnly", "Path=/; HttpOnly; SameSite=Lax"),
        "of a folder": ("Path=/shop; Secure", "Path=/shop; Secure"),
        "of no folder": ("HttpOnly", "Path=/api/auth; HttpOnly"),
        "of a domain": ("Domain=.shop.example; Path=/", "Path=/; Domain=.shop.example"),
        "for frames": (
            "Path=/; SameSite=None; Secure; Partitioned; Max-Age=60",
            "Path=/; SameSite=None; Secure; Partitioned",
        ),
    },
)
def test_a_logout_deletes_the_cookie_where_it_was_set(
    site: Gateway, shop: Upstream, login_upstream: Upstream, attributes: tuple[str, str]
) -> None:
    """wire-rules.md#E4: a browser forgets a cookie only by the path and the domain that it was set
    with.
    """
    given, kept = attributes
    for line in ("POST /logout", "GET /logout"):
        key = log_in(site, login_upstream, given)
        answer = send(site, line, f"Cookie: sid={key}")
        assert (status(answer), set_cookies(answer)) == (204, [f"sid=; Max-Age=0; {kept}"])
    key = log_in(site, login_upstream, given)
    answer = send(site, "POST /logout", f"Cookie: latchkey={key}")
    assert set_cookies(answer) == ["latchkey=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]


def test_a_logout_after_the_cookie_has_moved(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#E4: a captured token may come in a cookie of another place, which is the key's
    from then on.
    """
    key = log_in(site, login_upstream)
    for attributes in ("Path=/app", "HttpOnly"):
        new = f"Set-Cookie: sid={token_of('alice', n=attributes)}; {attributes}"
        shop.clear(always(json_answer("200 OK", {}, new)))
        answer = send(site, "GET /captured/x", f"Cookie: sid={key}")
        assert set_cookies(answer) == [f"sid={key}; {attributes}"]
    answer = send(site, "POST /logout", f"Cookie: sid={key}")
    assert set_cookies(answer) == ["sid=; Max-Age=0; Path=/captured; HttpOnly"]
