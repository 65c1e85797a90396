"""A token for each upstream alone: over real gateways, before backends that verify them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.conftest import Start
from tests.conftest import log_in as log_in_at
from tests.sessions.conftest import call, calls, log_in, log_out
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import ask
from tests.support.redis_server import RedisServer
from tests.support.renewing import renewing
from tests.support.signing_keys import signing, signing_key
from tests.support.verifying import Verifying, verifying

LIFE = 4  # of the shop's tokens, in seconds

CLOSING = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

SHOWN = ["role", "/user/role"]

ROUTES: list[dict[str, Any]] = [
    {"path": "/api/*", "upstream": "api"},
    {"path": "/api/shop/*", "token": {"audience": "shop", "claims": SHOWN, "lifetime": LIFE}},
    {"path": "/api/bare/*", "token": {"audience": ["a", "b"], "claims": []}},
    {"path": "/api/all/*", "token": {"audience": "all"}},
    {"path": "/api/maybe/*", "token": {"audience": "maybe"}, "auth": "optional"},
    {"path": "/api/admin/*", "token": {"audience": "admin"}, "claims": {"role": "admin"}},
]


@pytest.fixture(scope="module")
def running_backend() -> Iterator[Verifying]:
    with verifying() as backend:
        yield backend


def sections(backend: Verifying, **more: Any) -> dict[str, Any]:
    return {
        "session": {"secrets": [SECRET], "clock_skew": 0.5},
        "signing": signing(signing_key("RS256"), audience="everybody"),
        "upstreams": {"api": backend.url},
        "login": {
            "kind": "mint",
            "path": "/login",
            "upstream": "api",
            "claims": {
                "sub": "/user/id",
                "role": "/user/role",
                "name": "/user/id",
                "user": "/user",
            },
        },
        "verify": {},
        "routes": [{"upstream": "api", **route} for route in ROUTES],
        **more,
    }


@pytest.fixture(scope="module")
def running(start: Start, running_backend: Verifying) -> Gateway:
    return start(**sections(running_backend))


@pytest.fixture
def backend(running_backend: Verifying, running: Gateway) -> Verifying:
    """The backend, as if new, with the gateway's keys."""
    url = running_backend.url
    running_backend.__init__(url=url)  # type: ignore[misc]
    running_backend.trust(running.port)
    return running_backend


def said(backend: Verifying, running: Gateway, key: str, path: str, audience: str) -> Any:
    """What the backend reads of the token that it gets at a path, as this audience."""
    backend.audience = audience
    code, payload, _ = call(running, key, path=path)
    assert code == 200, payload
    return payload


def test_each_upstream_gets_its_own(running: Gateway, backend: Verifying) -> None:
    """Its audience, its claims, its lifetime; and the session's own token where none is asked."""
    key = log_in(running.port)
    shop = said(backend, running, key, "/api/shop/x", "shop")
    assert (shop["sub"], shop["aud"], shop["role"], "name" in shop) == (
        "alice",
        "shop",
        "user",
        False,
    )
    assert shop["user"] == {"role": "user"}
    assert shop["exp"] <= time.time() + LIFE
    bare = said(backend, running, key, "/api/bare/x", "b")
    assert bare["aud"] == ["a", "b"]
    assert not {"role", "name"} & set(bare)
    everything = said(backend, running, key, "/api/all/x", "all")
    assert (everything["role"], everything["name"]) == ("user", "alice")
    own = said(backend, running, key, "/api/x", "everybody")
    assert len({claims["jti"] for claims in (shop, bare, everything, own)}) == 4
    assert own["exp"] > time.time() + 200


def test_a_proxy_that_asks_is_told_the_routes_own(running: Gateway, backend: Verifying) -> None:
    """As the upstream would be: the token is made by the rule, on every way to the upstream."""
    key = log_in(running.port)
    answer = ask(
        running.port,
        b"GET /.well-known/latchkey/verify HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/shop/x\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % key.encode(),
    )
    [line] = [line for line in answer.split(b"\r\n") if line.startswith(b"Authorization:")]
    token = line.partition(b"Bearer ")[2].decode()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == ("shop", "alice")


def test_one_upstreams_token_is_refused_by_another(running: Gateway, backend: Verifying) -> None:
    """That is what it is good for."""
    key = log_in(running.port)
    backend.audience = "somebody else"
    assert call(running, key, path="/api/shop/x")[1] == {"detail": "InvalidAudienceError"}


def test_a_token_serves_many_requests(running: Gateway, backend: Verifying) -> None:
    """It is minted once for all that come."""
    backend.audience = "all"
    key = log_in(running.port)
    names = {body["jti"] for _, body, _ in calls([running], key, 50, path="/api/all/x")}
    assert len(names) == 1


