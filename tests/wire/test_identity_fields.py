"""wire-rules.md#B11: which fields reach an upstream under the names of `identity`: the gateway's
own and no client's.

Each test reads names as the most careless backend does: whatever is no letter or digit is alike.
"""

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.conftest import LOGIN, Start, accounts, log_in
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, ask, fields_by_name, request, status

# Who connects: the gateway trusts the first as a proxy, and answers it at the verify endpoint.
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"

IDENTITY = {"X-User-Id": "sub", "X-Forwarded-User": "sub", "X_Who": "sub"}
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Rewrite-URL")

# RFC 9110 §5.6.2: what a field's name may hold beside letters and digits.
SEPARATORS = "!#$%&'*+-.^_`|~"

FORGED = "forged"


def spellings(name: str) -> list[str]:
    """A name with each separator, and in the mixtures that a filter of one of them lets pass."""
    first, *rest = re.split("[-_]", name)
    mixed = first + "".join(f"{'~_'[at % 2]}{part}" for at, part in enumerate(rest))
    plain = [separator.join((first, *rest)) for separator in SEPARATORS]
    return [*plain, mixed, name.lower(), name.upper()]


def forged(*names: str) -> list[str]:
    return [f"{spelling}: {FORGED}" for name in names for spelling in spellings(name)]


LIES = forged(*IDENTITY)


def variable(name: str) -> str:
    return re.sub("[^a-z0-9]", "_", name.lower())


def told(request: bytes) -> dict[str, list[str]]:
    """The fields of a request as a CGI program knows them."""
    variables: dict[str, list[str]] = {}
    for line in request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        variables.setdefault(variable(name), []).append(value.strip())
    return variables


@pytest.fixture(scope="module")
def backend() -> Iterator[Upstream]:
    """One upstream for all, which also logs people in."""
    with Upstream(accounts) as server:
        yield server


@pytest.fixture(scope="module")
def gate(start: Start, backend: Upstream) -> Gateway:
    return start(
        upstreams={"shop": backend.url},
        login={**LOGIN, "upstream": "shop"},
        logout={"upstream": "shop", "backend_path": "/backend/logout"},
        identity=IDENTITY,
        keys={"field": "X_Session_Key"},
        trusted_proxies=PROXY,
        verify={"trusted": PROXY},
        limits={"fields": 200},
        routes=[
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
            {"path": "/optional/*", "upstream": "shop", "auth": "optional"},
            {"path": "/required/*", "upstream": "shop"},
            {"path": "/socket/*", "upstream": "shop", "websocket": True, "auth": "optional"},
            {"path": "/captures/*", "upstream": "shop", "captures": "/token"},
        ],
    )


@pytest.fixture(scope="module")
def key(gate: Gateway) -> str:
    return log_in(gate.port)


@pytest.fixture
def shop(backend: Upstream) -> Upstream:
    backend.clear(accounts)
    return backend


BODY = '{"username": "alice"}'
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")

# What is asked, and whether the upstream is told of a session that comes along.
KINDS: Mapping[str, tuple[str, tuple[str, ...], str, bool]] = {
    "public": ("GET /public/x", (), "", False),
    "optional": ("GET /optional/x", (), "", True),
    "required": ("GET /required/x", (), "", True),
    "websocket": ("GET /socket/x", UPGRADE, "", True),
    "captures": ("POST /captures/x", (), "hello", True),
    "login": ("POST /login", ("Content-Type: application/json",), BODY, False),
}
ANONYMOUS = ("public", "optional", "websocket", "login")


@pytest.mark.parametrize("source", [CLIENT, PROXY])
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_told_of_by_the_gateway_alone(
    gate: Gateway, shop: Upstream, key: str, kind: str, source: str
) -> None:
    """Once, with its own value, whatever the client wrote beside it; a public route and a login
    are told nothing. The same where a trusted proxy has passed the client's fields on.
    """
    line, more, body, is_told = KINDS[kind]
    sent = request(line, *LIES, *more, f"Authorization: Bearer {key}", body=body)
    assert status(ask(gate.port, sent, source)) in (200, 501)
    assert FORGED.encode() not in shop.got
    got = told(shop.got)
    for name in IDENTITY:
        assert got.get(variable(name)) == (["alice"] if is_told else None)


