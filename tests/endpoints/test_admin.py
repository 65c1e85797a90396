"""The admin listener's answers."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.endpoints.admin import build_admin
from tests.support.endpoints import World


class Switch:
    """Whether the gateway drains."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self) -> bool:
        return self.on


@pytest.fixture
def draining() -> Switch:
    return Switch()


@pytest.fixture
async def admin(place: World, draining: Switch) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    async with TestClient(
        TestServer(build_admin(place.sessions, draining, lambda: b"up 1\n"))
    ) as client:
        yield client


async def test_a_gateway_that_works_is_healthy_and_ready(admin: TestClient) -> None:  # type: ignore[type-arg]
    """Both answer 200, and health says what it is made of."""
    health = await admin.get("/healthz")
    assert (health.status, (await health.json())["store"]) == (200, "up")
    assert (await health.json())["status"] == "ok"
    assert "Server" not in health.headers
    ready = await admin.get("/readyz")
    assert (ready.status, await ready.json()) == (200, {"ready": True})


async def test_without_its_store_it_is_alive_but_not_ready(
    admin: TestClient,  # type: ignore[type-arg]
    place: World,
) -> None:
    """A restart would not bring the store back, so health stays 200; traffic goes elsewhere."""
    await place.sessions.close()
    health = await admin.get("/healthz")
    assert (health.status, (await health.json())["store"]) == (200, "down")
    assert (await admin.get("/readyz")).status == 503


async def test_a_draining_gateway_is_not_ready(admin: TestClient, draining: Switch) -> None:  # type: ignore[type-arg]
    """What still runs is ended in peace; nothing new is sent here."""
    draining.on = True
    assert json.loads(await (await admin.get("/healthz")).text())["status"] == "draining"
    assert (await admin.get("/readyz")).status == 503


async def test_other_paths_are_not_there(admin: TestClient) -> None:  # type: ignore[type-arg]
    """The admin listener serves operators and nothing else."""
    assert (await admin.get("/")).status == 404
    assert (await admin.post("/readyz")).status == 405
