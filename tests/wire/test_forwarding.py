"""wire-rules.md#B10: whose request it is, behind proxies: one address for upstreams, logs, logins
and devices.
"""

import json
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import LOGIN, Start, json_answer, log_in, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, free_port
from tests.support.raw import OK, Upstream, Visit, ask, request, status
from tests.support.redis_server import RedisServer
from tests.wire.vectors import cases

# The peer of all requests is trusted, and so are other proxies before it.
PEER, CDN, CLIENT = "127.0.0.1", "10.0.0.9", "203.0.113.7"

JSON = "Content-Type: application/json"
VERIFY = "/.well-known/latchkey/verify"

paths = (f"/public/{number}" for number in count())


def shop(visit: Visit) -> None:
    """A backend whose accounts have the password `right`."""
    for got in visit.requests():
        head, _, body = got.partition(b"\r\n\r\n")
        if not head.startswith(b"POST /backend/login "):
            visit.send(OK)
            continue
        typed = json.loads(body)
        if typed.get("password", "right") == "right":
            visit.send(json_answer("200 OK", {"token": token_of(typed["username"])}))
        else:
            visit.send(json_answer("401 Unauthorized", {"detail": "no"}))


@pytest.fixture(scope="module")
def backend() -> Iterator[Upstream]:
    with Upstream(shop) as server:
        yield server


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A unix socket of the gateway's."""
    return tmp_path_factory.mktemp("socket") / "gateway"


@pytest.fixture(scope="module")
def gate(start: Start, backend: Upstream, inside: Path) -> Gateway:
    port = free_port()
    return start(
        at=port,
        listen=[f"127.0.0.1:{port}", f"unix:{inside}"],
        upstreams={"shop": backend.url},
        login={**LOGIN, "upstream": "shop", "token": "/token"},
        guessing={"per_account": 3, "delay_after": 0},
        trusted_proxies=[PEER, "10.0.0.0/8", "2001:db8:f::/48", "unix"],
        verify={"trusted": [PEER, "unix"]},
        routes=[
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
            {"path": "/api/*", "upstream": "shop"},
        ],
    )


@pytest.fixture
def upstream(backend: Upstream) -> Upstream:
    backend.clear(shop)
    return backend


def by_unix(path: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG)
        client.connect(str(path))
        client.sendall(data)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


def said(upstream: Upstream, name: str) -> list[str]:
    """What the upstream was told in fields of a name."""
    lines = upstream.got.decode("latin-1").split("\r\n")
    named = (line.partition(": ") for line in lines)
    return [value for given, _, value in named if given.lower() == name.lower()]


FOR = "X-Forwarded-For: "
TOLD = {
    "nothing": ((), PEER, PEER),
    "an address": ((FOR + CLIENT,), CLIENT, f"{CLIENT}, {PEER}"),
    "Azure's address and port": ((f"{FOR}{CLIENT}:50123",), CLIENT, f"{CLIENT}:50123, {PEER}"),
    "a way through proxies": (
        (f"{FOR}6.6.6.6, {CLIENT}, {CDN}",),
        CLIENT,
        f"6.6.6.6, {CLIENT}, {CDN}, {PEER}",
    ),
    "a way in several lines": (
        (f"{FOR}6.6.6.6, {CLIENT}", f"{FOR}[2001:db8:f::1]:81"),
        CLIENT,
        f"6.6.6.6, {CLIENT}, [2001:db8:f::1]:81, {PEER}",
    ),
    "an address in IPv6": ((f"{FOR}2001:DB8::7",), "2001:db8::7", f"2001:DB8::7, {PEER}"),
    "what is no address": ((f"{FOR}6.6.6.6, unknown",), PEER, f"6.6.6.6, unknown, {PEER}"),
    "a way that is broken": (
        (f"{FOR}6.6.6.6, _hidden, {CDN}",),
        CDN,
        f"6.6.6.6, _hidden, {CDN}, {PEER}",
    ),
    "X-Real-IP alone": ((f"X-Real-IP: {CLIENT}:1",), CLIENT, f"{CLIENT}, {PEER}"),
    "Forwarded alone": (
        (f'Forwarded: for=6.6.6.6, for="{CLIENT}:81", for={CDN}',),
        CLIENT,
        f"{CLIENT}, {PEER}",
    ),
}


@cases("lines, client, chain", TOLD)
def test_the_client_is_the_last_who_is_not_trusted(
    gate: Gateway, upstream: Upstream, lines: tuple[str, ...], client: str, chain: str
) -> None:
    """Upstreams are told, with the whole way and the proxy at its end; and the access log is."""
    path = next(paths)
    assert status(ask(gate.port, request(f"GET {path}", *lines))) == 200
    assert said(upstream, "X-Real-IP") == [client]
    assert said(upstream, "X-Forwarded-For") == [chain]
    assert [record["client"] for record in gate.records(path=path)] == [client]


