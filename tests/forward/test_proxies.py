"""Real proxies that ask the gateway: the examples as they stand, but for their ports."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import jwt
import pytest

from gateway.core.sessions.keys import new_key
from tests.forward.sites import PROXIES, Answer, Site, fields_of, shop, site
from tests.support.delaying import Delaying, delaying
from tests.support.gateway import reload
from tests.support.processes import HANG
from tests.support.raw import Client, Visit
from tests.support.redis_server import RedisServer

NAVIGATES = "Sec-Fetch-Mode: navigate"
OWN = "Origin: http://shop.example"
FOREIGN = "Origin: https://evil.example"
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture(scope="module")
def store(redis: RedisServer) -> Iterator[Delaying]:
    """A Redis that can go away."""
    with delaying(redis.port) as proxy:
        yield proxy


@pytest.fixture(scope="module", params=PROXIES)
def running_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Delaying
) -> Iterator[Site]:
    with site(request.param, tmp_path_factory.mktemp(request.param), store.url) as running:
        yield running


@pytest.fixture
def here(running_site: Site) -> Site:
    """One proxy's site, with nothing recorded."""
    running_site.backend.clear(shop)
    return running_site


@pytest.fixture
def key(here: Site) -> str:
    """A fresh key of alice's."""
    issued = here.log_in()
    here.backend.clear(shop)
    return issued


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def the_one(here: Site) -> dict[str, str]:
    """The one request that reached the backend."""
    [request] = here.reached()
    return request


def subject(request: dict[str, str]) -> str:
    scheme, _, token = request["authorization"].partition(" ")
    assert scheme == "Bearer"
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])


def test_log_in_call_and_log_out(here: Site) -> None:
    """The whole job: the client holds a key, the backend sees the token and who it is, each
    request as it came, and a logout is felt at once.
    """
    key = here.log_in()
    for method, path, body in (
        ("GET", "/api/x?a=1&b=%20", b""),
        ("HEAD", "/api/x", b""),
        ("POST", "/api/x", b"hello"),
        ("PUT", "/api/x", b"x" * 100_000),
        ("DELETE", "/api/a%2Cb", b""),
    ):
        here.backend.clear(shop)
        answer = here.ask(method, path, bearer(key), body=body)
        assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"ok")
        request = the_one(here)
        assert request[":"] == f"{method} {path} HTTP/1.1"
        assert (subject(request), request["x-user-id"]) == ("alice", "alice")
        assert here.backend.got.endswith(b"\r\n\r\n" + body)
        assert key.encode() not in here.backend.got
    here.backend.clear(shop)
    assert here.ask("POST", "/logout", bearer(key)).status == 204
    answer = here.ask("GET", "/api/x", bearer(key))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.fields["www-authenticate"]
    assert here.reached() == []


def test_log_in_with_a_form(here: Site) -> None:
    """A browser gets a cookie; the backend gets the other cookies."""
    form = urlencode({"username": "alice"}).encode()
    lines = ("Content-Type: application/x-www-form-urlencoded", "Accept: text/html", OWN)
    assert here.ask("POST", "/login", *lines[:2], FOREIGN, body=form).status == 403
    here.backend.clear(shop)
    answer = here.ask("POST", "/login", *lines, body=form)
    assert answer.status == 200
    found = re.match(r"(latchkey=lk_[\w-]+); Path=/; HttpOnly; SameSite=Lax", _cookie(answer))
    assert found
    here.backend.clear(shop)
    cookie = found[1]
    assert here.ask("GET", "/api/x", f"Cookie: a=1; {cookie}; b=2").status == 200
    request = the_one(here)
    assert (subject(request), request["cookie"]) == ("alice", "a=1; b=2")
    here.backend.clear(shop)
    assert here.ask("GET", "/api/x", f"Cookie: {cookie}").status == 200
    assert the_one(here).get("cookie", "") == ""
    here.backend.clear(shop)
    assert here.ask("POST", "/logout", f"Cookie: {cookie}", OWN).status == 204
    assert here.ask("GET", "/api/x", f"Cookie: {cookie}").status == 401
    assert here.reached() == []


