"""One Redis that breaks in every way, under two gateways at work.

The promises are those of `tests.support.redis_gateways.Load`: what must never happen is looked for
with each request while the store breaks, is broken, and comes back.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from redis.asyncio import Redis

from gateway.store.resolved_session import ResolvedSession
from tests.support.delaying import delaying
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.redis_gateways import BOUND, Load, Pair, gateways, pair, shop
from tests.support.redis_server import RedisServer, eventually, redis_server
from tests.support.store import issue, open_store, presented_key, resolved, until_near

# The gateways' password, which is rotated.
FIRST, SECOND = "the first password", "the second password"

pytestmark = pytest.mark.busy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that keeps its data when it is killed, and that the gateways enter as a user."""
    gate = ("--user", "gate", "on", f">{FIRST}", "~*", "&*", "+@all")
    options = ("--appendonly", "yes", "--enable-debug-command", "yes", *gate)
    with redis_server(tmp_path_factory.mktemp("redis"), *options) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, server: RedisServer
) -> Iterator[list[Gateway]]:
    url = f"redis://gate:{FIRST.replace(' ', '%20')}@127.0.0.1:{server.port}"
    with (
        shop() as backend,
        gateways(tmp_path_factory.mktemp("faults"), url, backend) as both,
    ):
        yield both
        for relay in both:
            assert FIRST not in relay.log.read_text()


@pytest.fixture
async def both(running: list[Gateway]) -> AsyncIterator[Pair]:
    """Two gateways that are well, before and after the test."""
    async with pair(running) as asked:
        await asked.recovered()
        yield asked
        await asked.recovered()


def killed(server: RedisServer) -> None:
    server.kill()
    time.sleep(2)
    server.start()


def frozen(server: RedisServer) -> None:
    server.freeze()
    time.sleep(3)
    server.thaw()


def without_clients(server: RedisServer) -> None:
    """Every connection is cut, again and again."""
    with server.client() as client:
        for _ in range(10):
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
            time.sleep(0.1)


def asleep(server: RedisServer) -> None:
    """Busy for less than the timeout, then for longer."""
    for seconds in (0.5, 2.5):
        with server.client() as client:
            client.execute_command("DEBUG SLEEP", seconds)
        time.sleep(0.5)


@pytest.mark.parametrize("broken", [killed, frozen, without_clients, asleep])
async def test_users_at_work_while_it_breaks(
    broken: Callable[[RedisServer], None], server: RedisServer, both: Pair
) -> None:
    """No user is answered as another, logged out, or let in again; all comes back by itself."""
    load = Load(both)
    await load.during(lambda: broken(server))
    assert not load.lost
    await both.recovered()
    await load.nobody_is_back()


async def test_no_memory(server: RedisServer, both: Pair) -> None:
    """wire-rules.md#E14: a full Redis takes no logins, and sessions go on; a logout works, and is a
    real one.
    """
    known = await both.log_in(0, "known")
    await both.until(0, known, 200)
    with server.client() as client, full(client):
        await is_refused(both, "/login")
        for at in (0, 1):  # of which the second one has never seen it
            assert (await both.call(at, known)).status == 200
        assert await both.log_out(1, known) == 204
        await both.until(0, known, 401)


@contextlib.contextmanager
def full(client: "redis_client.Redis") -> Iterator[None]:
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


async def is_refused(both: Pair, path: str, key: str = "") -> None:
    """A 503 in time on either gateway."""
    for at in (0, 1):
        body = {"username": "alice"} if path == "/login" else {}
        method = "GET" if path.startswith("/api") else "POST"
        answer = await both.ask(at, method, path, key, **body)
        assert answer.status == 503, answer
        assert "Retry-After" in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert answer.seconds < BOUND


async def test_a_password_that_is_rotated(server: RedisServer, both: Pair) -> None:
    """A wrong password is a store that is away: 503 and never 401, until it is right again."""
    key = await both.log_in(0, "alice")
    await both.until(0, key, 200)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "gate", "resetpass", f">{SECOND}")
        try:
            client.client_kill_filter(user="gate")
            await unready(both)
            await is_refused(both, "/api/me", key)
            await is_refused(both, "/login")
            await is_refused(both, "/logout", key)
            assert (await both.ask(0, "GET", "/public/page")).status == 200
        finally:
            client.execute_command("ACL", "SETUSER", "gate", "resetpass", f">{FIRST}")
    await both.recovered()
    assert (await both.call(0, key)).status == 200


async def unready(both: Pair) -> None:
    for at in (0, 1):
        while await both.is_ready(at):
            await asyncio.sleep(0.02)


async def test_rights_that_are_taken_away(server: RedisServer, both: Pair) -> None:
    """wire-rules.md#E14: without the right to write, logins and logouts are 503, and sessions go
    on.
    """
    key = await both.log_in(0, "alice")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "gate", "-@write")
        try:
            for at in (0, 1):
                assert (await both.call(at, key)).status == 200
            await is_refused(both, "/login")
            await is_refused(both, "/logout", key)
        finally:
            client.execute_command("ACL", "SETUSER", "gate", "+@all")
    assert (await both.call(0, key)).status == 200
    assert await both.log_out(0, key) == 204