@cases("lines, client, chain", TOLD)
def test_the_same_address_stands_everywhere(
    gate: Gateway, upstream: Upstream, lines: tuple[str, ...], client: str, chain: str
) -> None:
    """At a login's backend, for the device, in the audit log, and of a question at `verify`."""
    name = f"who-{next(paths).rpartition('/')[2]}"
    body = json.dumps({"username": name})
    answer = ask(gate.port, request("POST /login", JSON, *lines, body=body))
    assert status(answer) == 200
    assert said(upstream, "X-Real-IP") == [client]
    assert said(upstream, "X-Forwarded-For") == [chain]
    assert [event["address"] for event in gate.events(event="login", subject=name)] == [client]
    key = json.loads(answer.partition(b"\r\n\r\n")[2])["token"]
    listed = ask(gate.port, request("GET /sessions", f"Authorization: Bearer {key}"))
    devices = json.loads(listed.partition(b"\r\n\r\n")[2])["sessions"]
    assert [device["address"] for device in devices] == [client]
    bad = request("GET /api/x", *lines, f"X-Request-Id: {name}", "Authorization: Bearer lk_no")
    assert status(ask(gate.port, bad)) == 401
    [refused] = gate.events(event="refused", request_id=name)
    assert refused["address"] == client


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Server", "X-Request-Id"])
def test_a_trusted_proxy_passes_no_key_on(gate: Gateway, upstream: Upstream, name: str) -> None:
    """Proxies pass on what clients write; upstreams and logs see no key."""
    path, key = next(paths), "lk_" + "k" * 49
    answer = ask(gate.port, request(f"GET {path}", f"{name}: {key}"))
    assert status(answer) == 200
    assert key.encode() not in upstream.got + answer
    assert key not in json.dumps(gate.records(path=path))


def test_who_is_asked_about(gate: Gateway) -> None:
    """At the verify endpoint as elsewhere; a proxy that describes a request in X-Forwarded-* has
    not written Forwarded.
    """
    for lines, client in (
        ((f"{FOR}6.6.6.6, {CLIENT}:81, {CDN}",), CLIENT),
        (("Forwarded: for=6.6.6.6",), PEER),
    ):
        path = next(paths)
        described = ("X-Forwarded-Method: GET", f"X-Forwarded-Uri: {path}")
        assert status(ask(gate.port, request(f"GET {VERIFY}", *lines, *described))) == 200
        assert [record["client"] for record in gate.records(path=path)] == [client]


AT_A_SOCKET = ("an address", "a way through proxies", "what is no address", "Forwarded alone")


@cases(
    "lines, client, chain",
    {"nothing": ((), "unknown", "unknown"), **{name: TOLD[name] for name in AT_A_SOCKET}},
)
def test_a_proxy_at_a_unix_socket(
    gate: Gateway, upstream: Upstream, inside: Path, lines: tuple[str, ...], client: str, chain: str
) -> None:
    """It has no address, so none is appended, and its client is whom it names."""
    client = client if client != PEER else "unknown"
    path = next(paths)
    assert status(by_unix(inside, request(f"GET {path}", *lines))) == 200
    assert said(upstream, "X-Real-IP") == [client]
    assert said(upstream, "X-Forwarded-For") == [chain.removesuffix(f", {PEER}")]
    assert [record["client"] for record in gate.records(path=path)] == [client]


def test_forwarded_at_a_unix_socket(gate: Gateway, upstream: Upstream, inside: Path) -> None:
    """RFC 7239 §6.2: there, an unknown proxy has a name."""
    line = f"Forwarded: for={CLIENT};proto=https;host=shop.example"
    assert status(by_unix(inside, request("GET /public/x", line))) == 200
    assert said(upstream, "Forwarded") == [f"{line.partition(' ')[2]}, for=unknown"]
    assert said(upstream, "X-Forwarded-Proto") == ["https"]
    assert said(upstream, "X-Forwarded-Host") == ["shop.example"]


def test_a_proxy_at_a_unix_socket_may_ask(gate: Gateway, inside: Path) -> None:
    """`verify.trusted: unix` lets it."""
    described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x")
    assert status(by_unix(inside, request(f"GET {VERIFY}", *described))) == 200