def _cookie(answer: Answer) -> str:
    return answer.fields["set-cookie"]


def test_what_is_refused_does_not_reach_the_backend(here: Site, key: str) -> None:
    """With the status that says why."""
    for method, path, lines, code in (
        ("GET", "/api/x", (), 401),
        ("GET", "/api/x", ("Authorization: Bearer lk_nonsense",), 401),
        ("GET", "/api/admin/x", (bearer(key),), 403),
        ("GET", "/elsewhere", (bearer(key),), 404),
        ("POST", "/api/login", (bearer(key),), 404),
        ("POST", "/api//login", (bearer(key),), (400, 404)),
        ("POST", "/api/LOGIN", (bearer(key),), 404),
        ("POST", "/api/%6cogin", (bearer(key),), 404),
        ("GET", "/public/../api/x", (), (400, 401)),
        ("GET", "/public/%2e%2e/api/x", (), (400, 401)),
        ("GET", "/public/..;/api/x", (), (400, 401)),
        ("GET", "/public/..%2fapi/x", (), (400, 401)),
        ("GET", "/public/..%5capi/x", (), (400, 401)),
        ("GET", "/api/x%00", (bearer(key),), 400),
        ("OPTIONS", "/api/x", ("Access-Control-Request-Method: GET", OWN), 401),
        ("OPTIONS", "/api/x", ("Max-Forwards: 0",), 401),
    ):
        answer = here.ask(method, path, *lines)
        assert answer.status in (code if isinstance(code, tuple) else (code,)), (method, path)
        assert answer.status != 401 or answer.fields["www-authenticate"].startswith("Bearer ")
    assert here.reached() == []


def test_only_the_sites_own_pages_may_change_things(here: Site, key: str) -> None:
    """With a key in a cookie; the proxy passes on what browsers say of it."""
    cookie = f"Cookie: latchkey={key}"
    for lines, code in (
        ((OWN,), 200),
        (("Sec-Fetch-Site: same-origin",), 200),
        ((FOREIGN,), 403),
        (("Sec-Fetch-Site: cross-site", OWN), 403),
        ((), 403),
        ((FOREIGN, "X-Forwarded-Host: evil.example"), 403),
    ):
        here.backend.clear(shop)
        assert here.ask("POST", "/api/x", cookie, *lines, body=b"hello").status == code
        assert len(here.reached()) == (code == 200)
    assert here.ask("POST", "/api/x", bearer(key), FOREIGN, body=b"hello").status == 200


def test_websockets(here: Site, key: str) -> None:
    """On the route that says so, and from no other site's page."""
    for path, lines, code in (
        ("/api/chat", (bearer(key),), 101),
        ("/api/chat", (f"Cookie: latchkey={key}", OWN), 101),
        ("/api/chat", (f"Cookie: latchkey={key}", FOREIGN), 403),
        ("/api/chat", (f"Cookie: latchkey={key}",), 403),
        ("/api/chat", (), 401),
        ("/api/x", (bearer(key),), 403),
        ("/public/x", (), 403),
    ):
        here.backend.clear(shop)
        answer = here.ask("GET", path, *HANDSHAKE, *lines)
        assert answer.status == code, (path, lines)
        if code == 101:
            assert (answer.body, subject(the_one(here))) == (b"hello", "alice")
            assert key.encode() not in here.backend.got
        else:
            assert here.reached() == []


def test_no_other_protocol_is_switched_to(here: Site, key: str) -> None:
    """wire-rules.md#B13: what comes after would be a tunnel past every decision."""
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    answer = here.ask("GET", "/api/x", bearer(key), *lines)
    assert answer.status != 101
    assert b"h2c" not in here.backend.got


