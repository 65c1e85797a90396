"""How long revocations take to be pushed, against a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import Device, Lifetimes
from gateway.store.issuer import Issued
from gateway.store.layout import Layout
from gateway.store.near_cache import NearCache
from gateway.store.revocation_latency import RevocationLatency
from gateway.store.servers.connect import connect
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer


@pytest.fixture
async def store(redis: RedisServer, heard: list[float]) -> AsyncIterator[Sessions]:
    sessions = Sessions(
        connect(redis.url, 1.0),
        sealer=Sealer(["a secret of the tests"]),
        layout=Layout("echoes:"),
        near=NearCache(100, 30.0),
        lifetimes=Lifetimes(idle_timeout=60.0, max_age=600.0, skew=0.0),
        timeout=1.0,
        render=lambda _session: b"",
        observe_latency=heard.append,
    )
    await sessions.start()
    yield sessions
    await sessions.close()


@pytest.fixture
def heard() -> list[float]:
    return []


async def issue(store: Sessions) -> Issued:
    device = Device("Firefox on Linux", "192.0.2.7")
    return await store.issue(
        token=token_of("alice"), subject="alice", login="/login", device=device, token_expiry=None
    )


async def test_each_revocation_is_heard_once(store: Sessions, heard: list[float]) -> None:
    """One of many at a time, one that ends nothing, and one that is asked for twice at once."""
    issued = [await issue(store) for _ in range(6)]
    ids = [new.session.id for new in issued]
    await store.revoke(*ids[:4], "no such session")
    await asyncio.gather(store.revoke(ids[4]), store.revoke(ids[4]), store.revoke(ids[0]))
    await store.revoke(ids[5])
    async with asyncio.timeout(HANG):
        while len(heard) < 6:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(heard) == 6
    assert all(0 < seconds < HANG for seconds in heard)


async def test_other_changes_are_not_heard(store: Sessions, heard: list[float]) -> None:
    """A session that is issued or looked up is no revocation."""
    issued = await issue(store)
    await store.resolve(issued.key.reveal().encode())
    await asyncio.sleep(0.05)
    assert heard == []


def test_what_is_never_heard_takes_no_more_memory() -> None:
    """Pushes that were lost with their connection never come; the newest are waited for."""
    heard: list[float] = []
    latency = RevocationLatency(heard.append)
    for number in range(25_000):
        latency.asked(str(number))
    for number in range(25_000):
        latency.pushed(str(number))
    assert len(heard) == 10_000
