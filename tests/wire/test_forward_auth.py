"""wire-rules.md#C11: the verify endpoint, byte for byte: who may ask, what is a description, and
what is answered.
"""

import json
import re

import pytest

from tests.conftest import LOGIN, SIGNING_SECRET, Start, accounts, log_in, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, always, ask, fields_by_name, status
from tests.support.redis_server import RedisServer
from tests.wire.vectors import cases

VERIFY = "/.well-known/latchkey/verify"
HOST = "Host: shop.example"


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway that proxies may ask, and whose rules mostly lead nowhere."""
    login_upstream.clear(accounts)
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        login_page="/signin",
        verify={},
        identity={"X-User-Id": "sub", "X-Role": "role"},
        keys={"field": "X-Session-Key"},
        jwt={"secret": SIGNING_SECRET, "algorithms": "HS256", "subject_prefix": "service:"},
        routes=[
            {"path": "/api/*"},
            {"path": "/api/admin/*", "claims": {"role": "admin"}},
            {"path": "/api/items", "methods": ["GET", "POST"]},
            {"path": "/chat", "websocket": True},
            {"path": "/maybe/*", "auth": "optional"},
            {"path": "/guest/*", "auth": "optional", "bad_key": "anonymous"},
            {"path": "/public/*", "auth": "public"},
            {"path": "/program/*", "on_unauthenticated": "401"},
            {"path": "/shared/*", "cors": {"origins": "https://app.example", "credentials": True}},
            {"path": "/services/*", "accept_jwt": "verify"},
            {"path": "/relayed/*", "upstream": "shop"},
            {"path": "/switch", "upstream": "accounts", "captures": "/token"},
            {"path": "/backend/*", "auth": "public"},
            {"path": "/backend/login/", "upstream": "shop", "auth": "public"},
            {"path": "/signin", "auth": "public"},
        ],
    )


@pytest.fixture(scope="module")
def key(gate: Gateway) -> str:
    return log_in(gate.port)


def question(*lines: str, path: str = VERIFY, method: str = "GET", host: str = HOST) -> bytes:
    fields = "".join(f"{line}\r\n" for line in (host, "Connection: close", *lines) if line)
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode()


def as_traefik(method: str, uri: str) -> tuple[str, ...]:
    """Caddy, too."""
    return (f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {uri}")


def as_nginx(method: str, uri: str) -> tuple[str, ...]:
    return (f"X-Original-Method: {method}", f"X-Original-URI: {uri}")


def as_ingress(method: str, uri: str, site: str = "https://shop.example") -> tuple[str, ...]:
    return (f"X-Original-Method: {method}", f"X-Original-URL: {site}{uri}")


WAYS = {"traefik": as_traefik, "nginx": as_nginx, "ingress": as_ingress, "envoy": None}


def about(gate: Gateway, way: str, method: str, uri: str, *lines: str) -> bytes:
    """The answer to a question that is put in one of the ways."""
    describe = WAYS[way]
    if describe is None:
        return ask(gate.port, question(*lines, path=VERIFY + uri, method=method))
    return ask(gate.port, question(*describe(method, uri), *lines))


def reason(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["reason"])


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


@pytest.mark.parametrize("way", WAYS)
def test_the_decision_is_the_relays(gate: Gateway, key: str, way: str) -> None:
    """Whichever way a request is described: 200 with the token, or what the relay would say."""
    answer = about(gate, way, "GET", "/api/x?q=50%&é", bearer(key))
    assert (status(answer), fields_by_name(answer)["X-User-Id"]) == (200, "alice")
    assert re.fullmatch(r"Bearer eyJ[\w.-]+", fields_by_name(answer)["Authorization"])
    assert answer.endswith(b"\r\n\r\n")
    for method, uri, lines, code, why in (
        ("GET", "/api/x", (), 401, "no_key"),
        ("GET", "/api/x", ("Authorization: Bearer nonsense",), 401, "not_a_key"),
        ("GET", "/api/x", (bearer(token_of("alice")),), 401, "token_not_key"),
        ("GET", "/api/admin/x", (bearer(key),), 403, "forbidden"),
        ("DELETE", "/api/items", (bearer(key),), 405, "method_not_allowed"),
        ("TRACE", "/api/x", (bearer(key),), 405, "method_not_allowed"),
        ("CONNECT", "/api/x", (bearer(key),), 405, "method_not_allowed"),
        ("GET", "/elsewhere", (bearer(key),), 404, "no_route"),
        ("GET", "/api/%2e%2e/x", (bearer(key),), 400, "ambiguous_path"),
        ("GET", "/api/%zz", (bearer(key),), 400, "malformed_request"),
        (
            "GET",
            "/api/x",
            (bearer(key), f"X-Session-Key: {log_in(gate.port)}"),
            400,
            "ambiguous_key",
        ),
    ):
        answer = about(gate, way, method, uri, *lines)
        assert (status(answer), reason(answer)) == (code, why), (method, uri)
        assert b"eyJ" not in answer


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("uri", ["/public/x?token=KEY", "/public/KEY", "/public/x?token=%6cREST"])
def test_a_key_in_a_url_does_not_pass(gate: Gateway, key: str, way: str, uri: str) -> None:
    """wire-rules.md#C3: the proxy is not to pass it on, whatever the route."""
    uri = uri.replace("KEY", key).replace("REST", key[1:])
    answer = about(gate, way, "GET", uri, bearer(key))
    assert (status(answer), reason(answer)) == (401, "key_in_url")
    assert key[3:] not in gate.access_log.read_text() + answer.decode()


