"""A store that is away: 503 and never 401; and what config.yaml may say for that time."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.sessions.keys import new_key
from tests.conftest import log_in
from tests.sessions.conftest import call, log_out, sections
from tests.support.delaying import Delaying, delaying
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, eventually
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

# Seconds for which `serve_cached` bridges an outage in these tests.
_BRIDGE = 6.0

APP = "https://app.example"

COOKIE = (
    b"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: session=%b; other=1\r\n\r\n"
)


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[Delaying]:
    with delaying(redis.port) as running:
        yield running


def away(proxy: Delaying) -> None:
    proxy.refuses = True
    proxy.cut()


def back(proxy: Delaying) -> None:
    proxy.refuses = False


@contextlib.contextmanager
def bridged(
    folder: Path, proxy: Delaying, backend: Renewing, bridge: float, **changes: Any
) -> Iterator[Gateway]:
    changed = {**sections(backend), **changes}
    changed["routes"].append({"path": "/public/*", "upstream": "api", "auth": "public"})
    with gateway(
        folder, {"url": proxy.url, "timeout": 1}, **changed, store_outage={"serve_cached": bridge}
    ) as running:
        yield running


def remembered(relay: Gateway, name: str = "alice") -> str:
    """A key that the gateway knows without asking."""
    key = log_in(relay.port, name)
    for _ in range(3):
        assert call(relay, key)[0] == 200
    return key


def test_by_default_nothing_is_served_from_memory(
    tmp_path: Path, proxy: Delaying, backend: Renewing
) -> None:
    """503 with Retry-After, for keys that are known and for those that are not; no cookie is
    deleted; public routes go on; and all is well when the store is back.
    """
    backend.life = 600
    with bridged(tmp_path, proxy, backend, 0) as relay:
        key = remembered(relay)
        away(proxy)
        eventually(lambda: call(relay, key)[0] == 503)
        for credential in (key, log_in_elsewhere()):
            code, problem, fields = call(relay, credential)
            assert (code, problem["reason"]) == (503, "store_unavailable")
            assert int(fields["Retry-After"]) > 0
        answer = ask(relay.port, COOKIE % key.encode())
        assert status(answer) == 503
        assert b"set-cookie" not in answer.lower()
        assert log_out(relay, key) == 503
        public = b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert status(ask(relay.port, public)) != 503
        back(proxy)
        eventually(lambda: call(relay, key)[0] == 200)
        assert log_out(relay, key) == 204
        assert call(relay, key)[0] == 401


def test_another_origins_page_is_told(tmp_path: Path, proxy: Delaying, backend: Renewing) -> None:
    """The 503 of a route, of the login and of the logout can be read by pages that may read their
    other answers; and a preflight needs no store.
    """
    with bridged(tmp_path, proxy, backend, 0, cors={"origins": APP}) as relay:
        key = log_in(relay.port, "alice")
        away(proxy)
        eventually(lambda: call(relay, key)[0] == 503)
        for line in ("GET /api/x", "POST /login", "POST /logout"):
            answer = from_the_app(relay, line, f"Authorization: Bearer {key}")
            assert status(answer) == 503, line
            assert answer.count(f"\r\nAccess-Control-Allow-Origin: {APP}\r\n".encode()) == 1
        asks = from_the_app(relay, "OPTIONS /api/x", "Access-Control-Request-Method: PUT")
        assert status(asks) == 204
        assert f"\r\nAccess-Control-Allow-Origin: {APP}\r\n".encode() in asks
        back(proxy)


def from_the_app(relay: Gateway, line: str, field: str) -> bytes:
    head = f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {APP}\r\n{field}\r\n\r\n"
    return ask(relay.port, head.encode())


def log_in_elsewhere() -> str:
    """A key whose session this gateway has never seen."""
    return new_key(secrets.token_bytes(32)).reveal()


def test_an_outage_is_bridged_for_as_long_as_was_said(
    tmp_path: Path, proxy: Delaying, backend: Renewing
) -> None:
    """What was remembered is served, and nothing else; then it is 503; then all is as before."""
    backend.life = 600
    with bridged(tmp_path, proxy, backend, _BRIDGE) as relay:
        key = remembered(relay)
        began = time.time()
        away(proxy)
        served: list[float] = []
        refused: list[float] = []
        while time.time() - began < _BRIDGE + 2:
            moment = time.time() - began
            (served if call(relay, key)[0] == 200 else refused).append(moment)
            assert call(relay, log_in_elsewhere())[0] == 503
        assert max(served) > _BRIDGE / 2
        assert max(served) < min(refused), "once it is over it is over"
        assert max(served) <= _BRIDGE + 1  # it begins when the gateway notices
        back(proxy)
        eventually(lambda: call(relay, key)[0] == 200)


def test_a_logout_during_an_outage(tmp_path: Path, proxy: Delaying, backend: Renewing) -> None:
    """It is not called done, and yet this gateway serves the session no more: 503, not 401, for
    nobody knows; other sessions go on.
    """
    backend.life = 600
    with bridged(tmp_path, proxy, backend, 30) as relay:
        goes, stays = remembered(relay), remembered(relay, "bob")
        away(proxy)
        assert log_out(relay, goes) == 503
        assert call(relay, goes)[0] == 503
        assert call(relay, stays)[:2] == (200, {"sub": "bob", "size": 0})
        back(proxy)
        eventually(lambda: call(relay, goes)[0] == 200)
        assert log_out(relay, goes) == 204
        assert call(relay, goes)[0] == 401


def test_what_changed_meanwhile_counts_as_soon_as_the_store_is_back(
    tmp_path: Path, redis: RedisServer, proxy: Delaying, backend: Renewing
) -> None:
    """A session that was ended by another gateway during the outage."""
    backend.life = 600
    with (
        bridged(tmp_path / "one", proxy, backend, 60) as one,
        gateway(tmp_path / "two", redis.url, **sections(backend)) as two,
    ):
        key = remembered(one)
        away(proxy)
        assert call(one, key)[0] == 200
        assert log_out(two, key) == 204
        assert call(one, key)[0] == 200, "this is what was chosen"
        back(proxy)
        eventually(lambda: call(one, key)[0] == 401)


def test_an_expired_token_is_not_bridged(
    tmp_path: Path, proxy: Delaying, backend: Renewing
) -> None:
    """It would have to be renewed, which no gateway can during an outage."""
    backend.life = 4
    with bridged(tmp_path, proxy, backend, 60) as relay:
        key = remembered(relay)
        away(proxy)
        assert call(relay, key)[0] == 200
        time.sleep(max(0.0, backend.expiry - time.time()) + 0.5)
        assert call(relay, key)[0] == 503
        assert backend.seen[-1] == backend.tokens[0]


def test_a_silent_store_keeps_nobody_waiting_for_long(
    tmp_path: Path, proxy: Delaying, backend: Renewing
) -> None:
    """wire-rules.md#E11: it accepts and says nothing; each request has its answer within a bounded
    time.
    """
    backend.life = 600
    with bridged(tmp_path, proxy, backend, 0) as relay:
        key = remembered(relay)
        proxy.delay = 3600
        eventually(lambda: call(relay, key)[0] == 503)
        began = time.monotonic()
        assert call(relay, key)[0] == 503
        assert log_out(relay, key) == 503
        assert time.monotonic() - began < HANG
        proxy.delay = 0
        proxy.cut()
        eventually(lambda: call(relay, key)[0] == 200)


async def test_waiting_requests_do_not_wait_for_each_other(
    tmp_path: Path, proxy: Delaying, backend: Renewing
) -> None:
    """wire-rules.md#E11: a hundred that come at once wait no longer than one."""
    backend.life = 600
    with bridged(tmp_path, proxy, backend, 0) as relay:
        proxy.delay = 3600
        keys = [log_in_elsewhere() for _ in range(100)]
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(
            *(loop.run_in_executor(None, call, relay, key) for key in keys)
        )
        assert {code for code, _, _ in answers} == {503}
        assert time.monotonic() - began < 60
