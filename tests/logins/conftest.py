"""Worlds around the endpoints whose backend login each test sets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import SIGNING_SECRET
from tests.endpoints.conftest import place
from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer

__all__ = ["place"]


@pytest.fixture(params=["unverified", "verified"])
async def either(request: pytest.FixtureRequest, redis: RedisServer) -> AsyncIterator[World]:
    """A login that believes its backend, and one that verifies its tokens."""
    login: dict[str, Any] = {"kind": "backend", "path": "/login", "upstream": "accounts"}
    if request.param == "verified":
        login["verify"] = {"secret": SIGNING_SECRET}
    async with world(redis.url, login=login, guessing="off") as built:
        yield built
