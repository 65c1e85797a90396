"""`accept_jwt: verify`: a service brings its own token, which is verified and passes as it is."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start, accounts, log_in
from tests.support.gateway import Gateway, gateway
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.support.signing import Signer, by_hand, ec_signer, payload, published, rsa_signer

RSA, EC, MALLORY = rsa_signer(), ec_signer(), rsa_signer("mallory")
# A user of the login and a caller of one name are one person.
LOGIN = {"kind": "backend", "path": "/login", "subject_prefix": ""}
RULES = {"issuer": "https://id.example", "audience": "shop", "subject_prefix": ""}
ROUTES = [
    {"path": "/services/*", "upstream": "shop", "accept_jwt": "verify"},
    {
        "path": "/services/admin/*",
        "upstream": "shop",
        "accept_jwt": "verify",
        "claims": {"role": ["admin", "owner"]},
    },
    {"path": "/maybe/*", "upstream": "shop", "accept_jwt": "verify", "auth": "optional"},
    {
        "path": "/guest/*",
        "upstream": "shop",
        "accept_jwt": "verify",
        "auth": "optional",
        "bad_key": "anonymous",
    },
    {"path": "/api/*", "upstream": "shop"},
    {"path": "/public/*", "upstream": "shop", "auth": "public"},
]


def key_set(*keys: Signer) -> bytes:
    body = published(*keys)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def sections(provider: Upstream, shop: Upstream, backend: Upstream, **changes: Any) -> Any:
    return {
        "upstreams": {"shop": shop.url, "accounts": backend.url},
        "login": {**LOGIN, "upstream": "accounts"},
        "jwt": {"jwks": f"{provider.url}/keys", **RULES},
        "identity": {"X-User-Id": "sub", "X-Role": "role"},
        "keys": {"field": "X-Api-Key"},
        "routes": ROUTES,
        **changes,
    }


def servers(behaviour: list[Any]) -> Iterator[list[Upstream]]:
    made = [Upstream() for _ in behaviour]
    for provider, answer in zip(made, behaviour, strict=True):
        provider.answer = answer
    yield made
    for provider in made:
        provider.stop()


@pytest.fixture(scope="module")
def upstreams() -> Iterator[list[Upstream]]:
    """A provider of keys, a shop, and a login backend."""
    yield from servers([always(key_set(RSA, EC)), always(OK), accounts])


@pytest.fixture(scope="module")
def running(start: Start, upstreams: list[Upstream]) -> Gateway:
    return start(**sections(*upstreams))


@pytest.fixture
def shop(upstreams: list[Upstream]) -> Upstream:
    upstreams[1].clear()
    return upstreams[1]


@pytest.fixture
def own(redis: RedisServer) -> Iterator[list[Upstream]]:
    """The same servers, for a test that changes what they do."""
    yield from servers([always(key_set(RSA)), always(OK), accounts])


def good(signer: Signer = RSA, **claims: Any) -> str:
    return signer.token(**{"iss": "https://id.example", "aud": "shop", **claims})


def get(path: str, *lines: str, close: bool = True) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    end = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: a.example\r\n{end}{fields}\r\n".encode()


def call(running: Gateway, path: str, token: str, *lines: str) -> tuple[int, bytes]:
    """The status and the whole answer."""
    answer = ask(running.port, get(path, f"Authorization: Bearer {token}", *lines))
    return status(answer), answer


def reason(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["reason"])


# What passes.


@pytest.mark.parametrize("signer", [RSA, EC])
def test_a_verified_token_passes_as_it_is(running: Gateway, shop: Upstream, signer: Signer) -> None:
    """Byte for byte; and the identity is its own, whatever the caller claims beside it."""
    token = good(signer, role="reader")
    for _ in range(3):
        code, _ = call(running, "/services/x", token, "X-User-Id: root", "x_role: admin")
        assert code == 200
    assert shop.got.count(f"\r\nAuthorization: Bearer {token}\r\n".encode()) == 3
    assert shop.got.count(b"\r\nX-User-Id: alice\r\n") == 3
    assert shop.got.count(b"\r\nX-Role: reader\r\n") == 3
    assert b"root" not in shop.got
    assert b"admin" not in shop.got
    assert running.records(route="/services/*", session="")


def test_keys_pass_beside_tokens(running: Gateway, shop: Upstream) -> None:
    """Such a route is for users as well."""
    code, _ = call(running, "/services/x", log_in(running.port))
    assert code == 200
    assert b"\r\nX-User-Id: alice\r\n" in shop.got
    assert b"lk_" not in shop.got


def test_claims_decide(running: Gateway, shop: Upstream) -> None:
    """A token's claims are asked for as a session's are."""
    code, answer = call(running, "/services/admin/x", good(role="reader"))
    assert (code, reason(answer)) == (403, "forbidden")
    assert shop.got == b""
    for role in ("admin", ["owner", "reader"]):
        assert call(running, "/services/admin/x", good(role=role))[0] == 200


def test_optional_routes(running: Gateway, shop: Upstream) -> None:
    """A good token is looked at, a bad one refused, or anonymous where that is configured."""
    assert call(running, "/maybe/x", good())[0] == 200
    assert b"\r\nX-User-Id: alice\r\n" in shop.got
    code, answer = call(running, "/maybe/x", good(exp=1))
    assert (code, reason(answer)) == (401, "invalid_token")
    shop.clear()
    assert call(running, "/guest/x", good(exp=1))[0] == 200
    assert b"Authorization" not in shop.got
    assert b"X-User-Id" not in shop.got


# What does not.


def test_other_routes_refuse_tokens(running: Gateway, shop: Upstream) -> None:
    """That is the default: who is to bring a token is said route by route. A token that has been
    believed on one is none on another. Where no session is required, it is the client's own.
    """
    token = good()
    assert call(running, "/services/x", token)[0] == 200
    shop.clear()
    code, answer = call(running, "/api/x", token)
    assert (code, reason(answer)) == (401, "token_not_key")
    assert shop.got == b""
    assert call(running, "/public/x", token)[0] == 200
    assert b"X-User-Id" not in shop.got


BAD = {
    "of somebody else": lambda: MALLORY.token({"kid": "rsa"}, iss="https://id.example", aud="shop"),
    "by an unknown key": lambda: good(MALLORY),
    "unsigned": lambda: by_hand({"alg": "none", "kid": "rsa"}, payload(aud="shop"), b""),
    "with its own key": lambda: MALLORY.token({"kid": "rsa", "jwk": MALLORY.jwk}),
    "with an extension": lambda: RSA.token({"crit": ["b64"], "b64": True}),
    "of another issuer": lambda: good(iss="https://evil.example"),
    "for somebody else": lambda: good(aud="bank"),
    "for nobody": lambda: good(aud=None),
    "expired": lambda: good(exp=int(time.time()) - 60),
    "without an end": lambda: good(exp=None),
    "not yet valid": lambda: good(nbf=int(time.time()) + 600),
    "huge": lambda: good(pad="x" * 13_000),
    "nonsense": lambda: "a.b.c",
    "dots": lambda: "..",
    "two in one": lambda: f"{good()},{good()}",
    "not in ASCII": lambda: "é.é.é",
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_a_token_that_is_not_believed(running: Gateway, shop: Upstream, make: Any) -> None:
    """401 with a challenge; it reaches no upstream and is repeated nowhere."""
    token = make()
    code, answer = call(running, "/services/x", token)
    assert (code, reason(answer)) in ((401, "invalid_token"), (401, "not_a_key"))
    assert b'\r\nWWW-Authenticate: Bearer realm="latchkey", error="invalid_token"\r\n' in answer
    assert shop.got == b""
    if len(token) > 10:
        assert token.encode() not in answer
        assert token not in running.log.read_text() + running.access_log.read_text()


def test_the_audit_log_says_why(running: Gateway) -> None:
    """In one stable word."""
    call(running, "/services/x", good(aud="bank"))
    assert running.events(event="refused", reason="wrong_audience")


@pytest.mark.parametrize(
    "lines",
    [
        ("X-Api-Key: TOKEN",),
        ("Cookie: token=TOKEN",),
        ("Authorization: TOKEN",),
        ("Authorization: Token TOKEN",),
        ("Authorization: Bearer TOKEN", "Authorization: Bearer TOKEN"),
        ("Authorization: Bearer TOKEN", "Authorization: Basic YTpi"),
        ("Authorization: Bearer TOKEN", "X-Api-Key: KEY"),
        ("Authorization: Bearer TOKEN", "Cookie: latchkey=KEY"),
        ("Authorization: Bearer TOKEN KEY",),
    ],
)
def test_a_token_elsewhere_or_beside_a_key(
    running: Gateway, shop: Upstream, lines: tuple[str, ...]
) -> None:
    """It belongs into Authorization and nowhere else; and none of several is picked by chance."""
    key = log_in(running.port)
    filled = [line.replace("TOKEN", good()).replace("KEY", key) for line in lines]
    assert status(ask(running.port, get("/services/x", *filled))) in (400, 401)
    assert shop.got == b""


def test_no_token_in_the_query(running: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C3."""
    code = status(ask(running.port, get(f"/services/x?access_token={good()}")))
    assert (code, shop.got) == (401, b"")


