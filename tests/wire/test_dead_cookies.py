"""wire-rules.md#C10: cookies whose keys open nothing any more: no visitor is kept out by one, and
browsers forget it.
"""

import pytest

from gateway.core.sessions import keys
from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, always, ask, request, set_cookies, status
from tests.wire.vectors import cases

DEAD = keys.new_key(bytes(range(32))).reveal()
MISTYPED = DEAD[:-1] + ("A" if DEAD[-1] != "A" else "B")

HTTPS = "X-Forwarded-Proto: https"
VERIFY = "/.well-known/latchkey/verify"


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream) -> Gateway:
    """A gateway whose backend hands its token out in a cookie; browsers log in at a page."""
    return start(
        upstreams={"shop": upstream.url, "nowhere": "http://127.0.0.1:1"},
        login={"kind": "backend", "path": "/login", "upstream": "shop", "token": "cookie:sid"},
        login_page="/public/login",
        trusted_proxies="127.0.0.1",
        verify={},
        whoami={"path": "/whoami"},
        guessing={"per_address": 1, "per_account": 0, "delay_after": 0},
        timeouts={"connect": 1},
        routes=[
            {"path": "/gone/*", "upstream": "nowhere", "auth": "optional"},
            {"path": "/ws/*", "upstream": "shop", "auth": "optional", "websocket": True},
            {
                "path": "/sign-up",
                "upstream": "shop",
                "auth": "optional",
                "captures": "cookie:sid",
            },
            {"path": "/renew", "upstream": "shop", "captures": "cookie:sid"},
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    )


def send(relay: Gateway, line: str, *fields: str) -> bytes:
    """The answer's head."""
    answer = ask(relay.port, request(line, *fields, host="www.shop.example"))
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n"


def about(relay: Gateway, path: str, *fields: str) -> bytes:
    """The answer to a proxy that asks about a request."""
    described = (f"X-Forwarded-Uri: {path}", "X-Forwarded-Method: GET")
    return send(relay, f"GET {VERIFY}", *described, "X-Forwarded-Host: www.shop.example", *fields)


def forgotten(answer: bytes) -> list[str]:
    """What the answer sets, which is nothing but deletions."""
    values = set_cookies(answer)
    assert all("=; Max-Age=0; " in value for value in values)
    return values


def place(name: str, path: str, domain: str = "") -> str:
    domain = f"; Domain={domain}" if domain else ""
    return f"{name}=; Max-Age=0; Path={path}{domain}; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("key", [DEAD, MISTYPED])
@pytest.mark.parametrize("name", ["latchkey", "sid"])
def test_an_optional_route_is_open_to_its_visitor(
    site: Gateway, shop: Upstream, name: str, key: str
) -> None:
    """As to any other without a session, and a page as well; the cookie does not go on."""
    for fields in ((), ("Accept: text/html", "Sec-Fetch-Mode: navigate")):
        shop.clear()
        answer = send(site, "GET /maybe/x", f"Cookie: a=b; {name}={key}", *fields)
        assert status(answer) == 200
        assert place(name, "/") in forgotten(answer)
        assert b"\r\nCookie: a=b\r\n" in shop.got
        assert b"lk_" not in shop.got
        assert b"Authorization" not in shop.got
        assert b"X-User-Id" not in shop.got


def test_no_cache_has_others_forget_theirs(site: Gateway, shop: Upstream) -> None:
    """An answer that may be kept for all is for this visitor alone when it deletes a cookie."""
    shop.clear(always(json_answer("200 OK", {}, "Cache-Control: max-age=60")))
    answer = send(site, "GET /maybe/x", f"Cookie: sid={DEAD}")
    assert b"\r\nCache-Control: private, max-age=60\r\nVary: Cookie\r\n" in answer
    answer = send(site, "GET /maybe/x", "Cookie: a=b")
    assert b"\r\nCache-Control: max-age=60\r\nVary: Cookie\r\n" in answer


def test_a_dead_key_in_a_field_is_refused(site: Gateway, shop: Upstream) -> None:
    """It was sent on purpose: `bad_key` says what becomes of it."""
    for path in ("/maybe/x", "/api/x"):
        answer = send(site, f"GET {path}", f"Authorization: Bearer {DEAD}")
        assert (status(answer), b"Set-Cookie" in answer) == (401, False)
    assert shop.got == b""


def test_a_required_route_has_the_browser_forget_it(site: Gateway, shop: Upstream) -> None:
    """With its 401, and with the way to the login page."""
    answer = send(site, "GET /api/x", f"Cookie: sid={DEAD}")
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (401, True)
    answer = send(site, "GET /api/x", f"Cookie: sid={DEAD}", "Sec-Fetch-Mode: navigate")
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (303, True)
    assert shop.got == b""


def test_wherever_the_cookie_is_from(site: Gateway, shop: Upstream) -> None:
    """Its path and its domain are among those of the request; over HTTPS the name alone tells."""
    domains = ("", "www.shop.example", "shop.example")
    paths = ("/", "/maybe", "/maybe/", "/maybe/x")
    every = [place("sid", path, domain) for domain in domains for path in paths]
    assert forgotten(send(site, "GET /maybe/x", f"Cookie: sid={DEAD}")) == every
    [only] = forgotten(send(site, "GET /maybe/x", f"Cookie: __Host-latchkey={DEAD}", HTTPS))
    assert only == "__Host-latchkey=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"


def test_a_cookie_that_is_none_of_ours(site: Gateway, shop: Upstream) -> None:
    """It may be another gateway's, for a whole domain: it opens nothing, and it stays."""
    answer = send(site, "GET /maybe/x", f"Cookie: theirs={DEAD}")
    assert (status(answer), forgotten(answer)) == (200, [])
    assert b"lk_" not in shop.got
    answer = send(site, "GET /api/x", f"Cookie: theirs={DEAD}")
    assert (status(answer), forgotten(answer)) == (401, [])


def test_a_backend_that_may_use_any_name(relay: Gateway, shop: Upstream) -> None:
    """With `token: auto` any cookie may be ours, or for a whole domain another gateway's."""
    answer = send(relay, "GET /maybe/x", f"Cookie: any={DEAD}")
    paths = ("/", "/maybe", "/maybe/", "/maybe/x")
    assert (status(answer), forgotten(answer)) == (200, [place("any", path) for path in paths])


def test_a_route_that_looks_at_no_key(site: Gateway, shop: Upstream) -> None:
    """It does not know that this one is dead."""
    answer = send(site, "GET /public/x", f"Cookie: sid={DEAD}")
    assert (status(answer), forgotten(answer)) == (200, [])


def test_a_proxy_that_asks(site: Gateway) -> None:
    """It is told the same, and may hand it on."""
    answer = about(site, "/maybe/x", f"Cookie: a=b; sid={DEAD}")
    assert (status(answer), place("sid", "/maybe") in forgotten(answer)) == (200, True)
    assert b"\r\nAuthorization: \r\n" in answer
    assert b"\r\nCookie: a=b\r\n" in answer
    answer = about(site, "/api/x", f"Cookie: sid={DEAD}")
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (401, True)
    answer = about(site, "/api/x", f"Cookie: sid={DEAD}", "Sec-Fetch-Mode: navigate")
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (303, True)


# Wherever else it comes.

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-Fetch-Site: same-origin",
)
OPENED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
REFUSED = json_answer("401 Unauthorized", {"detail": "wrong password"})