def test_a_key_in_each_place_where_one_may_be(gate: Gateway, key: str) -> None:
    """And none of them comes back: the field is named empty, and the other cookies stay."""
    for line, cookie in (
        (bearer(key), ""),
        (f"X-Session-Key: {key}", ""),
        (f"Cookie: a=1; latchkey={key}; b=\xe92", "a=1; b=\xe92"),
        (f"Cookie: __Host-latchkey={key}", ""),
    ):
        answer = about(gate, "traefik", "GET", "/api/x", line)
        assert status(answer) == 200
        got = fields_by_name(answer)
        assert got["Authorization"].startswith("Bearer eyJ")
        assert (got["X-Session-Key"], got["Cookie"]) == ("", cookie.encode().decode("latin-1"))
        assert key.encode() not in answer


@pytest.mark.parametrize("way", WAYS)
def test_a_token_in_place_of_a_key(gate: Gateway, key: str, way: str) -> None:
    """Where a route accepts it: it comes back as it was."""
    token = token_of("a service")
    answer = about(gate, way, "GET", "/services/x", bearer(token))
    assert (status(answer), fields_by_name(answer)["Authorization"]) == (200, f"Bearer {token}")
    answer = about(gate, way, "GET", "/services/x", bearer(token[:-4] + "AAAA"))
    assert (status(answer), reason(answer)) == (401, "invalid_token")


def test_several_cookie_fields_come_back_as_one(gate: Gateway, key: str) -> None:
    """RFC 9113 §8.2.3: HTTP/2 may have split them."""
    lines = ("Cookie: a=1", f"Cookie: latchkey={key}", "cookie: b=2;  c=3")
    got = fields_by_name(about(gate, "traefik", "GET", "/api/x", *lines))
    assert got["Cookie"] == "a=1; b=2;  c=3"