def test_a_token_is_minted_anew_before_it_expires(running: Gateway, backend: Verifying) -> None:
    """No request sees an expired one, and each serves for most of its life."""
    backend.audience = "shop"
    key = log_in(running.port)
    names: list[str] = []

    def third() -> bool:
        code, body, _ = call(running, key, path="/api/shop/x")
        assert code == 200, body
        names.append(body["jti"])
        return len(set(names)) == 3

    eventually(third)
    assert len(names) > 6
    assert backend.refused == []


def test_each_session_has_its_own(running: Gateway, backend: Verifying) -> None:
    """No device gets another subject's, nor the other device's."""
    backend.audience = "shop"
    keys = {name: log_in(running.port, name) for name in ("alice", "bob")}
    keys["alice again"] = log_in(running.port)
    names = set()
    for name, key in keys.items():
        payload = said(backend, running, key, "/api/shop/x", "shop")
        assert payload["sub"] == name.split()[0]
        names.add(payload["jti"])
    assert len(names) == 3


def test_without_a_session(running: Gateway, backend: Verifying) -> None:
    """Required is required; who may come without a key comes without a token."""
    backend.audience = "maybe"
    assert b" 401 " in ask(running.port, CLOSING % b"/api/shop/x")[:20]
    seen = len(backend.seen)
    ask(running.port, CLOSING % b"/api/maybe/x")
    assert backend.seen[seen:] == [""]


def test_the_routes_claims_still_decide(running: Gateway, backend: Verifying) -> None:
    """By what the session's own token says."""
    backend.roles = {"root": "admin"}
    assert call(running, log_in(running.port), path="/api/admin/x")[0] == 403
    key = log_in(running.port, "root")
    assert said(backend, running, key, "/api/admin/x", "admin")["role"] == "admin"


def test_a_logout_ends_it(running: Gateway, backend: Verifying) -> None:
    """Whatever is kept of it."""
    key = log_in(running.port)
    said(backend, running, key, "/api/shop/x", "shop")
    assert log_out(running, key) == 204
    assert call(running, key, path="/api/shop/x")[0] == 401


def test_no_client_sees_it(running: Gateway, backend: Verifying) -> None:
    """wire-rules.md#C4 holds for the token that went upstream, whichever it was."""
    backend.echo, backend.audience = True, "shop"
    key = log_in(running.port)
    _, _, fields = call(running, key, path="/api/shop/x")
    assert "X-Echo" not in fields
    assert backend.seen[-1] not in str(fields)


def test_a_refused_token_is_followed_by_another(running: Gateway, backend: Verifying) -> None:
    """An upstream's 401 leads to one new token of the session, and with it of the route."""
    key = log_in(running.port)
    said(backend, running, key, "/api/shop/x", "shop")
    backend.audience, seen = "nobody", len(backend.seen)
    assert call(running, key, path="/api/shop/x")[0] == 401
    first, second = (
        jwt.decode(token, options={"verify_signature": False}) for token in backend.seen[seen:]
    )
    assert first["jti"] != second["jti"]
    assert first["aud"] == second["aud"] == "shop"


def test_without_a_near_cache(
    tmp_path: Path, redis: RedisServer, running_backend: Verifying
) -> None:
    """Nothing is remembered of sessions, and still not every request is signed for."""
    store = {"url": redis.url, "near_cache": {"entries": 0}}
    with gateway(tmp_path, store, **sections(running_backend)) as bare:
        running_backend.trust(bare.port)
        running_backend.audience = "shop"
        key = log_in(bare.port)
        names = {body["jti"] for _, body, _ in calls([bare], key, 20, path="/api/shop/x")}
    assert len(names) == 1


def test_sessions_of_other_logins_have_none(
    tmp_path: Path, redis: RedisServer, running_backend: Verifying
) -> None:
    """The gateway does not vouch for claims that it was only handed: 403."""
    with renewing() as issuing:
        changed = sections(running_backend)
        changed["upstreams"]["theirs"] = issuing.url
        theirs = {"kind": "backend", "path": "/theirs", "upstream": "theirs"}
        theirs["subject_prefix"] = "theirs:"
        changed["login"] = [changed["login"], {**theirs, "backend_path": "/login"}]
        with gateway(tmp_path, redis.url, **changed) as both:
            running_backend.trust(both.port)
            running_backend.audience = "shop"
            assert call(both, log_in_at(both.port), path="/api/shop/x")[0] == 200
            body = json.dumps({"username": "mallory"}).encode()
            answer = ask(
                both.port,
                b"POST /theirs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body),
            )
            key = json.loads(answer.partition(b"\r\n\r\n")[2])["token"]
            seen = len(running_backend.seen)
            code, problem, _ = call(both, key, path="/api/shop/x")
            assert (code, problem["reason"]) == (403, "forbidden")
            assert len(running_backend.seen) == seen
