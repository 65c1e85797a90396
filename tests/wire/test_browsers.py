"""wire-rules.md#C9: what browsers need: whose page asked, who may read the answer, and where one
logs in.
"""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, always, ask, fields_by_name, status
from tests.wire.vectors import cases

APP = "https://app.example"
HTML = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture(scope="module")
def browsers(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway for browsers and for apps."""
    login_upstream.clear(accounts)
    return start(
        upstreams={
            "shop": upstream.url,
            "accounts": login_upstream.url,
            "nowhere": "http://127.0.0.1:1",
        },
        login=LOGIN,
        login_page="/signin",
        trusted_proxies=["127.0.0.1"],
        keys={"field": "X-Session-Key"},
        cors={"origins": ["https://other.example"]},
        routes=[
            {"path": "/signin", "upstream": "shop", "auth": "public"},
            {"path": "/api/*", "upstream": "shop", "websocket": True},
            {
                "path": "/shared/*",
                "upstream": "shop",
                "methods": ["GET", "POST"],
                "cors": {"origins": [APP], "credentials": True, "exposed": ["X-Total"]},
            },
            {
                "path": "/gone/*",
                "upstream": "nowhere",
                "auth": "public",
                "cors": {"origins": "*"},
            },
            {
                "path": "/shared/admin/*",
                "upstream": "shop",
                "claims": {"role": "admin"},
                "cors": {"origins": [APP]},
            },
            {
                "path": "/apps/*",
                "upstream": "shop",
                "cors": {
                    "origins": ["capacitor://localhost", "https://*.preview.example"],
                    "credentials": True,
                },
            },
            {"path": "/program/*", "upstream": "shop", "on_unauthenticated": 401},
            {"path": "/person/*", "upstream": "shop", "on_unauthenticated": "login"},
        ],
    )


@pytest.fixture(scope="module")
def key(browsers: Gateway) -> str:
    return log_in(browsers.port)


def request(
    method: str, path: str, *lines: str, host: str = "shop.example", end: str = "close"
) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {end}\r\n{fields}\r\n".encode()


def cookie(key: str) -> str:
    return f"Cookie: session={key}"


OWN = {
    "says so": ("Sec-Fetch-Site: same-origin",),
    "by the user": ("Sec-Fetch-Site: none",),
    "an origin": ("Origin: https://shop.example",),
    "an older browser on http": ("Origin: http://shop.example:80",),
}
FOREIGN = {
    "cross-site": ("Sec-Fetch-Site: cross-site",),
    "a sibling": ("Sec-Fetch-Site: same-site", "Origin: https://shop.example.evil"),
    "cross-site with our origin": ("Sec-Fetch-Site: cross-site", "Origin: https://shop.example"),
    "another origin": ("Origin: https://evil.example",),
    "another port": ("Origin: https://shop.example:8443",),
    "a sandbox": ("Origin: null",),
    "nothing": (),
    "a referer alone": ("Referer: https://shop.example/",),
    "an origin that only others may": (f"Origin: {APP}",),
}


@cases("lines", OWN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "LOCK"])
def test_the_sites_own_pages(
    browsers: Gateway, shop: Upstream, key: str, method: str, lines: tuple[str, ...]
) -> None:
    """With a key in a cookie they may change things."""
    assert status(ask(browsers.port, request(method, "/api/x", cookie(key), *lines))) == 200


@cases("lines", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "LOCK"])
def test_other_sites_pages(
    browsers: Gateway, shop: Upstream, key: str, method: str, lines: tuple[str, ...]
) -> None:
    """They may not, and nothing reaches the upstream; the session goes on."""
    answer = ask(browsers.port, request(method, "/api/x", cookie(key), *lines))
    assert (status(answer), b"cross_site" in answer) == (403, True)
    assert shop.got == b""
    for safe in ("GET", "HEAD"):
        assert status(ask(browsers.port, request(safe, "/api/x", cookie(key), *lines))) == 200


@cases("lines", FOREIGN)
def test_a_key_in_a_field_needs_no_proof(
    browsers: Gateway, shop: Upstream, key: str, lines: tuple[str, ...]
) -> None:
    """No page can make a browser send one."""
    for field in (f"Authorization: Bearer {key}", f"X-Session-Key: {key}", f"x-session-key:{key}"):
        assert status(ask(browsers.port, request("POST", "/api/x", field, *lines))) == 200
    assert key.encode() not in shop.got


def test_websockets(browsers: Gateway, shop: Upstream, key: str) -> None:
    """An upgrade is a GET, but what it opens can do anything (CWE-1385)."""
    shop.clear(
        always(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
    )
    upgrade = ("Upgrade: websocket", cookie(key))
    for lines, code in ((OWN["an origin"], 101), (FOREIGN["another origin"], 403), ((), 403)):
        shop.clear(shop.answer)
        data = request("GET", "/api/x", *upgrade, *lines, end="Upgrade")
        with Client(browsers.port) as client:
            client.send(data)
            assert status(client.head()) == code
        assert bool(shop.got) is (code == 101)


def test_behind_a_proxy(browsers: Gateway, shop: Upstream, key: str) -> None:
    """The host is the one that the browser asked, as a trusted proxy says."""
    lines = (cookie(key), "X-Forwarded-Host: shop.example", "Origin: https://shop.example")
    data = request("POST", "/api/x", *lines, host="internal:8080")
    assert status(ask(browsers.port, data)) == 200


def test_a_key_in_a_field_and_another_elsewhere(
    browsers: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#C2: none is picked by chance; the same one twice is one."""
    other = log_in(browsers.port)
    for lines, code in (
        ((f"X-Session-Key: {key}", f"Authorization: Bearer {other}"), 400),
        ((f"Authorization: Bearer {other}", f"X-Session-Key: {key}"), 400),
        ((f"X-Session-Key: {key}", f"X-Session-Key: {other}"), 400),
        ((f"X-Session-Key: {key}", cookie(other)), 400),
        ((cookie(other), f"X-Session-Key: {key}"), 400),
        ((f"X-Session-Key: {key}", f"Authorization: Bearer {key}"), 200),
        ((f"X-Session-Key: {key}", "Authorization: Basic YTpi"), 200),
    ):
        shop.clear()
        assert status(ask(browsers.port, request("GET", "/api/x", *lines))) == code, lines
        assert key.encode() not in shop.got
        assert b"Basic" not in shop.got


def preflight(path: str, origin: str, method: str = "POST") -> bytes:
    lines = (f"Origin: {origin}", f"Access-Control-Request-Method: {method}")
    return request("OPTIONS", path, *lines, "Access-Control-Request-Headers: content-type")


def test_preflights_are_answered_by_the_gateway(browsers: Gateway, shop: Upstream) -> None:
    """They carry no key, so no route could let them pass; the upstream hears nothing of them."""
    answer = ask(browsers.port, preflight("/shared/x", APP))
    assert status(answer) == 204
    for line in (
        f"Access-Control-Allow-Origin: {APP}",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers: Authorization, Content-Type, X-Requested-With",
        "Access-Control-Max-Age: 600",
        "Vary: Origin",
    ):
        assert f"\r\n{line}\r\n".encode() in answer
    for data in (preflight("/shared/x", "https://evil.example"), preflight("/shared/x", "null")):
        answer = ask(browsers.port, data)
        assert status(answer) == 204
        assert b"Access-Control-" not in answer
    assert status(ask(browsers.port, preflight("/shared/x", APP, "DELETE"))) == 405
    assert status(ask(browsers.port, preflight("/api/x", "https://other.example"))) == 204
    assert shop.got == b""


@pytest.mark.parametrize(("path", "code"), [("/nowhere", 404), ("/x/..//api/x", 400)])
@pytest.mark.parametrize("lines", [(), (HTML, "Sec-Fetch-Mode: navigate")])
def test_a_refusal_without_a_route_is_read_as_the_top_level_says(
    browsers: Gateway, path: str, code: int, lines: tuple[str, ...]
) -> None:
    """As the gateway's own paths are; a cache tells origins apart."""
    for origin, allowed in (("https://other.example", True), (APP, False)):
        answer = ask(browsers.port, request("GET", path, f"Origin: {origin}", *lines))
        line = f"\r\nAccess-Control-Allow-Origin: {origin}\r\n".encode()
        assert (status(answer), line in answer) == (code, allowed)
        assert re.search(rb"\r\nVary: [^\r]*Origin\r\n", answer)


def test_another_origin_may_read_even_a_refusal(
    browsers: Gateway, shop: Upstream, key: str
) -> None:
    """The gateway's own 401, 403, 405 and 502 as well: or a page could not tell why it failed."""
    allowed = f"\r\nAccess-Control-Allow-Origin: {APP}\r\n".encode()
    origin = f"Origin: {APP}"
    answers = [
        (401, request("GET", "/shared/x", origin)),
        (401, request("GET", "/shared/x", origin, "Authorization: Bearer lk_nothing")),
        (403, request("POST", "/shared/x", "Origin: https://evil.example", cookie(key))),
        (200, request("GET", "/shared/x", origin, cookie(key))),
        (200, request("POST", "/shared/x", origin, "Sec-Fetch-Site: cross-site", cookie(key))),
    ]
    for code, data in answers:
        answer = ask(browsers.port, data)
        assert status(answer) == code
        assert (allowed in answer) is (code != 403), answer
        assert b"\r\nVary: Origin\r\n" in answer
    answer = ask(browsers.port, request("GET", "/shared/admin/x", origin, cookie(key)))
    assert (status(answer), b"forbidden" in answer) == (403, True)
    assert allowed in answer
    answer = ask(browsers.port, request("POST", "/shared/admin/x", origin, cookie(key)))
    assert (status(answer), b"cross_site" in answer) == (403, True)
    assert allowed in answer
    answer = ask(browsers.port, request("PUT", "/shared/x", origin, cookie(key)))
    assert (status(answer), allowed in answer) == (405, True)
    answer = ask(browsers.port, request("GET", "/gone/x", "Origin: https://any.example"))
    assert status(answer) == 502
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    answer = ask(browsers.port, request("POST", "/login", "Origin: https://other.example"))
    assert b"\r\nAccess-Control-Allow-Origin: https://other.example\r\n" in answer


def test_the_upstreams_own_policy_gives_way(browsers: Gateway, shop: Upstream, key: str) -> None:
    """Two answers to the same question would make browsers refuse both."""
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n"
            b"access-control-expose-headers: X-Theirs\r\nX-Total: 2\r\n\r\nok"
        )
    )
    line = f"Authorization: Bearer {key}"
    answer = ask(browsers.port, request("GET", "/shared/x", f"Origin: {APP}", line))
    assert answer.lower().count(b"access-control-allow-origin") == 1
    assert b"\r\nAccess-Control-Expose-Headers: X-Total\r\n" in answer
    assert b"X-Theirs" not in answer
    assert b"\r\nX-Total: 2\r\n" in answer


