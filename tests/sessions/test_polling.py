"""Routes with `extends_session: false`: what polls there leaves its session as idle as it was.

The store is asked how long a session would still live, so no test waits for a timeout.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.sessions.conftest import all_calls, call, calls, log_in, log_out, sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing
from tests.support.store import record_name

Pair = tuple[Gateway, Gateway]

IDLE = 1800  # the default of session.idle_timeout, in seconds
OLD = 60  # what a test leaves of it


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Renewing
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("polling")
    changed = sections(running_backend)
    changed["routes"] += [
        {"path": "/api/poll/*", "upstream": "api", "extends_session": False},
        {"path": "/api/poll/page", "upstream": "api", "auth": "optional"},
    ]
    changed["verify"] = "/verify"
    with (
        gateway(folder / "one", redis.url, **changed) as one,
        gateway(folder / "two", redis.url, **changed) as two,
    ):
        yield one, two


@pytest.fixture
def key(pair: Pair, backend: Renewing, redis: RedisServer) -> str:
    """The key of a session that has been idle for long."""
    backend.life = 600
    key = log_in(pair[0].port)
    with redis.client() as client:
        client.pexpire(record_name(key), OLD * 1000)
    return key


def is_extended(redis: RedisServer, key: str) -> bool:
    """Whether the session has nearly the whole idle timeout again."""
    with redis.client() as client:
        left = client.pttl(record_name(key)) / 1000
    assert left > 0
    return bool(left > OLD)


def test_polling_leaves_a_session_idle(pair: Pair, redis: RedisServer, key: str) -> None:
    """On both gateways, however often, and also where each answer is remembered."""
    for relay in pair * 3:
        assert call(relay, key, path="/api/poll/x")[0] == 200
    assert {status for status, _, _ in calls(list(pair), key, 20, path="/api/poll/x")} == {200}
    assert not is_extended(redis, key)


def test_another_route_extends_it_at_once(pair: Pair, redis: RedisServer, key: str) -> None:
    """What a gateway remembers of polls serves no request that must be noted as activity."""
    for path, extended in [("/api/poll/x", False), ("/api/poll/x", False), ("/api/x", True)]:
        assert call(pair[0], key, path=path)[0] == 200
        assert is_extended(redis, key) == extended


def test_a_more_specific_route_extends_it(pair: Pair, redis: RedisServer, key: str) -> None:
    assert call(pair[1], key, path="/api/poll/page")[0] == 200
    assert is_extended(redis, key)


def test_polls_and_activity_that_come_at_once(pair: Pair, redis: RedisServer, key: str) -> None:
    """A look-up without a touch is not shared by a request that touches."""

    async def mixed() -> None:
        await asyncio.gather(
            all_calls([pair[0]], key, 5, path="/api/poll/x"), all_calls([pair[0]], key, 1)
        )

    asyncio.run(mixed())
    assert is_extended(redis, key)


def test_a_poll_after_activity_finds_it_remembered(
    pair: Pair, redis: RedisServer, key: str
) -> None:
    """What activity has brought into the near cache serves polls as well, and ends with it."""
    assert call(pair[0], key)[0] == 200
    assert call(pair[0], key, path="/api/poll/x")[0] == 200
    assert is_extended(redis, key)


@pytest.mark.parametrize(("path", "extended"), [("/api/poll/x", False), ("/api/x", True)])
def test_a_proxy_that_asks(
    pair: Pair, redis: RedisServer, key: str, path: str, extended: bool
) -> None:
    """The described request's route decides."""
    answer = ask(
        pair[0].port,
        f"GET /verify HTTP/1.1\r\nHost: a\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: {path}\r\n"
        f"X-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nAuthorization: Bearer {key}\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    assert status(answer) == 200
    assert is_extended(redis, key) == extended


def test_a_logout_ends_what_polls_remember(pair: Pair, key: str) -> None:
    assert [call(relay, key, path="/api/poll/x")[0] for relay in pair * 2] == [200] * 4
    assert log_out(pair[0], key) == 204
    assert call(pair[0], key, path="/api/poll/x")[0] == 401
    eventually(lambda: call(pair[1], key, path="/api/poll/x")[0] == 401)