@pytest.mark.parametrize("uri", ["/public/x", "/maybe/x", "/guest/x"])
def test_who_has_no_session_is_nobody(gate: Gateway, key: str, uri: str) -> None:
    """Whatever they say of themselves: each field that a backend could believe comes back empty,
    but for an Authorization of their own (wire-rules.md#C14).
    """
    lies = ("X-User-Id: admin", "X-Role: admin", "Cookie: a=1")
    lines = (*lies, "Authorization: Basic YWRtaW46YWRtaW4=")
    answer = about(gate, "traefik", "GET", uri, *lines)
    assert status(answer) == 200
    got = fields_by_name(answer)
    named = [got[name] for name in ("Authorization", "X-User-Id", "X-Role", "X-Session-Key")]
    assert named == ["Basic YWRtaW46YWRtaW4=", "", "", ""]
    assert got["Cookie"] == "a=1"
    assert got["Cache-Control"] == "no-store"
    made_up = (*lies, bearer("lk_" + "a" * 49))
    assert status(about(gate, "traefik", "GET", uri, *made_up)) == (401 if "maybe" in uri else 200)


def test_a_claim_that_is_not_there_is_named_empty(gate: Gateway, key: str) -> None:
    """Or a client's own X-Role would stay."""
    got = fields_by_name(about(gate, "nginx", "GET", "/api/x", bearer(key), "X-Role: admin"))
    assert (got["X-User-Id"], got["X-Role"]) == ("alice", "")


DISGUISES = (
    "X_User_Id: admin",
    "x.user.id: admin",
    "X_ROLE: admin",
    "X_Forwarded_For: 192.0.2.1",
    "X_Session_Key: x",
    "Content_Length: 5",
)


@pytest.mark.parametrize("line", DISGUISES)
def test_what_only_looks_like_a_field_of_ours(gate: Gateway, key: str, line: str) -> None:
    """wire-rules.md#B11: the relay drops it. A proxy would pass it on, so the request is refused."""
    answer = about(gate, "traefik", "GET", "/api/x", bearer(key), line)
    assert (status(answer), reason(answer)) == (400, "unfit_field")


@pytest.mark.parametrize("way", WAYS)
def test_an_upgrade_to_something_else(gate: Gateway, key: str, way: str) -> None:
    """wire-rules.md#B13: the relay drops it; what a proxy switched to would be a tunnel past every
    decision.
    """
    for wanted in ("h2c", "h2c, websocket", "TLS/1.3"):
        lines = ("Upgrade: " + wanted, "Sec-WebSocket-Version: 13", bearer(key))
        answer = about(gate, way, "GET", "/chat", *lines)
        assert (status(answer), reason(answer)) == (400, "unfit_field")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "line",
    [
        "Connection: Authorization, X-User-Id",
        "Connection: close, cookie",
        "connection: keep-alive, x-role",
        "Connection: X-Session-Key",
        "Connection: X_User~Id",
        "Connection: TE, X-Anything",
        'Connection: "Authorization"',
    ],
)
def test_connection_names_no_field(gate: Gateway, key: str, way: str, line: str) -> None:
    """wire-rules.md#B1: there are proxies that remove what it names after they have put our fields
    in.
    """
    for uri, lines in (("/api/x", (bearer(key),)), ("/public/x", ())):
        answer = about(gate, way, "GET", uri, line, *lines)
        assert (status(answer), reason(answer)) == (400, "unfit_field")


@pytest.mark.parametrize(
    "value", ["", "Keep-Alive", "keep-alive, TE", "Upgrade, HTTP2-Settings", ",close,"]
)
def test_connection_may_speak_of_the_connection(gate: Gateway, key: str, value: str) -> None:
    """As the clients and proxies of this world do."""
    answer = about(gate, "traefik", "GET", "/api/x", f"Connection: {value}", bearer(key))
    assert status(answer) == 200


def test_a_key_where_none_belongs(gate: Gateway, key: str) -> None:
    """wire-rules.md#C4: it would reach the backend, which the relay prevents by dropping the field."""
    for line in (f"X-Note: {key}", f"Referer: https://shop.example/?k={key}", f"Cookie: a=b {key}"):
        answer = about(gate, "nginx", "GET", "/public/x", line)
        assert (status(answer), reason(answer)) == (400, "unfit_field")
        assert key.encode() not in answer


