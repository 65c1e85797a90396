"""wire-rules.md#E7: in which cookies a key is taken: the ones that hand it out, and no neighbour's."""

from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Upstream, ask, request, set_cookies, status
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing
from tests.support.users import PASSWORD, user, write

HTTPS = "X-Forwarded-Proto: https"
OWN = "Sec-Fetch-Site: same-origin"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("users") / "users.json", alice=user())


@pytest.fixture(scope="module")
def relay(start: Start, upstream: Upstream, users: Path) -> Gateway:
    """A gateway behind a proxy that it trusts, and that may ask it about requests."""
    return start(
        upstreams={"shop": upstream.url},
        signing=signing(),
        login={"kind": "users", "path": "/login", "file": str(users)},
        trusted_proxies="127.0.0.1",
        verify={},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {
                "path": "/guest/*",
                "upstream": "shop",
                "auth": "optional",
                "bad_key": "anonymous",
            },
        ],
    )


def send(relay: Gateway, line: str, *fields: str, body: str = "") -> bytes:
    form = "Content-Type: application/x-www-form-urlencoded"
    return ask(relay.port, request(line, form, *fields, body=body))


def log_in(relay: Gateway, *fields: str) -> list[str]:
    """Logs in by a form, and returns the cookies that are set, without their attributes."""
    body = f"username=alice&password={PASSWORD}"
    answer = send(relay, "POST /login", OWN, "Accept: text/html", *fields, body=body)
    assert status(answer) == 303, answer
    return [cookie.partition(";")[0] for cookie in set_cookies(answer)]


def key_of(relay: Gateway) -> str:
    [cookie] = log_in(relay)
    return cookie.removeprefix("latchkey=")


@pytest.mark.parametrize(
    ("name", "by_http", "by_https"),
    [
        ("latchkey", 200, 401),
        ("__Host-latchkey", 200, 200),
        ("session", 401, 401),
        ("Latchkey", 401, 401),
    ],
)
def test_the_names(relay: Gateway, shop: Upstream, name: str, by_http: int, by_https: int) -> None:
    """By the connection of the browser; a key in a wrong cookie opens nothing, nor does it go on."""
    key = key_of(relay)
    line = f"Cookie: a=b; {name}={key}"
    for fields, code in (((), by_http), ((HTTPS,), by_https)):
        shop.clear()
        answer = send(relay, "GET /api/x", line, *fields)
        assert (status(answer), b"invalid_key" in answer) == (code, code == 401)
        for path in ("/maybe/x", "/guest/x"):
            shop.clear()
            answer = send(relay, f"GET {path}", line, *fields)
            assert (status(answer), b"Set-Cookie" in answer) == (200, False)
            assert (b"\r\nX-User-Id: alice\r\n" in shop.got) is (code == 200)
            assert b"lk_" not in shop.got
        assert status(send(relay, "GET /sessions", line, *fields)) == code
    assert status(send(relay, "GET /api/x", f"Authorization: Bearer {key}", HTTPS)) == 200


def test_it_is_told(relay: Gateway) -> None:
    """Operators see it: a neighbour may be trying."""
    assert status(send(relay, "GET /api/x", f"Cookie: planted={key_of(relay)}")) == 401
    assert relay.events(event="refused", reason="untrusted_cookie")


@pytest.mark.parametrize(("name", "code"), [("latchkey", 401), ("__Host-latchkey", 200)])
def test_a_proxy_that_asks(relay: Gateway, name: str, code: int) -> None:
    """By what it says of the scheme."""
    path = "GET /.well-known/latchkey/verify"
    asks = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/x", "X-Forwarded-Host: a.example")
    answer = send(relay, path, *asks, HTTPS, f"Cookie: {name}={key_of(relay)}")
    assert status(answer) == code


def test_a_site_that_has_moved_to_https(relay: Gateway) -> None:
    """The cookie of its former days goes with the next login, or there would be two keys."""
    key = key_of(relay)
    new, old = log_in(relay, HTTPS, f"Cookie: latchkey={key}")
    assert new.startswith("__Host-latchkey=lk_")
    assert old == "latchkey="
    assert status(send(relay, "GET /api/x", f"Cookie: {new}", HTTPS)) == 200


def test_a_site_that_is_for_https_alone(
    tmp_path: Path, redis: RedisServer, upstream: Upstream, users: Path
) -> None:
    """`secure: true` says it where the proxy does not."""
    with gateway(
        tmp_path,
        redis.url,
        upstreams={"shop": upstream.url},
        signing=signing(),
        login={"kind": "users", "path": "/login", "file": str(users)},
        keys={"secure": True},
        routes=[{"path": "/api/*", "upstream": "shop"}],
    ) as relay:
        [cookie] = log_in(relay)
        assert cookie.startswith("__Host-latchkey=lk_")
        assert status(send(relay, "GET /api/x", f"Cookie: {cookie}")) == 200
        plain = cookie.removeprefix("__Host-")
        assert status(send(relay, "GET /api/x", f"Cookie: {plain}")) == 401
