"""How long a session lasts: idle timeout, absolute timeout, token expiry; the earliest ends it."""

import time
from pathlib import Path
from typing import Any

from tests.sessions.conftest import call, log_in
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import Client
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing


def sections(backend: Renewing, **session: Any) -> dict[str, Any]:
    """Sessions whose tokens are not renewed."""
    return {
        "session": {"secrets": [SECRET], **session},
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "routes": [{"path": "/api/*", "upstream": "api"}],
    }


def used(relay: Gateway, key: str, seconds: float) -> list[int]:
    """The answers to calls that come several times within an idle timeout."""
    codes, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        codes.append(call(relay, key)[0])
        time.sleep(0.2)
    return codes


def test_a_session_in_use_is_not_idle(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """Even if the near cache answers each time; and once it is not used, it ends."""
    backend.life = 600
    with gateway(tmp_path, redis.url, **sections(backend, idle_timeout="2s")) as relay:
        key, other = log_in(relay.port), log_in(relay.port)
        assert set(used(relay, key, 5)) == {200}
        assert call(relay, other)[0] == 401
        time.sleep(2.5)
        assert call(relay, key)[0] == 401


def test_the_absolute_timeout(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """However much a session is used."""
    backend.life = 600
    with gateway(tmp_path, redis.url, **sections(backend, max_age="2s")) as relay:
        key = log_in(relay.port)
        codes = used(relay, key, 4)
        assert codes[0] == 200
        assert codes[-1] == 401
        assert codes == sorted(codes)


def test_the_tokens_expiry(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """A session without a renewal ends with its token, and the clock skew later at the most."""
    backend.life = 2
    with gateway(tmp_path, redis.url, **sections(backend, clock_skew=1)) as relay:
        key = log_in(relay.port)
        ends = backend.expiry + 1
        assert call(relay, key)[0] == 200
        eventually(lambda: call(relay, key)[1].get("reason") == "invalid_key")
        assert time.time() >= ends - 0.1
        assert len(backend.refreshes) == 0


def test_clocks_that_differ(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """A token of a backend whose clock is behind: accepted within the skew, and not beyond it."""
    with gateway(tmp_path, redis.url, **sections(backend, clock_skew=10)) as relay:
        backend.life = -3
        key = log_in(relay.port)
        # The backend's own clock says that it has expired; the gateway leaves that to it.
        assert call(relay, key)[1] == {"detail": "invalid token"}
        backend.life = -20
        body = b'{"username": "alice"}'
        with Client(relay.port) as client:
            client.send(
                b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            code, _, answer = client.answer()
        assert (code, b"no_token" in answer) == (502, True)
        assert backend.tokens[-1].encode() not in answer


def test_touches_are_throttled(tmp_path: Path, redis: RedisServer, backend: Renewing) -> None:
    """A session that is used all the time is written once in a tenth of its idle timeout."""
    backend.life = 600
    with (
        gateway(
            tmp_path,
            {"url": redis.url, "near_cache": {"entries": 0}},
            **sections(backend, idle_timeout="10s"),
        ) as relay,
        redis.client() as client,
    ):
        key = log_in(relay.port)
        before, began = writes(client), time.monotonic()
        codes = used(relay, key, 3)
        assert set(codes) == {200}
        assert len(codes) > 5
        assert 1 <= writes(client) - before <= 1 + (time.monotonic() - began)


def writes(client: Any) -> int:
    stats = client.info("commandstats")
    return int(stats.get("cmdstat_setrange", {"calls": 0})["calls"])
