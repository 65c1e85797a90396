"""A world around the endpoints, on real Redis."""

from collections.abc import AsyncIterator

import pytest

from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    """The endpoints with one backend login and no backend logout."""
    async with world(redis.url) as built:
        yield built