@pytest.mark.parametrize("source", [CLIENT, PROXY])
@pytest.mark.parametrize("kind", ANONYMOUS)
def test_without_a_session_there_is_nothing(
    gate: Gateway, shop: Upstream, kind: str, source: str
) -> None:
    """No field of `identity` reaches the upstream, in no spelling."""
    line, more, body, _ = KINDS[kind]
    answer = ask(gate.port, request(line, *LIES, *more, body=body), source)
    assert status(answer) == 200
    assert FORGED.encode() not in shop.got
    assert not {variable(name) for name in IDENTITY} & set(told(shop.got))


def test_an_unknown_subject_is_told_as_none(gate: Gateway, shop: Upstream) -> None:
    """What stands for it in the store is no user's name."""
    bearer = f"Authorization: Bearer {log_in(gate.port, '')}"
    shop.clear(accounts)
    assert status(ask(gate.port, request("GET /required/x", *LIES, bearer), CLIENT)) == 200
    assert not {variable(name) for name in IDENTITY} & set(told(shop.got))
    answer = ask(gate.port, question("X-User-Id: root", bearer))
    assert [fields_by_name(answer)[name] for name in IDENTITY] == ["", "", ""]


@pytest.mark.parametrize("source", [CLIENT, PROXY])
def test_the_backends_logout_is_told_by_the_gateway_alone(
    gate: Gateway, shop: Upstream, source: str
) -> None:
    """The session that ends is named to the backend, and nothing else is."""
    key = log_in(gate.port)
    shop.clear(accounts)
    sent = request("POST /logout", *LIES, f"Authorization: Bearer {key}")
    assert status(ask(gate.port, sent, source)) == 204
    assert FORGED.encode() not in shop.got
    assert told(shop.got)["x_user_id"] == ["alice"]