@cases(
    "line",
    {
        "the list of sessions": ("GET /sessions", 401),
        "one session": ("DELETE /sessions/x", 401),
        "whoami": ("GET /whoami", 401),
        "a logout": ("POST /logout", 204),
        "a logout of all": ("POST /logout?scope=all", 401),
        "a method that the list has not": ("PUT /sessions", 405),
        "a login that fails": ("POST /login", 401),
        "an upstream that is away": ("GET /gone/x", 502),
        "a route where sessions begin": ("POST /sign-up", 401),
        "a route that captures": ("POST /renew", 401),
    },
    "expected",
)
def test_every_answer_has_the_browser_forget_it(
    site: Gateway, shop: Upstream, line: str, expected: int
) -> None:
    """Also the gateway's own answers; each deletion once."""
    shop.clear(always(REFUSED))
    answer = send(site, line, f"Cookie: sid={DEAD}", "Sec-Fetch-Site: same-origin")
    found = forgotten(answer)
    assert (status(answer), place("sid", "/") in found) == (expected, True)
    assert len(found) == len(set(found))
    assert b"lk_" not in shop.got


def test_a_login_that_is_throttled(site: Gateway, shop: Upstream) -> None:
    """429, and the cookie goes all the same."""
    shop.clear(always(REFUSED))
    for _ in range(3):
        answer = send(site, "POST /login", f"Cookie: sid={DEAD}", "X-Forwarded-For: 192.0.2.9")
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (429, True)


@pytest.mark.parametrize("line", ["POST /login", "POST /sign-up"])
def test_the_cookie_of_a_new_key_stays(site: Gateway, shop: Upstream, line: str) -> None:
    """The dead one is in other places, if anywhere: the answer deletes it there alone."""
    setting = f"Set-Cookie: sid={token_of('alice')}; Path=/; HttpOnly"
    shop.clear(always(json_answer("200 OK", {}, setting)))
    own, address = "Sec-Fetch-Site: same-origin", "X-Forwarded-For: 192.0.2.10"
    answer = send(site, line, f"Cookie: sid={DEAD}", own, address)
    values = set_cookies(answer)
    [key] = [value for value in values if value.startswith("sid=lk_")]
    assert (status(answer), key.endswith("; Path=/; HttpOnly")) == (200, True)
    deleted = [value for value in values if value != key]
    assert place("sid", "/", "shop.example") in deleted
    assert place("sid", "/") not in deleted


@pytest.mark.parametrize(("reply", "expected"), [(OPENED, 101), (REFUSED, 401)])
def test_a_websocket(site: Gateway, shop: Upstream, reply: bytes, expected: int) -> None:
    """With the 101 that opens it, and with a refusal."""
    shop.clear(always(reply))
    asked = request("GET /ws/x", f"Cookie: sid={DEAD}", *UPGRADE, host="www.shop.example")
    with Client(site.port) as client:
        client.send(asked.replace(b"Connection: close\r\n", b""))
        answer = client.head()
    assert (status(answer), place("sid", "/") in forgotten(answer)) == (expected, True)
