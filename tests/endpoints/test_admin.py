"""The admin listener's answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.endpoints.admin import build_admin
from tests.support.endpoints import World, world
from tests.support.processes import HANG
from tests.support.redis_server import redis_server


class Switch:
    """Whether the gateway drains."""

    def __init__(self) -> None:
        self.on = False

    def __call__(self) -> bool:
        return self.on


@pytest.fixture
def draining() -> Switch:
    return Switch()


@asynccontextmanager
async def listener(place: World, draining: Switch) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    app = build_admin(
        place.sessions,
        secret=None,
        is_draining=draining,
        metrics=lambda: b"up 1\n",
        refused=place.refused.append,
    )
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def admin(place: World, draining: Switch) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    async with listener(place, draining) as client:
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
    tmp_path: Path, draining: Switch
) -> None:
    """A restart would not bring the store back, so health stays 200; traffic goes elsewhere."""
    with ExitStack() as running:
        server = running.enter_context(redis_server(tmp_path))
        async with world(server.url) as place, listener(place, draining) as admin:
            assert (await admin.get("/readyz")).status == 200
            running.close()
            async with asyncio.timeout(HANG):
                while (await admin.get("/readyz")).status != 503:
                    await asyncio.sleep(0.05)
            health = await admin.get("/healthz")
            assert (health.status, (await health.json())["store"]) == (200, "down")


async def test_a_store_that_may_forget_sessions(tmp_path: Path, draining: Switch) -> None:
    """It is ready, and warns: a full memory would log people out. An ACL may forbid to ask."""
    nosy = ("--user", "nosy", "on", ">secret", "~*", "&*", "+@all", "-info")
    for options, user, expected in (
        (["allkeys-lru"], "", ["maxmemory-policy allkeys-lru"]),
        (["volatile-ttl"], "", ["maxmemory-policy volatile-ttl"]),
        (["noeviction"], "", None),
        (["allkeys-lru", *nosy], "nosy:secret@", None),
    ):
        with redis_server(tmp_path, "--maxmemory-policy", *options) as server:
            url = server.url.replace("://", f"://{user}")
            async with world(url) as place, listener(place, draining) as admin:
                ready = await admin.get("/readyz")
                assert (ready.status, (await ready.json()).get("warnings")) == (200, expected)


async def test_a_draining_gateway_is_not_ready(admin: TestClient, draining: Switch) -> None:  # type: ignore[type-arg]
    """What still runs is ended in peace; nothing new is sent here."""
    draining.on = True
    assert json.loads(await (await admin.get("/healthz")).text())["status"] == "draining"
    assert (await admin.get("/readyz")).status == 503


async def test_other_paths_are_not_there(admin: TestClient) -> None:  # type: ignore[type-arg]
    """The admin listener serves operators and nothing else."""
    assert (await admin.get("/")).status == 404
    assert (await admin.post("/readyz")).status == 405


async def test_metrics_are_text(admin: TestClient) -> None:  # type: ignore[type-arg]
    """In the format that Prometheus reads, and for every client that reaches the listener."""
    answer = await admin.get("/metrics")
    assert (answer.status, await answer.text()) == (200, "up 1\n")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_are_packed_for_clients_that_ask(admin: TestClient) -> None:  # type: ignore[type-arg]
    """As Prometheus does. HEAD tells the same without the text, and other methods are 405."""
    for accepted, coding in (("gzip", "gzip"), ("deflate, gzip;q=0", None), ("identity", None)):
        answer = await admin.get("/metrics", headers={"Accept-Encoding": accepted})
        assert answer.headers.get("Content-Encoding") == coding
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert await answer.text() == "up 1\n"
    head = await admin.head("/metrics")
    assert (head.status, await head.read()) == (200, b"")
    assert head.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert (await admin.request(method, "/metrics")).status == 405
