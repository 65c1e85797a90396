"""Sessions in a store: opened, issued and looked up as the gateway does it."""

import asyncio
import time

from gateway.core.sessions import keys
from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import Device, Lifetimes
from gateway.store.issuer import Issued
from gateway.store.layout import Layout
from gateway.store.near_cache import NearCache
from gateway.store.resolved_session import ResolvedSession
from gateway.store.servers.connect import connect
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer

DEVICE = Device("Firefox on Linux", "192.0.2.7")


def open_store(
    url: str,
    *,
    idle: float = 60.0,
    max_age: float = 600.0,
    timeout: float = 1.0,
    prefix: str = "test:",
) -> Sessions:
    return Sessions(
        connect(url, timeout),
        sealer=Sealer(["a secret of the tests"]),
        layout=Layout(prefix),
        near=NearCache(100, 30.0),
        lifetimes=Lifetimes(idle_timeout=idle, max_age=max_age, skew=0.0),
        timeout=timeout,
        render=lambda session: f"X-User-Id: {session.subject}\r\n".encode(),
    )


async def issue(store: Sessions, subject: str = "alice", expiry: float | None = None) -> Issued:
    return await store.issue(
        token=token_of(subject),
        subject=subject,
        login="backend",
        device=DEVICE,
        token_expiry=expiry,
    )


def presented_key(issued: Issued) -> bytes:
    return issued.key.reveal().encode()


def record_name(key: str) -> str:
    """What the record of a key's session is called in the Redis of a gateway."""
    parsed = keys.parse_key(key.encode())
    assert parsed is not None
    return Layout("latchkey:").session(keys.session_id(parsed))


async def resolved(store: Sessions, issued: Issued) -> ResolvedSession:
    entry = await store.resolve(presented_key(issued))
    assert isinstance(entry, ResolvedSession)
    return entry


async def until_near(store: Sessions, issued: Issued, *, there: bool) -> None:
    """Waits until the near cache knows, or no longer knows, a session."""
    async with asyncio.timeout(HANG):
        while (store.near.get(presented_key(issued), time.time()) is not None) != there:
            if there:
                await resolved(store, issued)
            await asyncio.sleep(0.01)


def asked(server: RedisServer) -> int:
    """How many sessions Redis has been asked for."""
    with server.client() as client:
        stats = client.info("commandstats")
    return int(stats.get("cmdstat_get", {"calls": 0})["calls"])