NAVIGATES = "Sec-Fetch-Mode: navigate"


@pytest.mark.parametrize(
    ("method", "path", "lines", "location"),
    [
        ("GET", "/api/orders?page=2", (NAVIGATES,), "/signin?return_to=/api/orders%3Fpage%3D2"),
        ("GET", "/api/x", (HTML,), "/signin?return_to=/api/x"),
        ("HEAD", "/api/x", (HTML,), "/signin?return_to=/api/x"),
        ("GET", "/api/x?q=50%&é", (HTML,), "/signin?return_to=/api/x%3Fq%3D50%25%26%25C3%25A9"),
        ("POST", "/api/x", (NAVIGATES,), "/signin"),
        ("GET", "/api/x", (NAVIGATES, "Authorization: Bearer lk_no"), "/signin?return_to=/api/x"),
        ("GET", "/person/x", (), "/signin?return_to=/person/x"),
        ("GET", "/api/x", ("Sec-Fetch-Mode: cors", HTML), None),
        ("GET", "/api/x", ("Accept: application/json",), None),
        ("GET", "/api/x", (), None),
        ("GET", "/program/x", (NAVIGATES, HTML), None),
    ],
)
def test_who_is_sent_to_the_login_page(
    browsers: Gateway,
    shop: Upstream,
    method: str,
    path: str,
    lines: tuple[str, ...],
    location: str | None,
) -> None:
    """A person whose browser goes somewhere; a program gets 401, as does a route that says so."""
    answer = ask(browsers.port, request(method, path, *lines))
    if location is None:
        assert status(answer) == 401
        assert b"\r\nWWW-Authenticate: Bearer " in answer
    else:
        assert status(answer) == 303
        assert f"\r\nLocation: {location}\r\n".encode() in answer
        assert b"\r\nCache-Control: no-store\r\n" in answer
    assert shop.got == b""


