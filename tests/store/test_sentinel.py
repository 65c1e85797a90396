"""Which server is the primary, where sentinels disagree (`gateway.store.servers.sentinel`)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.core.http.rates import parse_rate
from gateway.core.secret import Secret
from gateway.store.servers.connect import StoreAccess, connect
from gateway.store.servers.sentinel import SentinelAnswer, SentinelPool, newest_answer
from tests.support.redis_sentinel import SERVICE, RedisSentinel, redis_sentinel
from tests.support.redis_server import RedisServer, eventually
from tests.support.store import open_store

TIMEOUT = 4.0  # seconds; a sentinel may take a quarter of it

OLD, NEW, OTHER = ("10.0.0.1", 6379), ("10.0.0.2", 6379), ("10.0.0.3", 6379)


@pytest.mark.parametrize(
    ("answers", "primary"),
    [
        ([(0, OLD)], OLD),
        ([(0, OLD), (0, OLD), (1, NEW)], NEW),
        ([(7, NEW), (6, OLD), (6, OLD)], NEW),
        ([(7, OTHER), (7, NEW), (7, NEW), (8, OLD)], OLD),
        ([(7, OTHER), (7, NEW), (7, NEW)], NEW),
        ([(7, OTHER), (7, NEW)], OTHER),
        ([(-1, OLD), (0, NEW)], NEW),
        ([(-1, OLD)], OLD),
    ],
)
def test_the_highest_epoch_is_believed(
    answers: list[tuple[int, tuple[str, int]]], primary: tuple[str, int]
) -> None:
    """However few sentinels know it; where an epoch names two, the one that more of them name."""
    assert newest_answer([SentinelAnswer(*answer) for answer in answers]).primary == primary


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Two sentinels of five are behind: they name the first primary after a failover."""
    with redis_sentinel(tmp_path_factory.mktemp("sentinel"), behind=2) as running:
        running.fail_over()
        yield running


@pytest.fixture
async def pool(setup: RedisSentinel) -> AsyncIterator[SentinelPool]:
    async for pool in connected(setup.url):
        yield pool


async def connected(url: str, access: StoreAccess | None = None) -> AsyncIterator[SentinelPool]:
    client: Any = connect(url, TIMEOUT, access or StoreAccess()).client
    yield client.connection_pool
    await client.aclose()


def address(server: RedisServer) -> tuple[str, int]:
    return "127.0.0.1", server.port


def named_by(sentinel: RedisServer) -> tuple[str, int]:
    with sentinel.client(decode_responses=True) as client:
        host, port = client.sentinel_get_master_addr_by_name(SERVICE)
    return host, port


async def test_sentinels_that_are_behind(setup: RedisSentinel, pool: SentinelPool) -> None:
    """They answer first, and their old primary is not believed, at once and later."""
    assert {named_by(sentinel) for sentinel in setup.behind} == {address(setup.servers[0])}
    for _ in range(10):
        assert await pool.primary() == address(setup.servers[1])


async def test_a_silent_sentinel_is_not_waited_for(
    setup: RedisSentinel, pool: SentinelPool
) -> None:
    """It takes a part of the time only, and the others are believed by their epochs."""
    setup.behind[0].freeze()
    setup.sentinels[0].freeze()
    try:
        async with asyncio.timeout(TIMEOUT * 0.9):
            assert await pool.primary() == address(setup.servers[1])
    finally:
        setup.behind[0].thaw()
        setup.sentinels[0].thaw()


async def test_only_sentinels_that_are_behind_can_be_reached(
    setup: RedisSentinel, pool: SentinelPool
) -> None:
    """They do not lead back to the old primary while the new one is followed and well."""
    new = await pool.primary()
    for sentinel in setup.sentinels:
        sentinel.freeze()
    try:
        assert not await pool.has_moved(new)
    finally:
        for sentinel in setup.sentinels:
            sentinel.thaw()
    assert not await pool.has_moved(new)
    assert await pool.has_moved(address(setup.servers[0]))


async def test_epochs_that_are_counted_anew(setup: RedisSentinel, pool: SentinelPool) -> None:
    """A lower epoch is believed where all sentinels agree that there is no higher one."""
    pool.sentinel_manager.epoch = 100
    assert await pool.primary() == address(setup.servers[1])
    pool.sentinel_manager.epoch = 100
    assert await pool.has_moved(address(setup.servers[0]))


async def test_an_acl_that_hides_the_epoch(setup: RedisSentinel) -> None:
    """A user who may ask for the address alone is answered as before: by some sentinel."""
    may = ("-@all", "+hello", "+sentinel|get-master-addr-by-name")
    for sentinel in setup.sentinels:
        with sentinel.client() as client:
            client.execute_command("ACL", "SETUSER", "asks", "on", ">a-password", *may)
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in setup.sentinels)
    access = StoreAccess(sentinel_username="asks", sentinel_password=Secret("a-password"))
    async for pool in connected(f"redis+sentinel://{hosts}/{SERVICE}", access):
        assert await pool.primary() == address(setup.servers[1])


async def test_a_sentinel_that_comes_back(setup: RedisSentinel, pool: SentinelPool) -> None:
    """One that was stopped during a failover names the old primary at first, and is not believed.

    It is the last test: such a sentinel holds back for half a minute.
    """
    eventually(setup.ready, "a replica to promote", seconds=60)
    stopped = setup.sentinels[2]
    stopped.freeze()
    with setup.sentinels[0].client() as client:
        eventually(lambda: client.execute_command("SENTINEL FAILOVER", SERVICE), "a failover", 60)
    new = address(setup.servers[0])
    eventually(lambda: named_by(setup.sentinels[0]) == new, "another primary", 60)
    assert await pool.primary() == new
    stopped.thaw()
    for _ in range(100):
        assert await pool.primary() == new


async def test_shared_limits_count_at_the_primary(setup: RedisSentinel) -> None:
    """Rate limits for all gateways work behind sentinels as at one server."""
    store = open_store(setup.url, timeout=TIMEOUT)
    await store.start()
    limit = store.shared_limits.limit("api", parse_rate("2/m"))
    assert [(await limit.count("192.0.2.1"))[0] for _ in range(3)] == [1, 0, -1]
    await store.close()