UNDESCRIBED = {
    "nothing": (),
    "a method alone": ("X-Forwarded-Method: GET",),
    "a path alone": ("X-Forwarded-Uri: /api/x",),
    "nginx without the method": ("X-Original-URI: /api/x",),
    "a method of the other way": ("X-Original-URI: /api/x", "X-Forwarded-Method: GET"),
    "both ways": (*as_traefik("GET", "/public/x"), *as_nginx("GET", "/public/x")),
    "both ways, differently": (*as_traefik("GET", "/public/x"), *as_nginx("GET", "/api/x")),
    "a second path of another way": (*as_traefik("GET", "/public/x"), "X-Original-URI: /public/x"),
    "a second method": (*as_traefik("GET", "/public/x"), "X-Original-Method: GET"),
    "a path and a URL": (*as_nginx("GET", "/public/x"), "X-Original-URL: http://a/public/x"),
    "the same path twice": (*as_nginx("GET", "/public/x"), "X-Original-URI: /public/x"),
    "another path": (*as_nginx("GET", "/public/x"), "x-original-uri: /api/x"),
    "two methods": (*as_traefik("GET", "/public/x"), "X-Forwarded-Method: POST"),
    "two hosts": (*as_traefik("GET", "/public/x"), "X-Forwarded-Host: a", "X-Forwarded-Host: b"),
    "two schemes": (
        *as_traefik("GET", "/public/x"),
        "X-Forwarded-Proto: https",
        "X-Forwarded-Proto: http",
    ),
    "a URL of another host": (*as_ingress("GET", "/public/x"), "X-Forwarded-Host: evil.example"),
    "no path but a URL": as_nginx("GET", "http://shop.example/public/x"),
    "no URL but a path": ("X-Original-Method: GET", "X-Original-URL: /public/x"),
    "a URL that is none": ("X-Original-Method: GET", "X-Original-URL: ftp://a/public/x"),
    "a relative path": as_traefik("GET", "public/x"),
    "an asterisk": as_traefik("OPTIONS", "*"),
    "an empty path": as_traefik("GET", ""),
}
MALFORMED = {
    "a space": as_traefik("GET", "/public/x y"),
    "a second request line": as_traefik("GET", "/public/x HTTP/1.1 /api/x"),
    "a fragment": as_nginx("GET", "/public/x#y"),
    "a byte that is not ASCII": as_nginx("GET", "/public/\xe9"),
    "a bad escape": as_nginx("GET", "/public/%q"),
    "a method with a space": as_traefik("GET /api/x", "/public/x"),
    "an empty method": as_traefik("", "/public/x"),
    "a list of hosts": (*as_traefik("GET", "/public/x"), "X-Forwarded-Host: a, b"),
    "a host with a path": (*as_traefik("GET", "/public/x"), "X-Forwarded-Host: a/b"),
    "a user in a URL": as_ingress("GET", "/public/x", "http://a@b"),
}


@cases("lines", {**UNDESCRIBED, **MALFORMED})
def test_nothing_is_guessed(gate: Gateway, key: str, lines: tuple[str, ...]) -> None:
    """A request is described in one way and as one could come itself; else it is 400."""
    answer = ask(gate.port, question(*lines, bearer(key)))
    assert status(answer) == 400
    known = lines in UNDESCRIBED.values()
    assert reason(answer) == ("ambiguous_description" if known else "malformed_request")
    assert b"evil" not in answer


def test_a_path_and_fields(gate: Gateway, key: str) -> None:
    """Envoy's way with another one: a client's X-Original-URI must not stand beside the path."""
    for lines in (as_traefik("GET", "/public/x"), ("X-Original-URI: /public/x",)):
        answer = ask(gate.port, question(*lines, bearer(key), path=f"{VERIFY}/public/x"))
        assert (status(answer), reason(answer)) == (400, "ambiguous_description")


