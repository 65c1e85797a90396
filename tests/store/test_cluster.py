"""Redis Cluster that changes its primaries and moves its slots, under two gateways at work."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.http.rates import parse_rate
from gateway.store.errors import StoreUnavailable
from gateway.store.issuer import Issued
from gateway.store.resolved_session import ResolvedSession
from gateway.store.servers.cluster import Cluster
from gateway.store.sessions import Sessions
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.redis_cluster import RedisCluster, redis_cluster
from tests.support.redis_gateways import Load, gateways, pair
from tests.support.redis_server import RedisServer, eventually
from tests.support.store import issue, open_store, presented_key, resolved, until_near

# Replicas learn of a write within this time, in seconds.
_LAG = 1.0

pytestmark = pytest.mark.busy


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three primaries with a replica each, and a node without slots."""
    with redis_cluster(tmp_path_factory.mktemp("cluster"), spare=1) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, cluster: RedisCluster, backend: str
) -> Iterator[list[Gateway]]:
    with gateways(tmp_path_factory.mktemp("gateways"), cluster.url, backend) as both:
        yield both


def first_pair(cluster: RedisCluster) -> tuple[RedisServer, RedisServer]:
    """Whichever of two nodes is the primary now, and its replica."""
    one, other = cluster.nodes[0], cluster.nodes[cluster.size]
    return (one, other) if cluster.is_primary(one) else (other, one)


def promoted(cluster: RedisCluster) -> None:
    primary, replica = first_pair(cluster)
    with replica.client() as client:
        client.execute_command("CLUSTER FAILOVER")
    eventually(lambda: not cluster.is_primary(primary), "a failover")


def killed(cluster: RedisCluster) -> None:
    primary, replica = first_pair(cluster)
    primary.kill()
    eventually(lambda: cluster.is_primary(replica), "a failover")
    primary.start()


def frozen(cluster: RedisCluster) -> None:
    """The old primary comes back, and believes for a moment that it still is one."""
    primary, replica = first_pair(cluster)
    primary.freeze()
    eventually(lambda: cluster.is_primary(replica), "a failover")
    time.sleep(0.5)
    primary.thaw()


def resharded(cluster: RedisCluster) -> None:
    """Slots with live sessions move to another primary, and to a node that had none."""
    primary, _ = first_pair(cluster)
    for target in (cluster.nodes[1], cluster.nodes[-1]):
        for slot in cluster.slots_in_use(primary)[:12]:
            cluster.move(slot, primary, target, 0.05)


@pytest.mark.parametrize("broken", [resharded, promoted, killed, frozen])
async def test_users_at_work_while_the_cluster_changes(
    broken: Callable[[RedisCluster], None], cluster: RedisCluster, running: list[Gateway]
) -> None:
    """No user is answered as another or let in again, both gateways find every session where it is,
    and no command crosses slots.
    """
    eventually(cluster.settled, "a whole cluster")
    async with pair(running) as both:
        await both.recovered()
        early = {f"early-{n}": await both.log_in(n % 2, f"early-{n}") for n in range(20)}
        await asyncio.sleep(_LAG)
        load = Load(both)
        began = time.monotonic()
        await load.during(lambda: broken(cluster))
        await both.recovered()
        await load.nobody_is_back()
        # A login that no replica has learned of is lost with its primary, and no other one.
        assert all(issued > began for issued in load.lost.values())
        if broken is resharded:
            assert not load.refused
        for name, key in early.items():
            for at in (0, 1):
                assert (await both.call(at, key)).body == {"sub": name}
    errors = cluster.errors()
    assert "CROSSSLOT" not in errors
    assert broken is not resharded or errors["ASK"] > 0, "no session was asked for on its way"


async def test_a_flood_of_look_ups(cluster: RedisCluster) -> None:
    """Many at once wait for a connection, where redis-py would raise."""
    eventually(cluster.settled, "a whole cluster")
    store = open_store(cluster.url, timeout=10.0)
    await store.start()
    known = [await issue(store, f"user{n}") for n in range(300)]
    store.near.clear()
    entries = await asyncio.gather(*(resolved(store, issued) for issued in known))
    assert [entry.session.subject for entry in entries] == [f"user{n}" for n in range(300)]
    assert await store.living([issued.session.id for issued in known]) == {
        issued.session.id for issued in known
    }
    await store.revoke(*(issued.session.id for issued in known))
    assert not await store.living([issued.session.id for issued in known])
    client = store._client
    assert isinstance(client, Cluster)
    assert all(len(node._free) == len(node._connections) for node in client.get_nodes())
    await store.close()


