"""Redis behind Sentinel that changes its primary in every way, under two gateways at work."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.core.sessions.keys import Key, session_id
from gateway.store.layout import Layout
from gateway.store.servers.connect import connect
from gateway.store.servers.connections import NotPrimary, hang_up
from tests.support.gateway import Gateway
from tests.support.redis_gateways import Load, Pair, gateways, pair
from tests.support.redis_sentinel import RedisSentinel, redis_sentinel
from tests.support.redis_server import RedisServer, eventually, redis_server
from tests.support.store import issue, open_store

# Replicas learn of a write within this time, in seconds.
_LAG = 1.0

pytestmark = pytest.mark.busy


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """One of four sentinels goes on to name the first primary for good."""
    with redis_sentinel(tmp_path_factory.mktemp("sentinel"), replicas=2, behind=1) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, setup: RedisSentinel, backend: str
) -> Iterator[list[Gateway]]:
    folder = tmp_path_factory.mktemp("failover")
    with gateways(folder, setup.url, backend) as both:
        yield both


def promoted(setup: RedisSentinel) -> None:
    """While the old primary is well, which both take writes for a while."""
    setup.fail_over()


def killed(setup: RedisSentinel) -> None:
    primary = setup.primary()
    primary.kill()
    eventually(lambda: setup.primary() is not primary, "another primary")
    primary.start()


def frozen(setup: RedisSentinel) -> None:
    """The old primary comes back, and believes for a moment that it still is one."""
    primary = setup.primary()
    primary.freeze()
    eventually(lambda: setup.primary() is not primary, "another primary")
    time.sleep(0.5)
    primary.thaw()


async def test_logins_that_all_replicas_must_have(
    setup: RedisSentinel, tmp_path: Path, backend: str
) -> None:
    """`replicas`: what is not certain to outlive the primary is a 503, and nothing is lost."""
    store = {"url": setup.url, "replicas": 2}
    with gateways(tmp_path, store, backend) as running:
        async with pair(running) as both:
            await both.recovered()
            load = Load(both)
            await load.during(lambda: promoted(setup))
            assert not load.lost
            eventually(lambda: setup.ready(2), "two replicas", seconds=60)
            await both.recovered()
            await load.nobody_is_back()


@pytest.mark.parametrize("broken", [frozen, killed, promoted])
async def test_users_at_work_while_the_primary_changes(
    broken: Callable[[RedisSentinel], None], setup: RedisSentinel, running: list[Gateway]
) -> None:
    """No user is answered as another or let in again, and both gateways find the new primary.

    One that has just come back, and has yet to learn of the latest writes, must not be promoted.
    """
    eventually(lambda: setup.ready(2), "two replicas", seconds=60)
    async with pair(running) as both:
        await both.recovered()
        early = {f"early-{n}": await both.logged_in(n % 2, f"early-{n}") for n in range(10)}
        await asyncio.sleep(_LAG)
        load = Load(both)
        began = time.monotonic()
        await load.during(lambda: broken(setup))
        await both.recovered()
        await load.nobody_is_back()
        # A login that no replica has learned of is lost with its primary, and no other one.
        assert all(issued > began for issued in load.lost.values())
        for at, (name, key) in enumerate(early.items()):
            assert (await both.call(at % 2, key)).body == {"sub": name}
        for at in (0, 1):
            await until_at_the_primary(both, at, setup)


async def until_at_the_primary(both: Pair, at: int, setup: RedisSentinel) -> None:
    """Waits until a gateway's logins reach the server that Sentinel names; which is well before
    the old one, if it is well, is made a replica.
    """
    until = time.monotonic() + 4.0
    with setup.primary().client() as client:
        while True:
            key = Key((await both.logged_in(at, "alice")).encode())
            if client.exists(Layout("latchkey:").session(session_id(key))):
                return
            assert time.monotonic() < until, "the gateway stays with the old primary"
            await asyncio.sleep(0.1)


async def test_commands_go_where_changes_are_followed(setup: RedisSentinel) -> None:
    """Sentinels may name two primaries for a while, and an old one that is back takes writes: what
    would be ended there is not ended. So nothing else is asked than the server that is followed.
    """
    eventually(setup.ready, "a replica to promote", seconds=60)
    topology, before = connect(setup.url, 1.0), setup.primary()
    followed = await topology.connect_to_primaries()
    topology.pin(followed)
    setup.fail_over()
    eventually(lambda: is_replica(before), "the old primary to be told")
    await topology.reconnect()
    with pytest.raises(NotPrimary):
        await topology.client.ping()
    topology.unpin()
    assert await topology.client.ping()
    await hang_up(followed)
    await topology.client.aclose()


def is_replica(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.info("replication")["role"] == "slave")


async def test_a_flood_of_commands(setup: RedisSentinel) -> None:
    """Many at once wait for a connection, where redis-py would raise; all come back to the pool."""
    store = open_store(setup.url, timeout=10.0)
    await store.start()
    known = [await issue(store) for _ in range(100)]
    found = await asyncio.gather(*(store.living([issued.session.id]) for issued in known))
    assert found == [{issued.session.id} for issued in known]
    assert isinstance(store._client, Redis)
    assert not store._client.connection_pool._in_use_connections
    await store.close()


async def test_a_logout_that_no_replica_has(tmp_path: Path, backend: str) -> None:
    """It is not called done, although the key is of no use any more."""
    with redis_server(tmp_path, "--repl-diskless-sync-delay", "0") as server:
        store = {"url": server.url, "replicas": 1}
        with (
            redis_server(tmp_path, "--replicaof", f"127.0.0.1 {server.port}") as replica,
            gateways(tmp_path, store, backend) as running,
        ):
            async with pair(running) as both:
                await both.recovered()
                key = await both.log_in(0, "alice")
                replica.freeze()
                assert await both.log_out(0, key) == 503
                await both.until(1, key, 401)
                assert (await both.ask(0, "POST", "/login", username="bob")).status == 503
                replica.thaw()
                await both.recovered()


async def test_sentinels_that_are_away(setup: RedisSentinel, running: list[Gateway]) -> None:
    """One is silent and one is gone: the others answer, and no request fails. It is the last
    test, since a sentinel that was silent holds back for half a minute.
    """
    async with pair(running) as both:
        await both.recovered()
        load = Load(both)
        await load.during(lambda: half_blind(setup))
        assert load.refused < 10  # a look-up may be cut twice; 24 users would wait for a silent one
        assert not load.lost
        await both.recovered()


def half_blind(setup: RedisSentinel) -> None:
    with setup.primary().client() as client:
        setup.sentinels[0].freeze()
        setup.sentinels[1].kill()
        for _ in range(4):  # so that the gateways have to ask
            client.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.5)
    setup.sentinels[0].thaw()
    setup.sentinels[1].start()
