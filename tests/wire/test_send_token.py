"""wire-rules.md#C13: a session's token goes to its upstream where that reads it."""

import json
import re

import pytest

from tests.conftest import LOGIN, Start, accounts, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, field_lines, request, set_cookies, status
from tests.wire.vectors import cases

# By the name of an upstream: how it reads tokens. All are the shop.
SENDINGS = {
    "auto": "auto",
    "bearer": "bearer",
    "scheme": "scheme:Token",
    "bare": "header:Authorization",
    "header": "header:x-access-token",
    "cookie": "cookie:access_token_cookie",
    "query": "query:access_token",
}

BEARER = "Authorization: Bearer TOKEN"

# By the path of a login: the place of the token in its replies, and what goes upstream as it
# came, for a key in Authorization.
LOGINS = {
    "/login/body": ("auto", [BEARER]),
    "/login/cookie": ("cookie:sid", [BEARER, "Cookie: sid=TOKEN"]),
    "/login/quoted": ("cookie:auth", [BEARER, 'Cookie: auth="Bearer TOKEN"']),
    "/login/field": ("header:X-Auth", [BEARER, "X-Auth: TOKEN"]),
    "/login/scheme": ("header:Authorization", ["Authorization: JWT TOKEN"]),
}
LINES = {
    "/login/cookie": "Set-Cookie: sid=TOKEN; Path=/; HttpOnly",
    "/login/quoted": 'Set-Cookie: auth="Bearer TOKEN"; Path=/',
    "/login/field": "X-Auth: TOKEN",
    "/login/scheme": "Authorization: JWT TOKEN",
}


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway before one shop, which reads tokens in many ways."""
    return start(
        upstreams={
            **{name: {"servers": upstream.url, "send_token": it} for name, it in SENDINGS.items()},
            "accounts": login_upstream.url,
        },
        login=[
            {**LOGIN, "path": path, "token": place, "backend_path": path, "subject_prefix": ""}
            for path, (place, _) in LOGINS.items()
        ],
        logout={"path": "/logout", "upstream": "auto", "backend_path": "/bye"},
        guessing="off",
        verify={},
        routes=[
            *({"path": f"/{name}/*", "upstream": name} for name in SENDINGS),
            {"path": "/cookie/own", "upstream": "cookie", "send_token": "header:X-Own"},
            {"path": "/cookie/auto", "upstream": "cookie", "send_token": "auto"},
            {"path": "/maybe/*", "upstream": "cookie", "auth": "optional"},
            {"path": "/cut/*", "upstream": "query", "strip_prefix": "/cut"},
            {"path": "/captured/*", "upstream": "auto", "captures": "/token"},
            {"path": "/captured/cookie", "upstream": "cookie", "captures": "/token"},
        ],
    )


def log_in(site: Gateway, login_upstream: Upstream, path: str = "/login/body") -> tuple[str, str]:
    """A key, and the token behind it."""
    token = token_of("alice", at=path)
    line = LINES.get(path, "X-None: 1").replace("TOKEN", token)
    body = {"token": token} if path == "/login/body" else {"ok": True}
    login_upstream.clear(always(json_answer("200 OK", body, line)))
    try:
        answer = ask(site.port, request(f"POST {path}", "Content-Length: 0"))
    finally:
        login_upstream.clear(accounts)
    assert status(answer) == 200, answer
    found = re.search(rb"lk_[\w-]{49}", answer)
    assert found is not None
    return found[0].decode(), token


def got(shop: Upstream, token: str) -> list[str]:
    """The lines with the token that the shop got, with the target in front."""
    target = shop.got.split(b" ")[1].decode()
    lines = [line.decode() for line in field_lines(shop.got) if token.encode() in line]
    return [text.replace(token, "TOKEN") for text in (target, *lines)]


PLACES = {
    "auto": ["/auto/x?a=1", "Authorization: Bearer TOKEN"],
    "bearer": ["/bearer/x?a=1", "Authorization: Bearer TOKEN"],
    "scheme": ["/scheme/x?a=1", "Authorization: Token TOKEN"],
    "bare": ["/bare/x?a=1", "Authorization: TOKEN"],
    "header": ["/header/x?a=1", "x-access-token: TOKEN"],
    "cookie": ["/cookie/x?a=1", "Cookie: access_token_cookie=TOKEN"],
    "query": ["/query/x?a=1&access_token=TOKEN"],
    "cookie/own": ["/cookie/own?a=1", "X-Own: TOKEN"],
    "cookie/auto": ["/cookie/auto?a=1", "Authorization: Bearer TOKEN"],
    "maybe": ["/maybe/x?a=1", "Cookie: access_token_cookie=TOKEN"],
    "cut": ["/x?a=1&access_token=TOKEN"],
}


@pytest.mark.parametrize("name", PLACES)
def test_the_token_goes_where_its_upstream_reads_it(
    site: Gateway, shop: Upstream, login_upstream: Upstream, name: str
) -> None:
    """wire-rules.md#C13: there and nowhere else, as the upstream or the route says."""
    key, token = log_in(site, login_upstream)
    path = f"/{name}" if "/" in name else f"/{name}/x"
    bearer = f"Authorization: Bearer {key}"
    assert status(ask(site.port, request(f"GET {path}?a=1", bearer))) == 200
    assert got(shop, token) == PLACES[name]
    assert (b"\r\nAuthorization: " in shop.got) == any("Authorization" in x for x in PLACES[name])
    assert key.encode() not in shop.got
    assert b"\r\nX-User-Id: alice\r\n" in shop.got