async def test_a_shard_that_is_silent(tmp_path: Path) -> None:
    """However many wait for it, those whose sessions are elsewhere are served."""
    options = ("--cluster-require-full-coverage", "no")
    with redis_cluster(tmp_path, *options, replicas=False) as cluster:
        store = open_store(cluster.url)
        await store.start()
        known = [await issue(store) for _ in range(300)]
        silent = cluster.nodes[0]
        with silent.client() as client:
            there = set(client.scan_iter(match="test:s:*", count=1000))
        lost = [issued for issued in known if name_of(issued) in there]
        found = [issued for issued in known if name_of(issued) not in there]
        silent.freeze()
        try:
            store.near.clear()
            waiting = [asyncio.create_task(store.resolve(presented_key(issued))) for issued in lost]
            await asyncio.sleep(0.1)
            await asyncio.gather(*(resolved(store, issued) for issued in found))
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(error, StoreUnavailable) for error in done)
        finally:
            silent.thaw()
        await store.close()


def name_of(issued: Issued) -> bytes:
    return f"test:s:{{{issued.session.id}}}".encode()


async def test_every_primary_is_listened_to(cluster: RedisCluster) -> None:
    """What another client deletes on any node is forgotten."""
    eventually(cluster.settled, "a whole cluster")
    store = open_store(cluster.url)
    await store.start()
    homes: set[int] = set()
    while len(homes) < cluster.size:
        issued = await issue(store)
        await until_near(store, issued, there=True)
        _, home = cluster.home(f"test:s:{{{issued.session.id}}}")
        homes.add(home.port)
        with home.client() as client:
            assert client.delete(f"test:s:{{{issued.session.id}}}")
        await until_near(store, issued, there=False)
        assert store.near.get(presented_key(issued), time.time()) is None
    await store.close()


async def test_replicas_that_must_have_a_logout(
    cluster: RedisCluster, tmp_path: Path, backend: str
) -> None:
    """`replicas: 1` in a cluster: WAIT goes to the node that had the write, and only then."""
    eventually(cluster.settled, "a whole cluster")
    store = {"url": cluster.url, "replicas": 1}
    with gateways(tmp_path, store, backend) as both_running:
        async with pair(both_running) as both:
            await both.recovered()
            keys = [await both.log_in(0, f"user-{n}") for n in range(12)]
            replicas = [node for node in cluster.nodes[:-1] if not cluster.is_primary(node)]
            for replica in replicas:
                replica.freeze()
            try:
                said = await asyncio.gather(*(both.log_out(0, key) for key in keys[:6]))
                assert said == [503] * 6
            finally:
                for replica in replicas:
                    replica.thaw()
            eventually(cluster.settled, "a whole cluster")
            await both.recovered()
            said = await asyncio.gather(*(both.log_out(0, key) for key in keys[6:]))
            assert said == [204] * 6
            for key in keys:
                await both.until(1, key, 401)


async def test_a_cluster_that_is_away(tmp_path: Path) -> None:
    """All that redis-py raises then means a store that is away; and it comes back by itself."""
    with redis_cluster(tmp_path, replicas=False) as cluster:
        store = open_store(cluster.url, timeout=0.5)
        await store.start()
        issued = await issue(store)
        await until_near(store, issued, there=True)
        for away, back in (
            (RedisServer.freeze, RedisServer.thaw),
            (RedisServer.kill, RedisServer.start),
        ):
            for node in cluster.nodes:
                away(node)
            await until_near(store, issued, there=False)
            for _ in range(3):
                async with asyncio.timeout(5):
                    with pytest.raises(StoreUnavailable):
                        await store.resolve(presented_key(issued))
                    with pytest.raises(StoreUnavailable):
                        await issue(store)
                    with pytest.raises(StoreUnavailable):
                        await store.revoke(issued.session.id)
            for node in cluster.nodes:
                back(node)
            eventually(cluster.settled, "a whole cluster")
            issued = await eventually_issued(store)
            await until_near(store, issued, there=True)
        await store.close()


async def eventually_issued(store: Sessions) -> Issued:
    for _ in range(200):
        with suppress(StoreUnavailable):
            return await issue(store)
        await asyncio.sleep(0.1)
    raise AssertionError("the store never came back")


async def test_a_look_up_that_leaves_a_session_idle(cluster: RedisCluster) -> None:
    """Each session is asked of its own node."""
    store = open_store(cluster.url)
    await store.start()
    some = [await issue(store) for _ in range(8)]
    found = await asyncio.gather(
        *(store.resolve(presented_key(issued), extend=False) for issued in some)
    )
    assert all(isinstance(entry, ResolvedSession) for entry in found)
    await store.close()


async def test_shared_limits_count_in_a_cluster(cluster: RedisCluster) -> None:
    """Each key stands in its own slot, on whichever primary."""
    store = open_store(cluster.url, timeout=HANG)
    await store.start()
    limit = store.shared_limits.limit("api", parse_rate("2/m"))
    for number in range(9):
        left = [(await limit.count(f"192.0.2.{number}"))[0] for _ in range(3)]
        assert left == [1, 0, -1]
    await store.close()
