"""Which look-ups share a command, and which an answer (`gateway.store.lookups`)."""

import asyncio

import redis as redis_client

from gateway.store.resolved_session import ResolvedSession
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.support.delaying import delaying
from tests.support.redis_server import RedisServer
from tests.support.store import asked, issue, open_store, presented_key, resolved

UNKNOWN = Unresolved("invalid_key")


async def test_misses_of_one_turn_share_a_command(store: Sessions, url: str) -> None:
    """Fifty look-ups, some of the same session: one command, each with its own answer."""
    issued = [await issue(store, f"user{n}") for n in range(25)]
    store.near.clear()
    with redis_client.from_url(url) as client:
        await resolved(store, issued[0])
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        entries = await asyncio.gather(*(resolved(store, session) for session in issued + issued))
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert [entry.session.subject for entry in entries] == [f"user{n}" for n in range(25)] * 2
    assert after - before == 1


async def test_one_waiter_cancelled_takes_nobody_with_it(store: Sessions) -> None:
    """wire-rules.md#E10: the others get their own answers."""
    issued = await issue(store)
    tasks = [asyncio.create_task(store.resolve(presented_key(issued))) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert all(isinstance(entry, ResolvedSession) for n, entry in enumerate(results) if n != 3)


async def test_one_answer_is_shared(server: RedisServer) -> None:
    """By all who ask for a session while it is on its way, in whatever turn of the loop."""
    with delaying(server.port) as proxy:
        store = open_store(proxy.url, timeout=5.0)
        issued = await issue(store)
        await resolved(store, issued)  # the scripts and the connections are there
        before = asked(server)
        proxy.delay = 0.2
        waiting = []
        for _ in range(20):
            waiting.append(asyncio.ensure_future(store.resolve(presented_key(issued))))
            await asyncio.sleep(0.002)
        entries = await asyncio.gather(*waiting)
        assert all(isinstance(entry, ResolvedSession) for entry in entries)
        assert asked(server) - before <= 2, "some may have come after the first answer"
        proxy.delay = 0
        await store.close()


async def test_an_answer_that_is_too_old_is_not_shared(server: RedisServer) -> None:
    """Who asks after a logout never gets what was read before it."""
    with delaying(server.port) as proxy:
        store = open_store(proxy.url, timeout=5.0)
        issued = await issue(store)
        await resolved(store, issued)
        proxy.delay = 0.5
        early = asyncio.ensure_future(store.resolve(presented_key(issued)))
        await asyncio.sleep(0.05)
        await store.revoke(issued.session.id)
        late = await store.resolve(presented_key(issued))
        assert late == UNKNOWN
        await early
        proxy.delay = 0
        await store.close()