@pytest.mark.parametrize(
    "path", ["/api/x?q=\\", "/api/x?q=" + "a1b2c3&" * 850, "/api/x?q=\\\\e.example"]
)
def test_the_way_back_survives(browsers: Gateway, shop: Upstream, path: str) -> None:
    """A backslash in a query, and 6 KiB of one; the login page can be asked for with it."""
    answer = ask(browsers.port, request("GET", path, NAVIGATES))
    location = fields_by_name(answer)["Location"]
    assert parse_qs(urlsplit(location).query)["return_to"] == [path]
    assert status(ask(browsers.port, request("GET", location))) == 200


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("capacitor://localhost", True),
        ("https://pr-7.preview.example", True),
        ("https://a.b.preview.example", False),
        ("https://preview.example", False),
        ("ionic://localhost", False),
        ("null", False),
    ],
)
def test_apps_and_previews(
    browsers: Gateway, shop: Upstream, key: str, origin: str, *, passes: bool
) -> None:
    """Their preflight, their cookie and their answer; no other origin's."""
    lines = (f"Origin: {origin}", "Sec-Fetch-Site: cross-site", f"Cookie: latchkey={key}")
    preflight = ask(
        browsers.port,
        request("OPTIONS", "/apps/x", lines[0], "Access-Control-Request-Method: POST"),
    )
    answer = ask(browsers.port, request("POST", "/apps/x", *lines, "Content-Length: 0"))
    assert status(answer) == (200 if passes else 403)
    allowed = f"\r\nAccess-Control-Allow-Origin: {origin}\r\n".encode()
    assert (allowed in preflight) is (allowed in answer) is passes