@pytest.mark.parametrize("path", LOGINS)
def test_by_default_the_token_goes_as_it_came(
    site: Gateway, shop: Upstream, login_upstream: Upstream, path: str
) -> None:
    """wire-rules.md#C13: a token that came in a cookie goes back in it, and so for a field."""
    key, token = log_in(site, login_upstream, path)
    bearer = f"Authorization: Bearer {key}"
    for route in ("/auto/x", "/captured/x"):
        shop.clear()
        assert status(ask(site.port, request(f"GET {route}", bearer))) == 200
        assert got(shop, token) == [route, *LOGINS[path][1]]
    shop.clear()
    assert status(ask(site.port, request("GET /bearer/x", bearer))) == 200
    assert got(shop, token) == ["/bearer/x", "Authorization: Bearer TOKEN"]


@cases(
    "line",
    {
        "plain": 'Cookie: auth="Bearer KEY"; a=1',
        "without quotes": "Cookie: auth=Bearer KEY; a=1",
        "in escapes": "Cookie: auth=Bearer%20KEY; a=1",
    },
)
def test_a_cookie_keeps_the_text_around_its_token(
    site: Gateway, shop: Upstream, login_upstream: Upstream, line: str
) -> None:
    """wire-rules.md#C13: FastAPI's backends write `Bearer ` before it, in quotes."""
    key, token = log_in(site, login_upstream, "/login/quoted")
    assert status(ask(site.port, request("GET /auto/x", line.replace("KEY", key)))) == 200
    assert got(shop, token) == ["/auto/x", 'Cookie: auth="Bearer TOKEN"; a=1']