async def test_a_primary_that_is_demoted(server: RedisServer, both: Pair, tmp_path: Path) -> None:
    """wire-rules.md#E14: a replica is read from and never trusted; nothing is reported done that it
    refuses.
    """
    keys = [await both.log_in(at, f"user-{at}") for at in (0, 1)]
    for at in (0, 1):
        await both.until(at, keys[at], 200)
    with redis_server(tmp_path) as other, other.client() as new, server.client() as old:
        follow(other, server)
        new.replicaof("NO", "ONE")
        follow(server, other)
        try:
            await is_refused(both, "/login")
            for at in (0, 1):
                await is_refused(both, "/logout", keys[at])
                async with asyncio.timeout(HANG):  # reads go on, so requests should come
                    while not await both.is_ready(at):
                        await asyncio.sleep(0.1)
                for key in keys:
                    assert (await both.call(at, key)).status == 200
            # Another client ends a session at the new primary: it is seen, and not remembered.
            gone = new.delete(*new.scan_iter(match="latchkey:s:*", count=1000))
            assert gone
            for at in (0, 1):
                await both.until(at, keys[0], 401)
        finally:
            old.replicaof("NO", "ONE")
    await both.recovered()


def follow(server: RedisServer, other: RedisServer) -> None:
    """Makes one a replica of the other, and waits until it has all data."""
    with server.client() as client, other.client() as primary:
        primary.config_set("repl-diskless-sync-delay", 0)
        client.replicaof("127.0.0.1", str(other.port))
        eventually(lambda: client.info("replication").get("master_link_status") == "up", "a link")


async def test_look_ups_need_no_write(server: RedisServer, tmp_path: Path) -> None:
    """wire-rules.md#E14: a touch that is due and fails, for want of memory or on a replica, fails
    alone.
    """
    store = open_store(server.url, idle=6.0)
    await store.start()
    issued = await issue(store)
    await asyncio.sleep(0.8)  # touches are throttled to a tenth of the idle timeout
    with server.client() as client, full(client):
        store.near.clear()
        await resolved(store, issued)
    with redis_server(tmp_path) as replica:
        follow(replica, server)
        read = open_store(replica.url, idle=6.0)
        await read.start()
        for _ in range(20):
            await asyncio.sleep(0.02)
            await resolved(read, issued)
            assert len(read.near) == 0
        await read.close()
    await store.close()


async def test_a_network_that_breaks_without_a_word(server: RedisServer) -> None:
    """What hides the store from one gateway hides a logout from it for about one timeout."""
    with delaying(server.port) as proxy:
        near, far = open_store(proxy.url, timeout=2.0), open_store(server.url)
        await near.start()
        await far.start()
        issued = await issue(far)
        await until_near(near, issued, there=True)
        proxy.holds = True
        broken = time.monotonic()
        await far.revoke(issued.session.id)
        while near.near.get(presented_key(issued), time.time()) is not None:
            assert time.monotonic() - broken < HANG / 2
            await asyncio.sleep(0.01)
        assert not near.available
        proxy.holds = False
        again = await issue(far)
        for _ in range(200):
            with contextlib.suppress(Exception):
                await resolved(near, again)
                break
            await asyncio.sleep(0.1)
        await until_near(near, again, there=True)
        assert not isinstance(await near.resolve(presented_key(issued)), ResolvedSession)
        await near.close()
        await far.close()


async def test_all_is_connected_anew_when_a_primary_is_followed(server: RedisServer) -> None:
    """Else look-ups and commands could stay with a server that was the primary when they connected,
    and that is not followed.
    """
    store = open_store(server.url)
    await store.start()
    issued = await issue(store)
    await until_near(store, issued, there=True)
    with server.client() as client:
        before = connected(client)
        [tracking] = [number for number, flags in before.items() if "t" in flags]
        client.client_kill_filter(_id=tracking)
        await until_near(store, issued, there=False)
        await until_near(store, issued, there=True)
        await store.living([issued.session.id])
        after = connected(client)
    assert len(after) > 1, "there is tracking, and there are commands"
    assert not set(after) & set(before)
    await store.close()


def connected(client: "redis_client.Redis") -> dict[str, str]:
    """The flags, by its number, of each other connection of the default user, whom a test's store
    uses.
    """
    ours = str(client.client_id())
    listed = client.client_list(_type="normal")
    return {
        entry["id"]: entry["flags"]
        for entry in listed
        if entry["user"] == "default" and entry["id"] != ours
    }


async def test_no_connection_is_lost(server: RedisServer) -> None:
    """The pool's places come back after cancelled calls and cut connections."""
    store = open_store(server.url, timeout=0.3)
    await store.start()
    known = [await issue(store) for _ in range(10)]
    for turn in range(12):
        store.near.clear()
        work: list[asyncio.Task[Any]] = []
        work += [asyncio.create_task(store.resolve(presented_key(entry))) for entry in known * 4]
        work += [asyncio.create_task(issue(store)) for _ in range(40)]
        work += [asyncio.create_task(store.living([known[0].session.id])) for _ in range(40)]
        await asyncio.sleep(0.002 * turn)
        if turn % 3 == 0:
            with server.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
        if turn % 4 == 1:
            server.freeze()
            await asyncio.sleep(0.4)
            server.thaw()
        for task in work[::3]:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert isinstance(store._client, Redis)
    assert not store._client.connection_pool._in_use_connections
    await until_near(store, known[0], there=True)
    await store.close()