def test_nobody_is_sent_away(browsers: Gateway, shop: Upstream) -> None:
    """CWE-601: a path that a browser could read as another site's is not brought back."""
    for path in ("/api//evil.example", "/api/%5C%5Cevil.example", "/api/x?u=//evil.example"):
        answer = ask(browsers.port, request("GET", path, NAVIGATES))
        if status(answer) == 303:
            assert b"\r\nLocation: /signin" in answer
    answer = ask(browsers.port, request("GET", "http://evil.example/api/x", NAVIGATES))
    assert b"evil" not in answer.partition(b"\r\n\r\n")[0]


PERSON = (NAVIGATES, "Accept-Language: ko-KR,ko;q=0.9,en;q=0.8")


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/program/x", 401, "로그인이 필요합니다"),
        ("/gone/x", 502, "지금은 페이지에 연결할 수 없습니다"),
        ("/nothing", 404, "페이지를 찾을 수 없습니다"),
    ],
)
def test_people_read_a_page(browsers: Gateway, path: str, code: int, words: str) -> None:
    """In their language, with a policy that lets nothing in; programs get the JSON problem."""
    answer = ask(browsers.port, request("GET", path, *PERSON))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status(answer) == code
    assert words in body.decode()
    assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in head
    assert b"\r\nContent-Security-Policy: default-src 'none'; " in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head + b"\r\n"
    assert code != 401 or b"\r\nWWW-Authenticate: Bearer " in head
    assert b"script" not in body
    english = ask(browsers.port, request("GET", path, HTML))
    assert b'<html lang="en">' in english
    program = ask(browsers.port, request("GET", path, "Accept: application/json"))
    assert b"\r\nContent-Type: application/problem+json\r\n" in program
    only_head = ask(browsers.port, request("HEAD", path, *PERSON))
    assert (status(only_head), only_head.partition(b"\r\n\r\n")[2]) == (code, b"")


def test_a_person_logs_out(browsers: Gateway, shop: Upstream) -> None:
    """From the site's own page at once; led there by another site, after a question."""
    key = log_in(browsers.port)
    led = (cookie(key), HTML, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site")
    answer = ask(browsers.port, request("GET", "/logout", *led))
    assert status(answer) == 200
    assert b'<form method="post" action="/logout"><button' in answer
    assert b"Set-Cookie" not in answer
    assert status(ask(browsers.port, request("GET", "/api/x", cookie(key)))) == 200
    own = (cookie(key), HTML, "Sec-Fetch-Site: same-origin")
    answer = ask(browsers.port, request("POST", "/logout", *own))
    assert status(answer) == 200
    assert b"You are logged out" in answer
    assert b"\r\nSet-Cookie: session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax\r\n" in answer
    assert status(ask(browsers.port, request("GET", "/api/x", cookie(key)))) == 401