# The provider.


def test_rotated_keys(tmp_path: Path, redis: RedisServer, own: list[Upstream]) -> None:
    """A token by a new key has the set fetched; the old key is not believed any more, but for the
    moment that a token is remembered.
    """
    with gateway(tmp_path, redis.url, **sections(*own)) as only:
        assert call(only, "/services/x", good())[0] == 200
        own[0].clear(always(key_set(EC)))
        until = time.monotonic() + 20
        while call(only, "/services/x", good(EC))[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert call(only, "/services/x", good(jti="another"))[0] == 401
        assert own[0].got.count(b"GET /keys HTTP/1.1") == 1


def test_a_provider_that_hangs_holds_up_nobody_else(
    tmp_path: Path, redis: RedisServer, own: list[Upstream]
) -> None:
    """Only a token by an unknown key waits for it; a known caller passes, by token or key. One
    that goes away while it waits takes no other with it, and the others are told to come again.
    """

    def silent(visit: Visit) -> None:
        visit.request()

    with gateway(tmp_path, redis.url, **sections(*own)) as only:
        key = log_in(only.port)
        assert call(only, "/services/x", good())[0] == 200
        own[0].clear(silent)
        time.sleep(5)  # the pause after the last time
        waiting = [Client(only.port) for _ in range(3)]
        for client in waiting:
            token = good(EC)
            client.send(get("/services/x", f"Authorization: Bearer {token}", close=False))
        own[0].wait(lambda: b"GET /keys" in own[0].got)
        for _ in range(5):
            assert call(only, "/services/x", good())[0] == 200
            assert call(only, "/services/x", key)[0] == 200
        waiting[0].sock.close()
        for client in waiting[1:]:
            assert client.answer()[0] == 503
            client.sock.close()
        assert own[0].got.count(b"GET /keys") == 1


def test_a_provider_that_is_down(tmp_path: Path, redis: RedisServer, own: list[Upstream]) -> None:
    """503 for tokens, as their keys are unknown; keys pass. Nothing made up is passed on."""
    own[0].answer = always(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    with gateway(tmp_path, redis.url, **sections(*own)) as only:
        code, answer = call(only, "/services/x", good())
        assert (code, reason(answer)) == (503, "keys_unavailable")
        assert b"\r\nRetry-After: " in answer
        assert own[1].got == b""
        assert call(only, "/services/x", log_in(only.port))[0] == 200


def test_a_key_of_ones_own(tmp_path: Path, redis: RedisServer, own: list[Upstream]) -> None:
    """Without a provider: a public key. An upstream's 401 passes, and ends nothing."""
    own[1].answer = always(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
    (tmp_path / "key.pem").write_text(EC.pem)
    changes: dict[str, Any] = {
        "jwt": {"public_key": "key.pem", **RULES},
        "session": {"secrets": ["a secret of the tests, long enough"], "end_on_upstream_401": True},
    }
    with gateway(tmp_path, redis.url, **sections(*own, **changes)) as only:
        for _ in range(2):
            code, answer = call(only, "/services/x", good(EC))
            assert (code, answer[-2:]) == (401, b"no")
        assert own[1].got.count(b"GET ") == 2


def test_what_is_open_does_not_depend_on_the_store(tmp_path: Path, own: list[Upstream]) -> None:
    """There is no session behind a token: a store that is emptied ends nothing of it."""
    sent: list[Visit] = []

    def slow(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        sent.append(visit)

    own[1].answer = slow
    with (
        redis_server(tmp_path) as store,
        gateway(tmp_path / "gateway", store.url, **sections(*own)) as only,
        Client(only.port) as client,
    ):
        client.send(get("/services/x", f"Authorization: Bearer {good()}", close=False))
        assert client.head().startswith(b"HTTP/1.1 200")
        assert client.exactly(5) == b"first"
        with store.client() as redis:
            redis.flushall()
        time.sleep(2)  # what ends with its session ends within a second
        sent[0].send(b"later")
        assert client.exactly(5) == b"later"
