"""The audit log of a real gateway: each thing that happens to a session, and by whom."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import log_in
from tests.support.gateway import Gateway, gateway
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing, renewing


@pytest.fixture
def backend() -> Iterator[Renewing]:
    with renewing() as server:
        yield server


def sections(backend: Renewing, **session: Any) -> dict[str, Any]:
    return {
        "session": {
            "secrets": ["a secret of the tests, long enough"],
            "renew": {"upstream": "api", "backend_path": "/refresh"},
            "clock_skew": 0.2,
            **session,
        },
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "routes": [{"path": "/api/*", "upstream": "api"}],
    }


def call(relay: Gateway, key: str, target: str = "GET /api/x") -> int:
    head = f"{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
    return status(ask(relay.port, f"{head}\r\n".encode()))


def test_a_session_from_its_login_to_its_logout(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """The access log's lines of the same requests have the same names for session and request."""
    with gateway(tmp_path, redis.url, **sections(backend)) as relay:
        backend.life = 1.0
        key = log_in(relay.port)
        backend.life = 60
        time.sleep(max(0.0, backend.expiry - time.time()) + 0.05)
        assert call(relay, key) == 200
        assert call(relay, key, "POST /logout") == 204
        assert call(relay, key) == 401
        [record] = relay.records(route="/logout")
        [refused] = relay.records(route="/api/*", status=401)
        [login] = relay.records(route="/login")
        lines = relay.events()
    for line in lines:
        assert line.pop("time")[-1] == "Z"
    session = record["session"]
    known = {"subject": "alice", "session": session}
    device = {"address": "127.0.0.1", "device": "Unknown device"}
    assert lines == [
        {"event": "login", **known, **device, "request_id": login["request_id"]},
        {"event": "renew", **known},
        {"event": "logout", **known, **device, "request_id": record["request_id"]},
        {
            "event": "refused",
            "session": session,
            "address": "127.0.0.1",
            "reason": "invalid_key",
            "request_id": refused["request_id"],
        },
    ]


def test_sessions_that_others_end(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """A limit, an upstream, and a backend that renews no more: each says why."""
    backend.life = 60
    ends = {"renew_on_upstream_401": True, "end_on_upstream_401": True}
    settings = sections(backend, max_per_subject=1, **ends)
    store: Any = {"url": redis.url, "prefix": "audit:"}
    with gateway(tmp_path, store, **settings) as relay:
        first, key = log_in(relay.port), log_in(relay.port)
        [event] = relay.events(event="revoke")
        assert (event["reason"], event["by"]) == ("too_many", "limit")
        assert call(relay, first) == 401
        backend.status = 401
        backend.revoked.update(backend.tokens)
        assert call(relay, key) == 401
        [event] = relay.events(event="renew_failed")
        assert event["reason"] == "refused"
        [event] = relay.events(event="revoke", reason="upstream_401")
        assert (event["subject"], event["by"]) == ("alice", "upstream")
        assert event["session"] == relay.events(event="login")[1]["session"]


def test_an_address_behind_a_proxy(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """The client's as a trusted proxy tells it, and the name that it gave the request."""
    trusted = {**sections(backend), "trusted_proxies": ["127.0.0.1"]}
    with gateway(tmp_path, redis.url, **trusted) as relay:
        lines = "X-Forwarded-For: 192.0.2.9\r\nX-Request-Id: r-42\r\n"
        head = f"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}"
        assert status(ask(relay.port, f"{head}Authorization: Bearer x\r\n\r\n".encode())) == 401
        [event] = relay.events(event="refused")
        assert (event["address"], event["request_id"]) == ("192.0.2.9", "r-42")