def test_the_other_cookies_stay_and_the_clients_own_one_goes(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#C13: in each spelling of its name."""
    key, token = log_in(site, login_upstream)
    cookies = f"Cookie: a=1; access_token_cookie=mine; latchkey={key}; access%5Ftoken_cookie=x; b=2"
    assert status(ask(site.port, request("GET /cookie/x", cookies))) == 200
    assert got(shop, token)[1] == "Cookie: access_token_cookie=TOKEN; a=1; b=2"
    assert shop.got.lower().count(b"\r\ncookie:") == 1


def test_the_clients_own_field_and_parameter_go(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#C13: no backend is to choose between two tokens."""
    key, token = log_in(site, login_upstream)
    bearer = f"Authorization: Bearer {key}"
    fields = ["x-access-token: mine", "X_Access_Token: mine", "X-Other: 1"]
    assert status(ask(site.port, request("GET /header/x", bearer, *fields))) == 200
    assert b"mine" not in shop.got
    assert b"\r\nX-Other: 1\r\n" in shop.got
    shop.clear()
    target = "/query/x?access_token=mine&b=%20&%61ccess_token=mine&access_token[]=mine"
    assert status(ask(site.port, request(f"GET {target}", bearer))) == 200
    assert got(shop, token) == ["/query/x?b=%20&access_token=TOKEN"]


def test_without_a_session_the_request_passes_as_it_came(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C13: there is no token, so nothing has to make room."""
    line = "Cookie: access_token_cookie=mine; b=2"
    assert status(ask(site.port, request("GET /maybe/x", line))) == 200
    assert f"\r\n{line}\r\n".encode() in shop.got


def test_a_captured_token_goes_the_same_way(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """The session keeps the place in which its login's token came."""
    key, _ = log_in(site, login_upstream, "/login/cookie")
    new = token_of("alice", at="captured")
    shop.clear(always(json_answer("200 OK", {"token": new})))
    bearer = f"Authorization: Bearer {key}"
    assert status(ask(site.port, request("POST /captured/x", bearer, body="{}"))) == 200
    shop.clear()
    assert status(ask(site.port, request("GET /auto/x", bearer))) == 200
    assert got(shop, new) == ["/auto/x", BEARER, "Cookie: sid=TOKEN"]
    shop.clear()
    assert status(ask(site.port, request("GET /auto/x", f"Cookie: sid={key}"))) == 200
    assert got(shop, new) == ["/auto/x", "Cookie: sid=TOKEN"]
    shop.clear()
    assert status(ask(site.port, request("GET /captured/cookie", bearer, "Cookie: a=1"))) == 200
    assert got(shop, new)[1:] == ["Cookie: access_token_cookie=TOKEN; a=1"]


def test_the_backends_logout_gets_the_token_as_it_came(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """The gateway sends it there itself."""
    for path, (_, lines) in LOGINS.items():
        key, token = log_in(site, login_upstream, path)
        shop.clear()
        assert (
            status(ask(site.port, request("POST /logout", f"Authorization: Bearer {key}"))) == 204
        )
        assert got(shop, token) == ["/bye", *lines]
        assert key.encode() not in shop.got


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/header/x", {"x-access-token": "TOKEN", "Cookie": "a=1"}),
        ("/cookie/x", {"Cookie": "access_token_cookie=TOKEN; a=1", "x-access-token": ""}),
        ("/scheme/x", {"Authorization": "Token TOKEN", "Cookie": "a=1"}),
        ("/query/x", {"Authorization": "", "Cookie": "a=1", "x-access-token": ""}),
    ],
)
def test_verify_tells_the_token_in_its_place(
    site: Gateway, login_upstream: Upstream, path: str, expected: dict[str, str]
) -> None:
    """wire-rules.md#C13: as far as fields can; a proxy removes all others of them."""
    key, token = log_in(site, login_upstream)
    described = (f"X-Forwarded-Uri: {path}", "X-Forwarded-Method: GET", "x-access-token: mine")
    line = "GET /.well-known/latchkey/verify"
    answer = ask(site.port, request(line, *described, f"Cookie: latchkey={key}; a=1"))
    assert status(answer) == 200
    lines = [line.decode().replace(token, "TOKEN") for line in field_lines(answer)]
    fields = dict(line.partition(":")[::2] for line in lines)
    assert {name: fields[name].strip() for name in expected} == expected
    assert sum("TOKEN" in line for line in lines) == (0 if path == "/query/x" else 1)


def test_no_log_holds_a_token(site: Gateway, shop: Upstream, login_upstream: Upstream) -> None:
    """wire-rules.md#C4: not even where it stands in the upstream's query."""
    key, token = log_in(site, login_upstream)
    bearer = f"Authorization: Bearer {key}"
    assert status(ask(site.port, request("GET /query/logged", bearer))) == 200
    record = site.records(path="/query/logged")[0]
    assert token not in json.dumps(record)
    for log in (site.access_log, site.audit_log, site.log):
        assert token.encode() not in log.read_bytes()


def test_a_redirect_does_not_tell_the_token(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#C4: backends repeat the query when they add a slash."""
    key, token = log_in(site, login_upstream)
    line = f"Location: /query/x/?a=1&access_token={token}&b=2#top"
    shop.clear(always(f"HTTP/1.1 301 Moved\r\n{line}\r\nContent-Length: 0\r\n\r\n".encode()))
    answer = ask(site.port, request("GET /query/x?a=1", f"Authorization: Bearer {key}"))
    assert b"\r\nLocation: /query/x/?a=1&b=2#top\r\n" in answer
    assert token.encode() not in answer


def test_the_double_submit_of_a_token_that_is_not_taken_stays_away(
    site: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#E7: the session keeps its token, so the browser keeps that token's CSRF cookie."""
    key, _ = log_in(site, login_upstream, "/login/cookie")
    lines = (
        f"Set-Cookie: sid={token_of('alice', csrf='of-the-new-one')}; Path=/",
        "Set-Cookie: csrf_access_token=of-the-new-one; Path=/",
        "Set-Cookie: csrftoken=of-django; Path=/",
        "Set-Cookie: theme=of-the-new-one; Path=/",
    )
    shop.clear(always(json_answer("200 OK", {}, *lines)))
    answer = ask(site.port, request("GET /auto/x", f"Cookie: sid={key}"))
    assert set_cookies(answer) == ["csrftoken=of-django; Path=/", "theme=of-the-new-one; Path=/"]
