"""Rate limits that several gateways count together (`gateway.store.shared_limits`)."""

import asyncio
import time

import pytest

from gateway.core.http.rates import parse_rate
from gateway.store.errors import StoreUnavailable
from gateway.store.sessions import Sessions
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer
from tests.support.store import open_store


async def test_two_gateways_count_together(store: Sessions, url: str) -> None:
    """Each key by itself; a refusal says when the window ends. Another rate counts anew."""
    other = open_store(url)
    await other.start()
    limits = [gateway.shared_limits.limit("api", parse_rate("3/m")) for gateway in (store, other)]
    left = [await limits[number % 2].count("192.0.2.1") for number in range(4)]
    assert [remaining for remaining, _ in left] == [2, 1, 0, -1]
    assert 0 < left[3][1] <= 60
    assert (await limits[0].count("192.0.2.2"))[0] == 2
    assert (await store.shared_limits.limit("api", parse_rate("9/m")).count("192.0.2.1"))[0] == 8
    await other.close()


async def test_a_window_ends(server: RedisServer) -> None:
    """After its time all requests may come again. No key tells what it counts, and each expires."""
    store = open_store(server.url)
    await store.start()
    limit = store.shared_limits.limit("api", parse_rate("1/s"))
    assert (await limit.count("192.0.2.1"))[0] == 0
    remaining, wait = await limit.count("192.0.2.1")
    assert remaining < 0
    with server.client() as client:
        [name] = client.keys()
        assert b"192.0.2.1" not in name
        assert client.pttl(name) > 0
    await asyncio.sleep(wait + 0.01)
    assert (await limit.count("192.0.2.1"))[0] == 0
    await store.close()


async def test_a_store_that_hangs_costs_one_wait(server: RedisServer) -> None:
    """The wait is bounded, and shortly after that no other request waits."""
    store = open_store(server.url, timeout=0.5)
    await store.start()
    limit = store.shared_limits.limit("api", parse_rate("1/s"))
    server.freeze()
    began = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StoreUnavailable):
            await limit.count("192.0.2.1")
    assert time.monotonic() - began < HANG / 2
    server.thaw()
    await store.close()