@pytest.mark.parametrize(
    "path", ["/.well-known//latchkey/verify", "/.well-known/latchkey/verify/../verify", "/x/.."]
)
def test_the_path_is_read_like_any_other(gate: Gateway, key: str, path: str) -> None:
    """No spelling of it is another endpoint, and Envoy's way leads to no other route."""
    answer = ask(gate.port, question(*as_traefik("GET", "/api/x"), bearer(key), path=path))
    assert status(answer) in (400, 404)


@pytest.mark.parametrize(
    "uri", ["/login", "/logout", "/sessions", "/switch", VERIFY, f"{VERIFY}/api/x"]
)
@pytest.mark.parametrize("way", WAYS)
def test_what_the_gateway_answers_itself_does_not_pass(
    gate: Gateway, key: str, way: str, uri: str
) -> None:
    """A proxy that let it pass would send it to the backend; its own login above all
    (wire-rules.md#E1).
    """
    assert status(about(gate, way, "POST", uri, bearer(key))) == 404


@pytest.mark.parametrize(
    "uri",
    [
        "/backend/login",
        "/backend/LOGIN",
        "/backend//login",
        "/backend/%6cogin",
        "/backend/login.json",
        "/backend/login/",
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_the_backends_own_login_does_not_pass(gate: Gateway, way: str, uri: str) -> None:
    """wire-rules.md#E1, on every route, since the proxy alone knows where it leads."""
    assert status(about(gate, way, "POST", uri)) in (400, 404)


def test_another_backends_path_of_that_name_is_relayed(gate: Gateway, shop: Upstream) -> None:
    """Where the gateway itself knows that it leads elsewhere."""
    assert status(ask(gate.port, question(path="/backend/login/", method="POST"))) == 200
    assert shop.got.startswith(b"POST /backend/login/ HTTP/1.1")


def test_a_route_without_an_upstream_is_there_for_proxies_alone(
    gate: Gateway, shop: Upstream, key: str
) -> None:
    """Who asks for it itself gets 404, and no less specific rule instead."""
    for path, lines, code in (
        ("/public/x", (), 404),
        ("/api/x", (bearer(key),), 404),
        ("/api/x", (), 401),
        ("/relayed/x", (bearer(key),), 200),
    ):
        assert status(ask(gate.port, question(*lines, path=path))) == code
    assert shop.got.count(b"HTTP/1.1\r\n") == 1
    assert status(about(gate, "nginx", "GET", "/relayed/x", bearer(key))) == 200


def test_nobody_else_may_ask(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, login_upstream: Upstream
) -> None:
    """Loopback is trusted unless config.yaml names others; and without `verify` it is no endpoint."""
    sections = {
        "upstreams": {"accounts": login_upstream.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "accounts"},
        "routes": [{"path": "/api/*", "upstream": "accounts"}],
        "trusted_proxies": "127.0.0.1",
    }
    folder = tmp_path_factory.mktemp("others")
    with gateway(
        folder / "one", redis.url, **sections, verify={"trusted": ["192.0.2.0/24", "::1"]}
    ) as one:
        key = log_in(one.port)
        for lines, path in ((as_traefik("GET", "/api/x"), VERIFY), ((), f"{VERIFY}/api/x")):
            forged = (*lines, "X-Forwarded-For: 192.0.2.1", bearer(key))
            answer = ask(one.port, question(*forged, path=path))
            assert (status(answer), reason(answer)) == (403, "untrusted_peer")
            assert b"eyJ" not in answer
    with gateway(folder / "two", redis.url, **sections) as two:
        answer = ask(two.port, question(*as_traefik("GET", "/api/x"), bearer(key)))
        assert (status(answer), reason(answer)) == (404, "no_route")


# What browsers need.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("Origin: https://shop.example",), 200),
        (("Sec-Fetch-Site: same-origin",), 200),
        (("Origin: https://evil.example",), 403),
        (("Sec-Fetch-Site: cross-site", "Origin: https://shop.example"), 403),
        (("Origin: https://10.0.0.1:8080",), 403),
        ((), 403),
    ],
)
def test_whose_page_asked(
    gate: Gateway, key: str, way: str, lines: tuple[str, ...], code: int
) -> None:
    """With a key in a cookie: by the method and the host of the request that is described."""
    more = () if way in ("envoy", "ingress") else ("X-Forwarded-Host: shop.example",)
    host = HOST if way == "envoy" else "Host: 10.0.0.1:8080"
    cookie = f"Cookie: latchkey={key}"
    describe = WAYS[way]
    for method, expected in (("POST", code), ("DELETE", code), ("GET", 200), ("HEAD", 200)):
        told = () if describe is None else describe(method, "/api/x")
        path, by = (f"{VERIFY}/api/x", method) if describe is None else (VERIFY, "GET")
        data = question(*told, *more, cookie, *lines, path=path, method=by, host=host)
        answer = ask(gate.port, data)
        assert status(answer) == expected, method
        assert code == 200 or expected == 200 or reason(answer) == "cross_site"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "signs",
    [("Upgrade: websocket", "Sec-WebSocket-Version: 13"), ("sec-websocket-key: dGhlIHNhbXBsZQ==",)],
)
def test_websockets(gate: Gateway, key: str, way: str, signs: tuple[str, ...]) -> None:
    """A handshake is known by its own fields, since proxies keep Upgrade to themselves; another
    site's page may open none, and a route has to say that it serves them.
    """
    own, foreign = "Origin: https://shop.example", "Origin: https://evil.example"
    cookie = f"Cookie: latchkey={key}"
    for uri, lines, code, why in (
        ("/chat", (cookie, own), 200, ""),
        ("/chat", (cookie, foreign), 403, "cross_site"),
        ("/chat", (cookie,), 403, "cross_site"),
        ("/chat", (bearer(key), foreign), 200, ""),
        ("/api/x", (cookie, own), 403, "no_upgrade"),
        ("/public/x", (), 403, "no_upgrade"),
    ):
        answer = about(gate, way, "GET", uri, *signs, *lines)
        assert status(answer) == code
        assert not why or reason(answer) == why


