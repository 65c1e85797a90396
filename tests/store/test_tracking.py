"""How changes are pushed, and what happens while they are not (`gateway.store.tracking`)."""

import asyncio
import time

import redis as redis_client

from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.support.delaying import Delaying, delaying
from tests.support.redis_server import RedisServer
from tests.support.store import issue, open_store, presented_key, resolved, until_near

UNKNOWN = Unresolved("invalid_key")


async def test_the_near_cache_forgets_what_others_change(store: Sessions, url: str) -> None:
    """DEL, SET, expiry and FLUSHALL by another client are pushed."""
    with redis_client.from_url(url) as client:
        for change in ("del", "set", "expire", "flush"):
            issued = await issue(store)
            name = f"test:s:{{{issued.session.id}}}"
            await until_near(store, issued, there=True)
            match change:
                case "del":
                    client.delete(name)
                case "set":
                    client.set(name, b"other")
                case "expire":
                    client.pexpire(name, 1)
                case "flush":
                    client.flushall()
            await until_near(store, issued, there=False)


async def test_a_logout_reaches_the_other_gateway(store: Sessions, url: str) -> None:
    """What one revokes, another no longer remembers."""
    other = open_store(url)
    await other.start()
    issued = await issue(store)
    await until_near(other, issued, there=True)
    await store.revoke(issued.session.id)
    await until_near(other, issued, there=False)
    assert await other.resolve(presented_key(issued)) == Unresolved("invalid_key")
    await other.close()


async def test_tracking_outlives_silence(url: str) -> None:
    """After many heartbeats on an idle connection, changes are still told."""
    store = open_store(url, timeout=0.5)
    await store.start()
    issued = await issue(store)
    await until_near(store, issued, there=True)
    await asyncio.sleep(2)
    assert store.near.get(presented_key(issued), time.time()) is not None
    with redis_client.from_url(url) as client:
        client.delete(f"test:s:{{{issued.session.id}}}")
    await until_near(store, issued, there=False)
    await store.close()


async def test_trust_comes_back_with_the_connection(server: RedisServer) -> None:
    """While the tracking connection is down the store is asked each time; then memory is back."""
    with delaying(server.port) as proxy:
        store = open_store(proxy.url)
        await store.start()
        issued = await issue(store)
        await until_near(store, issued, there=True)
        lose_tracking(server, proxy)
        await until_near(store, issued, there=False)
        assert (await resolved(store, issued)).session.subject == "alice"
        assert store.near.get(presented_key(issued), time.time()) is None
        proxy.refuses = False
        await until_near(store, issued, there=True)
        await store.close()


def lose_tracking(server: RedisServer, proxy: Delaying) -> None:
    """Ends the tracking connection alone, and lets no other take its place."""
    proxy.refuses = True
    with redis_client.Redis(port=server.port) as client:
        [tracking] = [found for found in client.client_list() if "t" in found["flags"]]
        client.client_kill_filter(_id=tracking["id"])
