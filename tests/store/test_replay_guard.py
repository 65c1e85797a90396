"""What may be used guard is used guard, over all gateways, and is forgotten when it is over."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.store.errors import StoreUnavailable
from gateway.store.layout import Layout
from gateway.store.replay_guard import ReplayGuard
from gateway.store.servers.connect import connect
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture
async def gateways(redis: RedisServer) -> AsyncIterator[list[ReplayGuard]]:
    """Two gateways with one store."""
    layout = Layout(f"{uuid.uuid4().hex}:")
    async with AsyncExitStack() as stack:
        clients = [connect(redis.url, 5.0).client for _ in range(2)]
        for client in clients:
            stack.push_async_callback(client.aclose)
        yield [ReplayGuard(client, layout, 5.0) for client in clients]


async def test_one_is_the_first(gateways: list[ReplayGuard]) -> None:
    """However many come at guard; another name is another thing."""
    for name in ("a", "b\n\0", "한글"):
        assert not await gateways[0].is_claimed(name)
        found = await asyncio.gather(*(gateways[at % 2].claim(name, 60.0) for at in range(100)))
        assert sum(found) == 1
        assert await gateways[1].is_claimed(name)


async def test_it_is_forgotten(gateways: list[ReplayGuard]) -> None:
    """When it is over, nothing is left of it."""
    one, two = gateways
    assert await one.claim("a", 0.2)
    async with asyncio.timeout(HANG):
        while await two.is_claimed("a"):
            await asyncio.sleep(0.05)
    assert await two.claim("a", 60.0)


async def test_a_store_that_is_down(tmp_path: Path) -> None:
    """No caller is told to be the first."""
    with redis_server(tmp_path) as server:
        client = connect(server.url, 0.5).client
        guard = ReplayGuard(client, Layout("t:"), 0.5)
        assert await guard.claim("a", 60.0)
        server.kill()
        for asking in (guard.claim("b", 60.0), guard.is_claimed("a")):
            with pytest.raises(StoreUnavailable):
                await asking
        await client.aclose()