def test_a_browser_is_sent_to_log_in(here: Site) -> None:
    """Within the site that it asked; a program is told 401."""
    answer = here.ask("GET", "/api/x?a=1", NAVIGATES)
    assert answer.status == 303
    assert answer.fields["location"] == "http://shop.example/signin?return_to=/api/x%3Fa%3D1"
    assert here.ask("POST", "/api/x", NAVIGATES).fields["location"] == "http://shop.example/signin"
    assert "location" not in here.ask("GET", "/api/x").fields
    assert here.reached() == []
    assert here.ask("GET", "/signin", NAVIGATES).status == 200


def test_a_browser_forgets_a_dead_cookie(here: Site) -> None:
    """The answer by which it is refused says so, through each proxy."""
    dead = f"Cookie: a=b; latchkey={new_key(bytes(32)).reveal()}"
    for fields in ((dead,), (dead, "Sec-Fetch-Mode: navigate")):
        answer = here.ask("GET", "/api/me", *fields)
        assert answer.status in (401, 303)
        assert answer.fields["set-cookie"].startswith("latchkey=; Max-Age=0; Path=/; HttpOnly")
    assert here.reached() == []


def test_nobody_says_who_they_are(here: Site, key: str) -> None:
    """What a client sends in the place of the gateway's fields does not reach the backend: with a
    session it is overwritten, and without one nothing stays of it but its own credentials.
    """
    lies = (
        "X-User-Id: admin",
        "x-user-id: admin",
        "Authorization: Basic YWRtaW46YWRtaW4=",
    )
    assert here.ask("GET", "/public/x", *lies).status == 200
    request = the_one(here)
    assert request.get("x-user-id", "") == ""
    assert request["authorization"] == "Basic YWRtaW46YWRtaW4="
    here.backend.clear(shop)
    cookie = f"Cookie: latchkey={key}"
    for lines in ((cookie, *lies[:2]), (bearer(key), *lies[:2]), (cookie, *lies)):
        here.backend.clear(shop)
        assert here.ask("GET", "/api/x", *lines).status == 200
        request = the_one(here)
        assert (request["x-user-id"], subject(request)) == ("alice", "alice")


@pytest.mark.parametrize(
    "line",
    [
        *("X_User_Id: admin", "x.user.id: admin", "X-User_Id: admin", "X~User~Id: admin"),
        *("X-HTTP-Method-Override: admin", "X~Method-Override: admin"),
        *("X-Rewrite-URL: /admin", "X-Original-URL: http://a/admin", "Proxy: http://admin"),
    ],
)
def test_nobody_says_it_in_another_spelling(here: Site, key: str, line: str) -> None:
    """wire-rules.md#B11: either the field goes, or the request; the same holds for what overrides
    the decision. To name it in Connection, which hides it from the gateway, gains nothing.
    """
    hidden = f"Connection: {line.partition(':')[0]}"
    for path, lines in (
        ("/public/x", ()),
        ("/api/x", (bearer(key),)),
        ("/api/x", (bearer(key), hidden)),
    ):
        here.backend.clear(shop)
        code = here.ask("GET", path, *lines, line).status
        assert code in (200, 400)
        assert (b"admin" in here.backend.got, len(here.reached())) == (False, code == 200)