NAVIGATES = "Sec-Fetch-Mode: navigate"
HTTPS = ("X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https")


@pytest.mark.parametrize(
    ("way", "lines", "location"),
    [
        ("traefik", HTTPS, "https://shop.example/signin?return_to=/api/x%3Fa%3D1"),
        ("traefik", HTTPS[:1], "/signin?return_to=/api/x%3Fa%3D1"),
        ("traefik", ("X-Forwarded-Host: a..b,c", HTTPS[1]), "/signin?return_to=/api/x%3Fa%3D1"),
        ("traefik", (HTTPS[0], "X-Forwarded-Proto: wss"), "/signin?return_to=/api/x%3Fa%3D1"),
        ("nginx", HTTPS, "https://shop.example/signin?return_to=/api/x%3Fa%3D1"),
        ("ingress", (), "https://shop.example/signin?return_to=/api/x%3Fa%3D1"),
        ("ingress", ("X-Forwarded-Proto: http",), "/signin?return_to=/api/x%3Fa%3D1"),
        ("envoy", HTTPS[1:], "https://shop.example/signin?return_to=/api/x%3Fa%3D1"),
        ("envoy", (), "/signin?return_to=/api/x%3Fa%3D1"),
    ],
)
def test_a_browser_is_sent_to_the_login_page(
    gate: Gateway, way: str, lines: tuple[str, ...], location: str
) -> None:
    """Of the site that it asked, not of the gateway's address; nginx could make nothing of a 303."""
    answer = about(gate, way, "GET", "/api/x?a=1", NAVIGATES, *lines)
    assert status(answer) == (401 if way in ("nginx", "ingress") else 303)
    assert fields_by_name(answer)["Location"] == location
    assert fields_by_name(answer)["Cache-Control"] == "no-store"
    answer = about(gate, way, "GET", "/program/x", NAVIGATES, *lines)
    assert (status(answer), "Location" in fields_by_name(answer)) == (401, False)
    assert fields_by_name(answer)["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("way", WAYS)
def test_a_preflight_is_no_way_in(gate: Gateway, key: str, way: str) -> None:
    """The relay would answer it; but any 2xx lets a request pass, and no caller has been identified.
    The same with an OPTIONS that may go no further.
    """
    origin = "Origin: https://app.example"
    preflight = (origin, "Access-Control-Request-Method: POST")
    for lines in (preflight, ("Max-Forwards: 0",), (*preflight, "Max-Forwards: 0")):
        answer = about(gate, way, "OPTIONS", "/shared/x", *lines)
        assert (status(answer), reason(answer)) == (401, "no_key")
        got = fields_by_name(answer)
        assert got.get("Access-Control-Allow-Origin") == (
            "https://app.example" if origin in lines else None
        )
        asked = question(*as_traefik("OPTIONS", "/shared/x"), *lines, method="OPTIONS")
        assert status(ask(gate.port, asked)) == 401
    assert status(about(gate, way, "OPTIONS", "/shared/x", *preflight, bearer(key))) == 200


# On the wire.


def test_one_connection_for_many_questions(gate: Gateway, key: str) -> None:
    """A proxy keeps its connection, and its questions are answered in order."""
    with Client(gate.port) as client:
        asked = [
            ("/api/x", bearer(key)),
            ("/api/x", ""),
            ("/public/x", ""),
            ("/api/y", bearer(key)),
        ]
        for uri, line in asked:
            lines = "".join(
                f"{field_line}\r\n" for field_line in (*as_nginx("GET", uri), line) if field_line
            )
            client.send(f"GET {VERIFY} HTTP/1.1\r\n{HOST}\r\n{lines}\r\n".encode())
        got = [client.answer()[0] for _ in asked]
    assert got == [200, 401, 200, 200]


def test_a_head_is_answered_without_a_body(gate: Gateway, key: str) -> None:
    """In Envoy's way the question has the request's own method."""
    for lines, code in (((bearer(key),), 200), ((), 401)):
        answer = ask(gate.port, question(*lines, path=f"{VERIFY}/api/x", method="HEAD"))
        assert status(answer) == code
        assert answer.endswith(b"\r\n\r\n")


def test_a_body_is_not_waited_for(gate: Gateway, key: str) -> None:
    """A proxy that sends it along, or only its length, has its answer; the connection ends."""
    for length in (5, 10**9):
        lines = (*as_nginx("POST", "/api/x"), bearer(key), f"Content-Length: {length}")
        with Client(gate.port) as client:
            client.send(question(*lines).replace(b"Connection: close\r\n", b""))
            code, head, _ = client.answer()
            assert code == 200
            assert b"\r\nConnection: close\r\n" in head


def test_the_log_tells_of_the_request_that_was_meant(gate: Gateway, key: str) -> None:
    """With its route and session, whether it may pass or not; and never a secret."""
    about(gate, "nginx", "PUT", "/api/remembered?secret=1", bearer(key))
    about(gate, "envoy", "PUT", "/api/forgotten")
    [record] = gate.records(path="/api/remembered")
    assert (record["method"], record["route"], record["status"]) == ("PUT", "/api/*", 200)
    assert record["session"]
    [record] = gate.records(path="/api/forgotten", route="/api/*")
    assert (record["method"], record["status"], record["reason"]) == ("PUT", 401, "no_key")
    text = gate.access_log.read_text()
    assert key not in text
    assert "eyJ" not in text
    assert "secret" not in text


def test_the_fields_of_a_description_go_no_further(gate: Gateway, shop: Upstream, key: str) -> None:
    """A request for the relay that carries some reaches the upstream without them."""
    shop.clear(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    lines = (*as_nginx("GET", "/x"), *as_ingress("GET", "/x"), *as_traefik("GET", "/x"))
    assert status(ask(gate.port, question(*lines, bearer(key), path="/relayed/x"))) == 200
    assert b"original" not in shop.got.lower()
    assert b"x-forwarded-uri" not in shop.got.lower()
