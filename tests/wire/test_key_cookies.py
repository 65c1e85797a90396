"""wire-rules.md#E4, #E7, #E8: keys that come and go in a cookie."""

import pytest

from tests.conftest import Start, accounts, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, status
from tests.wire.vectors import LOGIN, cases


@pytest.fixture(scope="module")
def by_cookie(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway whose login hands the key out in a cookie, and that tells the backend of logouts
    where nothing listens.
    """
    return start(
        upstreams={
            "shop": upstream.url,
            "accounts": login_upstream.url,
            "nowhere": "http://127.0.0.1:1",
        },
        login={"kind": "backend", "path": "/login", "upstream": "accounts", "token": "cookie:sid"},
        logout={"path": "/logout", "upstream": "nowhere", "backend_path": "/bye"},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    )


def cookie_of(relay: Gateway, login_upstream: Upstream) -> bytes:
    """Logs in, and returns the cookie that came back."""
    login_upstream.clear(
        always(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=%b; Path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n"
            % token_of("alice").encode()
        )
    )
    try:
        answer = ask(relay.port, LOGIN % b"")
    finally:
        login_upstream.clear(accounts)
    assert b"eyJ" not in answer
    return answer.partition(b"\r\nSet-Cookie: ")[2].partition(b";")[0]


def test_a_backend_logout_that_fails_keeps_no_key_alive(
    by_cookie: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#E4: that does not keep the key alive."""
    cookie = cookie_of(by_cookie, login_upstream)
    assert cookie.startswith(b"sid=lk_")
    line = b"Cookie: " + cookie + b"\r\n"
    request = b"%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n"
    assert status(ask(by_cookie.port, request % (b"GET /api/", line))) == 200
    own = line + b"Sec-Fetch-Site: same-origin\r\n"
    assert status(ask(by_cookie.port, request % (b"POST /logout", line))) == 403
    assert status(ask(by_cookie.port, request % (b"POST /logout", own))) == 204
    assert status(ask(by_cookie.port, request % (b"GET /api/", line))) == 401


@pytest.mark.parametrize("name", [b"sid", b" sid ", b"sid "])
@pytest.mark.parametrize("path", [b"/public/", b"/api/"])
def test_no_upstream_sets_the_logins_cookie(
    by_cookie: Gateway, shop: Upstream, login_upstream: Upstream, path: bytes, name: bytes
) -> None:
    """wire-rules.md#E7: no upstream sets it, on whatever route, for whomever."""
    line = b"Cookie: " + cookie_of(by_cookie, login_upstream) + b"\r\n"
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie:%b=evil\r\n"
            b"set-cookie: sidecar=1\r\n\r\n" % name
        )
    )
    request = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    for lines in (line, b"") if path == b"/public/" else (line,):
        answer = ask(by_cookie.port, request + lines + b"\r\n")
        assert status(answer) == 200
        assert b"evil" not in answer
        assert b"\r\nset-cookie: sidecar=1\r\n" in answer


def test_a_swap_from_a_cookie_is_private(
    by_cookie: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#E8 [9111 §3.5]: no shared cache in front may keep what only this cookie's owner
    may see.
    """
    line = b"Cookie: " + cookie_of(by_cookie, login_upstream) + b"\r\n"
    shop.clear(always(b"HTTP/1.1 200 OK\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n"))
    answer = ask(
        by_cookie.port, b"GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + line + b"\r\n"
    )
    assert b"\r\nCookie: sid=ey" in shop.got
    assert b"\r\nCache-Control: private\r\nVary: Cookie\r\n" in answer
    assert b"\r\nVary: Accept\r\n" in answer


def test_no_upstream_sets_the_cookie_that_the_key_came_in(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#E7: a Set-Cookie with the name that the key came in is dropped."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: session=evil\r\n"
            b"Set-Cookie: a=b\r\n\r\nok"
        )
    )
    request = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: session=%b\r\n\r\n"
    for path in (b"/api/", b"/maybe/", b"/public/"):
        answer = ask(relay.port, request % (path, key.encode()))
        assert b"evil" not in answer, path
        assert b"\r\nSet-Cookie: a=b\r\n" in answer


TRIP = b"latchkey-Ab3_x-9Z=lk_trip." + b"Ab-_9" * 60


@cases(
    "lines",
    {
        "among others": (b"a=b; TRIP; c=d", b"Cookie: a=b; c=d"),
        "several": (b"TRIP; a=b;TRIP", b"Cookie: a=b"),
        "alone": (b"TRIP", b""),
        "that is none": (b"a=lk_trip.%; b=lk_trip.", b"Cookie: a=lk_trip.%; b=lk_trip."),
    },
)
@pytest.mark.parametrize("path", [b"/public/", b"/api/"])
def test_the_login_states_cookie_reaches_no_upstream(
    relay: Gateway, shop: Upstream, key: str, lines: tuple[bytes, bytes], path: bytes
) -> None:
    """wire-rules.md#B12: a browser that is on its way to log in shows that to no upstream."""
    given, kept = lines
    shop.clear()
    answer = ask(
        relay.port,
        b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %b\r\n"
        b"Cookie: %b\r\n\r\n" % (path, key.encode(), given.replace(b"TRIP", TRIP)),
    )
    assert status(answer) == 200
    assert TRIP not in shop.got
    assert b"X-Latchkey-" not in shop.got
    found = [line for line in shop.got.split(b"\r\n") if line.startswith(b"Cookie:")]
    assert found == ([kept] if kept else [])


def test_no_upstream_sets_the_login_states_cookie(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E7: or it could have a visitor log in as another person."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: %b; Path=/\r\n"
            b"Set-Cookie: a=b\r\n\r\nok" % TRIP
        )
    )
    answer = ask(relay.port, b"GET /public/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"lk_trip" not in answer
    assert b"\r\nSet-Cookie: a=b\r\n" in answer
