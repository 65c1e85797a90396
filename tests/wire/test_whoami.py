"""`whoami`: a client learns whose session it has, and when it ends."""

import json
import time
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import Start, log_in
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, ask, fields_by_name, request, status
from tests.support.redis_server import RedisServer
from tests.support.store import record_name

ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login={"kind": "backend", "path": "/login", "upstream": "accounts", "token": "/token"},
        whoami={"path": "/me", "claims": ["name", "exp", "/none"]},
        cors={"origins": ORIGIN, "credentials": True},
        routes=[{"path": "/*", "upstream": "shop"}],
    )


@pytest.fixture
def key(gate: Gateway) -> str:
    return log_in(gate.port)


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def told(answer: bytes) -> Any:
    assert status(answer) == 200
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("line", ["Authorization: Bearer KEY", "Cookie: latchkey=KEY"])
def test_what_it_tells(gate: Gateway, shop: Upstream, key: str, line: str) -> None:
    """The subject, the chosen claims that the token has, the login, and both ends: in UNIX
    seconds from now, for clients whose clocks are wrong, as well.
    """
    answer = ask(gate.port, request("GET /me", line.replace("KEY", key)))
    data = told(answer)
    now = time.time()
    assert (data["subject"], data["login"]) == ("alice", "/login")
    assert data["claims"].keys() <= {"name", "exp"}
    assert abs(seconds(data["created"]) - now) < 60
    for name in ("ends", "idle_ends"):
        assert abs(seconds(data[name]) - now - data[f"{name}_in"]) < 60
    assert 1700 < data["idle_ends_in"] <= 1800
    assert data["ends_in"] >= data["idle_ends_in"]
    assert fields_by_name(answer)["Cache-Control"] == "no-store"
    assert "ey" not in str(data["claims"])
    assert shop.got == b""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("X-Nothing: 1", "no_key"),
        ("Authorization: Bearer lk_" + "A" * 49, "invalid_key"),
        ("Cookie: latchkey=lk_" + "A" * 49, "invalid_key"),
    ],
)
def test_without_a_session_it_is_401(gate: Gateway, line: str, reason: str) -> None:
    answer = ask(gate.port, request("GET /me", line))
    assert status(answer) == 401
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == reason
    assert fields_by_name(answer)["Cache-Control"] == "no-store"


def test_an_ended_session_is_401(gate: Gateway, key: str) -> None:
    told(ask(gate.port, request("GET /me", bearer(key))))
    assert status(ask(gate.port, request("POST /logout", bearer(key), "Content-Length: 0"))) == 204
    assert status(ask(gate.port, request("GET /me", bearer(key)))) == 401


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_other_methods_are_405(gate: Gateway, key: str, method: str) -> None:
    answer = ask(gate.port, request(f"{method} /me", bearer(key), "Content-Length: 0"))
    assert status(answer) == 405
    assert fields_by_name(answer)["Allow"] == "GET, HEAD"


def test_pages_of_an_allowed_origin_may_read_it(gate: Gateway, key: str) -> None:
    for origin, allowed in [(ORIGIN, True), ("https://evil.example", False)]:
        answer = ask(gate.port, request("GET /me", f"Cookie: latchkey={key}", f"Origin: {origin}"))
        assert (fields_by_name(answer).get("Access-Control-Allow-Origin") == ORIGIN) == allowed


@pytest.mark.parametrize("extends", [False, True])
def test_asking_leaves_a_session_idle_unless_it_is_to_extend_it(
    start: Start, upstream: Upstream, login_upstream: Upstream, redis: RedisServer, extends: bool
) -> None:
    """A page may ask as often as it likes."""
    gate = start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login={"kind": "backend", "path": "/login", "upstream": "accounts", "token": "/token"},
        whoami={"path": "/me", "extends_session": extends},
        routes=[{"path": "/*", "upstream": "shop"}],
    )
    key = log_in(gate.port)
    with redis.client() as client:
        client.pexpire(record_name(key), 60_000)
        for _ in range(3):
            left = told(ask(gate.port, request("GET /me", bearer(key))))["idle_ends_in"]
        assert (left > 60) == extends
        assert (client.pttl(record_name(key)) > 60_000) == extends
