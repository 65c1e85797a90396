"""A provider that does as it should until a test says otherwise, and the endpoints that use it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.endpoints import World
from tests.support.faulty_provider import FaultyProvider, faulty_provider, shop
from tests.support.redis_server import RedisServer


@pytest.fixture
async def provider() -> AsyncIterator[FaultyProvider]:
    async with faulty_provider() as started:
        yield started


@pytest.fixture
async def place(redis: RedisServer, provider: FaultyProvider) -> AsyncIterator[World]:
    async with shop(redis.url, provider) as built:
        yield built
