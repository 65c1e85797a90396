"""The store's contract, on a real redis-server and on the embedded one, in both its makes."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import redis as redis_client

from gateway.core.sessions import records
from gateway.core.sessions.keys import new_key
from gateway.core.sessions.session import Parent
from gateway.store.errors import StoreUnavailable
from gateway.store.layout import Layout
from gateway.store.resolved_session import ResolvedSession
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.redis_server import redis_server
from tests.support.store import DEVICE, issue, open_store, presented_key, resolved, until_near


async def test_issue_resolve_revoke(store: Sessions) -> None:
    """A key opens its session until it is revoked; revoking twice is no error."""
    issued = await issue(store)
    entry = await resolved(store, issued)
    assert entry.session.subject == "alice"
    assert entry.session.claims["sub"] == "alice"
    assert (entry.lines, entry.token[:3]) == (b"X-User-Id: alice\r\n", b"eyJ")
    [said] = (await store.revoke(issued.session.id)).values()
    assert (said.subject, said.label, said.address) == ("alice", DEVICE.label, DEVICE.address)
    assert await store.revoke(issued.session.id) == {}
    assert await store.resolve(presented_key(issued)) == Unresolved("invalid_key")


async def test_other_devices_stay(store: Sessions) -> None:
    """Revoking one session of a subject leaves the others."""
    one, two = await issue(store), await issue(store)
    await store.revoke(one.session.id)
    assert (await resolved(store, two)).session.subject == "alice"


async def test_redis_holds_no_secret(store: Sessions, url: str) -> None:
    """Neither the key nor the token is anywhere in Redis; the device stands in the open."""
    issued = await issue(store)
    with redis_client.from_url(url) as client:
        names = client.keys("*")
        dump = b"".join(names) + b"".join(client.dump(name) for name in names)
        assert presented_key(issued) not in dump
        assert issued.session.token.reveal().encode() not in dump
        said = records.read_info(client.get(f"test:s:{{{issued.session.id}}}"))
    assert (said.subject, said.label, said.address) == ("alice", DEVICE.label, DEVICE.address)
    assert said.created == said.seen < said.ends_at <= issued.session.ends_at


async def test_lifetimes(url: str) -> None:
    """The idle timeout, the absolute timeout and the token's expiry: the earliest ends it."""
    store = open_store(url, idle=1.5, max_age=600)
    await store.start()
    idle, used = await issue(store), await issue(store)
    for _ in range(8):
        await asyncio.sleep(0.25)
        store.near.clear()
        await resolved(store, used)
    assert await store.resolve(presented_key(idle)) == Unresolved("invalid_key")
    await store.close()
    store = open_store(url, idle=60, max_age=600)
    await store.start()
    expiring = await issue(store, expiry=time.time() + 1.5)
    assert (await resolved(store, expiring)).session.ends_at < time.time() + 2
    await until_near(store, await issue(store), there=True)
    await asyncio.sleep(1.6)
    assert await store.resolve(presented_key(expiring)) == Unresolved("invalid_key")
    assert store.near.get(presented_key(expiring), time.time()) is None
    await store.close()


async def test_a_silent_store(tmp_path: Path) -> None:
    """wire-rules.md#E3, #E4, #E11: everything fails with StoreUnavailable within a bounded time,
    and recovers.
    """
    with redis_server(tmp_path) as server:
        store = open_store(server.url, timeout=0.5)
        await store.start()
        issued = await issue(store)
        await until_near(store, issued, there=True)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until_near(store, issued, there=False)
            assert not store.available
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await store.resolve(presented_key(issued))
                with pytest.raises(StoreUnavailable):
                    await issue(store)
                with pytest.raises(StoreUnavailable):
                    await store.revoke(new_session_id())
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for _ in range(100):
            try:
                await resolved(store, issued)
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
        await until_near(store, issued, there=True)
        await store.close()


def new_session_id() -> str:
    return "0" * 64


async def test_nobody_there(tmp_path: Path) -> None:
    """A store that cannot be reached is unavailable, and not an empty one."""
    store = open_store("redis://127.0.0.1:1")
    await store.start()
    with pytest.raises(StoreUnavailable):
        await store.resolve(new_key(bytes(32)).reveal().encode())
    await store.close()


async def test_a_session_that_is_never_idle(url: str) -> None:
    """It lasts as long as it was issued for, beyond both timeouts; being used neither shortens nor
    lengthens it, and is noted.
    """
    store = open_store(url, idle=1.0, max_age=2.0)
    await store.start()
    token, lasts = token_of("robot", exp=int(time.time()) + 10_000), 5000.0
    issued = await store.issue(
        token=token, subject="robot", login="keys", device=DEVICE, token_expiry=None, lasts=lasts
    )
    usual = await issue(store)
    name = Layout("test:").session(issued.session.id)
    assert abs(issued.session.ends_at - time.time() - lasts) < 60
    await asyncio.sleep(2.2)
    before = await store._client.pttl(name)
    assert (lasts - 60) * 1000 < before <= lasts * 1000
    assert isinstance(await store.resolve(presented_key(issued)), ResolvedSession)
    assert isinstance(await store.resolve(presented_key(usual)), Unresolved)
    assert (lasts - 60) * 1000 < await store._client.pttl(name) <= before
    [said] = (await store.directory.of("robot")).values()
    assert said.seen > said.created
    await store.close()


async def test_a_session_that_is_never_idle_ends(url: str) -> None:
    """In its last moments it is like any other: no touch goes beyond its end."""
    store = open_store(url, idle=60.0)
    await store.start()
    issued = await store.issue(
        token=token_of("robot"),
        subject="robot",
        login="keys",
        device=DEVICE,
        token_expiry=None,
        lasts=2.0,
    )
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        store.near.forget(issued.session.id)
        await store.resolve(presented_key(issued))
        await asyncio.sleep(0.1)
    assert isinstance(await store.resolve(presented_key(issued)), Unresolved)
    await store.close()


async def test_an_impersonation_is_no_login(store: Sessions) -> None:
    """Its user has proved nothing: it is as old as the login of the session that it began in."""
    first = await issue(store)
    parent = Parent(first.key, first.session.id, "alice", first.session.ends_at, logged_in_at=1000)
    second = await store.issue(
        token=token_of("bob"),
        subject="bob",
        login="backend",
        device=DEVICE,
        token_expiry=None,
        parent=parent,
    )
    assert second.session.logged_in_at == 1000
    assert (await resolved(store, second)).session.logged_in_at == 1000
    assert (await resolved(store, first)).session.logged_in_at == first.session.issued_at > 1000