@pytest.mark.parametrize("source", [CLIENT, PROXY])
def test_trailers(gate: Gateway, shop: Upstream, key: str, source: str) -> None:
    """They are fields as well (RFC 9110 §6.5): a backend may merge them into the head."""
    names = (*IDENTITY, *OVERRIDES, "X_Session_Key", "Authorization", "True-Client-IP")
    for path in ("/public/x", "/required/x"):
        shop.clear(accounts)
        head = (
            f"POST {path} HTTP/1.1",
            "Host: a.example",
            "Connection: close, TE",
            "TE: trailers",
            "Transfer-Encoding: chunked",
            f"Authorization: Bearer {key}",
        )
        trailers = ["X-Sum: 1", *forged(*names)]
        data = "\r\n".join((*head, "", "2", "hi", "0", *trailers, "", ""))
        assert status(ask(gate.port, data.encode(), source)) == 200
        assert shop.got.endswith(b"\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("source", [CLIENT, PROXY])
@pytest.mark.parametrize("kind", ["required", "websocket", "captures"])
def test_connection_takes_nothing_of_ours_away(
    gate: Gateway, shop: Upstream, key: str, kind: str, source: str
) -> None:
    """RFC 9110 §7.6.1: what a client names there is removed before the gateway adds its own."""
    line, more, body, _ = KINDS[kind]
    named = ", ".join((*IDENTITY, "Authorization", "X-Real-IP", "X-Forwarded-For", "Host"))
    sent = request(
        line, f"Connection: {named}", *more, f"Authorization: Bearer {key}", *LIES, body=body
    )
    assert status(ask(gate.port, sent, source)) in (200, 501)
    got = told(shop.got)
    for name in IDENTITY:
        assert got[variable(name)] == ["alice"]
    assert got["authorization"][0].startswith("Bearer eyJ")
    assert got["x_real_ip"] == [source]
    assert got["host"] == ["a.example"]


# At the verify endpoint.


def question(*lines: str) -> bytes:
    described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /optional/x")
    return request("GET /.well-known/latchkey/verify", *described, *lines)


@pytest.mark.parametrize("line", sorted({*LIES, *forged("X_Session_Key", *OVERRIDES, "Proxy")}))
def test_a_proxy_passes_no_other_spelling_on(gate: Gateway, key: str, line: str) -> None:
    """It overwrites the names that the answer has; a request with another spelling is refused, and
    so is one with a field that overrides what has been decided on.
    """
    name = line.partition(":")[0].lower()
    overwritten = {name.lower() for name in IDENTITY}
    if name in overwritten:
        for lines, value in (((f"Authorization: Bearer {key}",), "alice"), ((), "")):
            got = fields_by_name(ask(gate.port, question(line, *lines)))
            assert [got[name] for name in IDENTITY] == [value] * len(IDENTITY)
    elif name != "x_session_key":
        answer = ask(gate.port, question(line, f"Authorization: Bearer {key}"))
        assert (status(answer), b"unfit_field" in answer) == (400, True)


# Fields that are not of `identity`.


@pytest.mark.parametrize("source", [CLIENT, PROXY])
@pytest.mark.parametrize("kind", ANONYMOUS)
def test_no_field_overrides_what_was_decided_on(
    gate: Gateway, shop: Upstream, kind: str, source: str
) -> None:
    """The route's `methods` and the proof of origin go by the method; no field changes it later."""
    line, more, body, _ = KINDS[kind]
    lines = forged(*OVERRIDES, "X-Original-URL", "Proxy")
    assert status(ask(gate.port, request(line, *lines, *more, body=body), source)) == 200
    assert FORGED.encode() not in shop.got


FORWARDING = (
    *("Forwarded", "X-Forwarded", "Forwarded-For", "Client-IP", "True-Client-IP", "X-Client-IP"),
    *("X-Cluster-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Pseudo-IPv4"),
    *("Fastly-Client-IP", "Fly-Client-IP", "DO-Connecting-IP", "X-Azure-ClientIP"),
    *("X-Azure-SocketIP", "X-AppEngine-User-IP", "X-Envoy-External-Address", "X-Original-For"),
    *("X-Original-Forwarded-For", "X-Originating-IP", "X-ProxyUser-IP", "X-Remote-Addr"),
    *("X-Remote-IP", "Front-End-Https", "X-Host", "X-HTTP-Host-Override", "X-Original-Host"),
    *("X-Original-Proto", "X-Scheme", "X-URL-Scheme", "Client-Cert", "Client-Cert-Chain"),
    *("X-ARR-ClientCert", "X-Client-Cert", "X-SSL-Client-Verify", "SSL-Client-Cert"),
    *("X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Ssl"),
    *("X-Forwarded-Path", "X-Forwarded-Scheme", "X-Forwarded-Email"),
)


@pytest.mark.parametrize("kind", ANONYMOUS)
def test_only_a_trusted_proxy_tells_of_the_client(gate: Gateway, shop: Upstream, kind: str) -> None:
    """From others such fields are dropped in every spelling; from it, only disguises are."""
    line, more, body, _ = KINDS[kind]
    for name in FORWARDING:
        # A prefix passes as a path only.
        lines = [f"{spelling}: /{FORGED}" for spelling in sorted({name, name.replace("-", "_")})]
        for source, passed in ((CLIENT, 0), (PROXY, 1)):
            shop.clear(accounts)
            assert status(ask(gate.port, request(line, *lines, *more, body=body), source)) == 200
            assert shop.got.count(FORGED.encode()) == passed, name


def test_what_folds_to_something_else_passes(gate: Gateway, shop: Upstream) -> None:
    """A separator twice, or none, makes another variable for every backend."""
    for line in ("X--User-Id: mine", "XUserId: mine", "X-User: mine", "X-User-Id-: mine"):
        shop.clear(accounts)
        assert status(ask(gate.port, request("GET /public/x", line), CLIENT)) == 200
        assert shop.got.count(b"mine") == 1