@pytest.mark.parametrize(
    "names",
    [
        "Authorization",
        "x-user-id, X-Anything",
        "X-User-Id, authorization, Cookie",
        "X-Forwarded-Uri, X-Original-URI, X-Forwarded-For, X-Forwarded-Host",
    ],
)
def test_nobody_has_a_field_of_ours_removed(here: Site, key: str, names: str) -> None:
    """wire-rules.md#B1: by naming it in Connection. What passes with a session has all of its
    fields, whichever way the key came; what passes without one has none of ours.
    """
    cookie = (f"Cookie: latchkey={key}", OWN)
    lies = ("X-User-Id: admin", "Authorization: Basic YWRtaW46YWRtaW4=")
    upgrade = (f"Connection: {names}, Upgrade", *HANDSHAKE[1:])
    plain = (f"Connection: close, {names}",)
    for path, lines, passes in (
        ("/api/x", (*plain, lies[0], bearer(key)), 200),
        ("/api/x", (*plain, *lies, *cookie), 200),
        ("/api/x", (f"Connection: {names}", *plain, *cookie), 200),
        ("/api/chat", (*upgrade, *lies, *cookie), 101),
    ):
        here.backend.clear(shop)
        code = here.ask("GET", path, *lines).status
        assert code in (passes, 400, 401, 403)
        if code == passes:
            request = the_one(here)
            assert (subject(request), request["x-user-id"]) == ("alice", "alice")
        assert (b"admin" in here.backend.got, len(here.reached())) == (False, code == passes)
        assert key.encode() not in here.backend.got
    here.backend.clear(shop)
    code = here.ask("GET", "/public/x", *plain, *lies).status
    assert code in (200, 400)
    told = [fields.get("x-user-id", "") for fields in here.reached()]
    assert told == [""] * (code == 200)


def test_the_key_stays_in_front(here: Site, key: str) -> None:
    """wire-rules.md#C4: also where no key is looked at."""
    for lines in ((bearer(key),), (f"Cookie: latchkey={key}",), (bearer(key), f"Cookie: a={key}")):
        here.backend.clear(shop)
        assert here.ask("GET", "/public/x", *lines).status == 200
        request = the_one(here)
        assert (request.get("authorization", ""), request.get("cookie", "")) == ("", "")
        assert key.encode() not in here.backend.got


DESCRIPTIONS = {
    "traefik": ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x"),
    "nginx": ("X-Original-Method: GET", "X-Original-URI: /public/x"),
    "ingress": ("X-Original-Method: GET", "X-Original-URL: http://shop.example/public/x"),
    "another host": ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"),
    "another path": ("X-Rewrite-Url: /public/x", "X-HTTP-Method-Override: OPTIONS"),
}


@pytest.mark.parametrize("lines", DESCRIPTIONS.values(), ids=list(DESCRIPTIONS))
def test_nobody_describes_their_own_request(here: Site, key: str, lines: tuple[str, ...]) -> None:
    """A client's description is overwritten or refused, and never believed."""
    assert here.ask("GET", "/api/x", *lines).status in (400, 401)
    assert here.ask("GET", "/api/admin/x", bearer(key), *lines).status in (400, 403)
    assert here.reached() == []
    answer = here.ask("GET", "/api/x", NAVIGATES, *lines)
    assert answer.status in (303, 400)
    assert "evil" not in answer.fields.get("location", "")


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/latchkey/verify",
        "/.well-known/latchkey/verify/api/x",
        "/%2ewell-known/latchkey/verify/api/x",
        "/%252ewell-known/latchkey/verify/api/x",
        "//.well-known/latchkey/verify/api/x",
        "/sessions/../.well-known/latchkey/verify/api/x",
        "/sessions/%2e%2e/.well-known/latchkey/verify/api/x",
        "/sessions/..%2f.well-known/latchkey/verify/api/x",
        "/sessions/..;/.well-known/latchkey/verify/api/x",
        "/sessions/..%5c.well-known%5clatchkey/verify/api/x",
        "/login/../.well-known/latchkey/verify/api/x",
        "/.verify",
    ],
)
def test_no_client_is_told_its_token(here: Site, key: str, path: str) -> None:
    """wire-rules.md#C4: the endpoint tells the proxy, and the proxy sends no client there."""
    for way in ("traefik", "nginx"):
        lines = [line.replace("/public/", "/api/") for line in DESCRIPTIONS[way]]
        for more in ((), lines):
            answer = here.ask("GET", path, bearer(key), *more)
            assert answer.status >= 300, answer
            shown = f"{answer.fields}{answer.body!r}"
            assert "eyJ" not in shown
    assert here.reached() == []