def test_a_unix_socket_is_not_trusted_unasked(
    tmp_path: Path, redis: RedisServer, upstream: Upstream
) -> None:
    """Without `unix` its peer is a client like any other, and may not ask."""
    path = tmp_path / "gateway.sock"
    with gateway(
        tmp_path,
        redis.url,
        listen=f"unix:{path}",
        upstreams={"shop": upstream.url},
        trusted_proxies=["0.0.0.0/0", "::/0"],
        verify={"trusted": ["0.0.0.0/0", "::/0"]},
        routes=[{"path": "/public/*", "upstream": "shop", "auth": "public"}],
    ):
        assert status(by_unix(path, request("GET /public/x", FOR + CLIENT))) == 200
        assert said(upstream, "X-Forwarded-For") == said(upstream, "X-Real-IP") == ["unknown"]
        described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x")
        assert status(by_unix(path, request(f"GET {VERIFY}", *described))) == 403


@pytest.mark.parametrize("form", ["{}", "{}:50123", "{}, 10.0.0.9", "{}, 10.0.0.9:443"])
def test_a_stranger_keeps_no_owner_out(gate: Gateway, upstream: Upstream, form: str) -> None:
    """Behind a CDN, and behind proxies that append the port: each client is counted apart."""
    name = f"owner-{next(paths).rpartition('/')[2]}"

    def attempt(password: str, address: str) -> int:
        body = json.dumps({"username": name, "password": password})
        chain = f"X-Forwarded-For: 6.6.6.6, {form.format(address)}"
        return status(ask(gate.port, request("POST /login", JSON, chain, body=body)))

    assert [attempt("wrong", "198.51.100.4") for _ in range(4)] == [401, 401, 401, 429]
    assert attempt("right", CLIENT) == 200
    assert attempt("right", "198.51.100.4") == 429


HTTPS = {
    "one scheme": ("X-Forwarded-Proto: https",),
    "of two proxies": ("X-Forwarded-Proto: https, http", f"{FOR}{CLIENT}, {CDN}"),
    "in two lines": (
        "X-Forwarded-Proto: https",
        "X-Forwarded-Proto: http",
        f"{FOR}{CLIENT}, {CDN}",
    ),
    "without a chain": ("X-Forwarded-Proto: https, http",),
    "in capitals": ("X-Forwarded-Proto: HTTPS",),
    "Forwarded": (f"Forwarded: for={CLIENT};proto=https, for={CDN};proto=http",),
}
HTTP = {
    "one scheme": ("X-Forwarded-Proto: http",),
    "of two proxies": ("X-Forwarded-Proto: http, https", f"{FOR}{CLIENT}, {CDN}"),
    "made up in front": ("X-Forwarded-Proto: https, http", f"{FOR}6.6.6.6, {CLIENT}"),
    "no scheme": ("X-Forwarded-Proto: gopher",),
    "Forwarded": (f"Forwarded: for=6.6.6.6;proto=https, for={CLIENT};proto=http",),
}


@pytest.mark.parametrize(
    ("scheme", "lines"),
    [
        *(("https", lines) for lines in HTTPS.values()),
        *(("http", lines) for lines in HTTP.values()),
    ],
    ids=[*(f"https {name}" for name in HTTPS), *(f"http {name}" for name in HTTP)],
)
def test_one_scheme_counts_everywhere(
    gate: Gateway, upstream: Upstream, scheme: str, lines: tuple[str, ...]
) -> None:
    """For upstreams, for the cookie that a login sets, and for those that are taken later."""
    key = log_in(gate.port)
    form = ("X-Requested-With: cookie", "Sec-Fetch-Site: same-origin")
    upstream.clear(shop)
    answer = ask(
        gate.port, request("POST /login", JSON, *lines, *form, body='{"username": "alice"}')
    )
    assert said(upstream, "X-Forwarded-Proto") == [scheme]
    is_protected = scheme == "https"
    assert (b"__Host-latchkey=lk_" in answer, b"; Secure" in answer) == (is_protected,) * 2
    plain = request("GET /api/x", *lines, f"Cookie: latchkey={key}")
    assert status(ask(gate.port, plain)) == (401 if is_protected else 200)
    protected = request("GET /api/x", *lines, f"Cookie: __Host-latchkey={key}")
    assert status(ask(gate.port, protected)) == 200


def test_a_list_of_hosts(gate: Gateway, upstream: Upstream) -> None:
    """Apache appends to what the client has made up: the last one is the proxy's own."""
    key = log_in(gate.port)
    upstream.clear(shop)
    hosts = ("X-Forwarded-Host: evil.example, shop.example", f"Cookie: latchkey={key}")
    for origin, expected in (("https://shop.example", 200), ("https://evil.example", 403)):
        asked = request("POST /api/x", *hosts, f"Origin: {origin}")
        assert status(ask(gate.port, asked)) == expected
    assert said(upstream, "X-Forwarded-Host") == ["shop.example"]