def test_a_store_that_is_away(here: Site, store: Delaying, key: str) -> None:
    """503, which is no pass and no 401, for a browser too; and then all goes on."""
    store.refuses = True
    store.cut()
    try:
        until = time.monotonic() + HANG
        while here.ask("GET", "/api/x", bearer(key)).status == 200:
            assert time.monotonic() < until
        here.backend.clear(shop)
        for lines in ((bearer(key),), (bearer(key), NAVIGATES), (f"Cookie: latchkey={key}",)):
            answer = here.ask("GET", "/api/x", *lines)
            assert answer.status == 503
            assert here.proxy == "envoy" or int(answer.fields["retry-after"]) > 0
        assert here.reached() == []
        assert here.ask("GET", "/public/x").status == 200
    finally:
        store.refuses = False
    until = time.monotonic() + HANG
    while here.ask("GET", "/api/x", bearer(key)).status != 200:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_nobody_is_given_what_is_anothers(here: Site) -> None:
    """200 people at a time, each on a connection that stays: the backend learns who has logged in,
    others are refused, and no client gets an answer to another.
    """
    names = [f"user{number}" for number in range(200)]
    keys = {name: here.log_in(name) for name in names}
    here.backend.clear(_mirror)
    together = threading.Barrier(len(names))

    def calls(name: str) -> list[tuple[int, str]]:
        with Client(here.port) as client:
            together.wait(HANG)
            return [_call(client, name, keys[name] if odd else "lk_none") for odd in (1, 0) * 5]

    with ThreadPoolExecutor(len(names)) as people:
        for name, answers in zip(names, people.map(calls, names), strict=True):
            assert [code for code, _ in answers] == [200, 401] * 5
            assert {body for _, body in answers[::2]} == {f"{name} {name} /api/{name}"}
            assert all("user" not in body for _, body in answers[1::2])


def _call(client: Client, name: str, key: str) -> tuple[int, str]:
    request = f"GET /api/{name} HTTP/1.1\r\nHost: shop.example\r\n{bearer(key)}\r\n\r\n"
    client.send(request.encode())
    code, _, body = client.answer()
    return code, body.decode()


def _mirror(visit: Visit) -> None:
    """A backend that tells callers as whom they came, and for what."""
    for request in visit.requests():
        fields = fields_of(request)
        body = f"{subject(fields)} {fields['x-user-id']} {fields[':'].split(' ')[1]}"
        visit.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def test_the_log_names_the_client(here: Site, key: str) -> None:
    """And neither the proxy nor whom a client says that it is."""
    request = (
        f"GET /api/from-afar HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
        f"X-Forwarded-For: 192.0.2.1\r\n{bearer(key)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", here.port), HANG, ("127.0.0.5", 0)) as sock:
        sock.sendall(request.encode())
        while sock.recv(65536):
            pass
    assert [record["client"] for record in here.gateway.records(path="/api/from-afar")] == [
        "127.0.0.5"
    ]


def test_a_reload_goes_unnoticed(here: Site, key: str) -> None:
    """The proxy's connections to the gateway end, and no request does."""
    reload(here.gateway)
    for _ in range(100):
        assert here.ask("GET", "/api/x", bearer(key)).status == 200
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("proxy", "code"),
    [("nginx", 503), ("caddy", 502), ("traefik", 500), ("envoy", 503), ("haproxy", 503)],
)
def test_a_gateway_that_is_away(proxy: str, code: int, tmp_path: Path, redis: RedisServer) -> None:
    """Nothing passes, whatever it is."""
    with site(proxy, tmp_path, redis.url) as here:
        key = here.log_in()
        here.stop_gateway()
        here.backend.clear(shop)
        asked = (
            ("/api/x", bearer(key)),
            ("/api/x",),
            ("/public/x",),
            ("/api/x", f"Cookie: latchkey={key}", NAVIGATES),
            ("/api/chat", *HANDSHAKE, bearer(key)),
        )
        with ThreadPoolExecutor() as pool:  # HAProxy tries for seconds
            answers = list(pool.map(lambda words: here.ask("GET", *words), asked))
        assert [answer.status for answer in answers] == [code] * len(asked)
        assert here.reached() == []
