"""The index of sessions: it stays true under changes at the same time, and heals (`directory`)."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis as redis_client

from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import Device, Lifetimes
from gateway.observe.events import Event, Report, ignore
from gateway.store.issuer import Issued
from gateway.store.layout import Layout
from gateway.store.near_cache import NearCache
from gateway.store.servers.connect import connect
from gateway.store.sessions import Sessions
from tests.conftest import token_of
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer

DEVICE = Device("Firefox on Linux", "192.0.2.7")
SUBJECTS = ("alice", "bob", "캐럴")


@pytest.fixture
def prefix() -> str:
    """Of a test's own names in the Redis that all share."""
    return f"{uuid.uuid4().hex}:"


@asynccontextmanager
async def opened(
    url: str,
    prefix: str,
    *,
    idle: float = 60.0,
    max_age: float = 600.0,
    most: int = 0,
    report: Report = ignore,
) -> AsyncIterator[Sessions]:
    """One gateway's sessions."""
    sessions = Sessions(
        connect(url, 5.0),
        sealer=Sealer(["a secret of the tests"]),
        layout=Layout(prefix),
        near=NearCache(100, 30.0),
        lifetimes=Lifetimes(idle_timeout=idle, max_age=max_age, skew=0.0),
        timeout=5.0,
        render=lambda _session: b"",
        max_per_subject=most,
        report=report,
    )
    await sessions.start()
    try:
        yield sessions
    finally:
        await sessions.close()


async def issue(store: Sessions, subject: str = "alice", expiry: float | None = None) -> Issued:
    return await store.issue(
        token=token_of(subject), subject=subject, login="/login", device=DEVICE, token_expiry=expiry
    )


def living(client: "redis_client.Redis", prefix: str) -> set[str]:
    """The ids of all sessions, of every subject."""
    layout = Layout(prefix)
    names: Any = client.keys(f"{layout.sessions}*")
    return {layout.session_id(name) for name in names}


def entries(client: "redis_client.Redis", prefix: str, subject: str) -> set[str]:
    """What the index of a subject names."""
    members: Any = client.zrange(Layout(prefix).subject(subject), 0, -1)
    return {member.decode() for member in members}


async def test_the_index_stays_true(redis: RedisServer, prefix: str) -> None:
    """Logins, logouts, deletions by others and idle ends on two gateways at once: afterwards the
    lists name the sessions that there are and no others, and nothing else is left in an index.
    """
    chance = random.Random(4)
    held: list[Issued] = []
    async with (
        opened(redis.url, prefix, idle=1.0) as one,
        opened(redis.url, prefix, idle=1.0) as two,
    ):
        with redis.client() as client:

            async def operator(until: float) -> None:
                while time.monotonic() < until:
                    store, subject = chance.choice((one, two)), chance.choice(SUBJECTS)
                    some = chance.choice(held) if held else None
                    match chance.randrange(10):
                        case 0 | 1 | 2:
                            held.append(await issue(store, subject))
                        case 3 | 4 if some:
                            await store.revoke(some.session.id)
                        case 5:
                            await store.revoke(*list(await store.directory.of(subject))[:3])
                        case 6 if some:
                            client.delete(Layout(prefix).session(some.session.id))
                        case 7:
                            await store.directory.of(subject)
                        case _ if some:
                            await store.resolve(some.key.reveal().encode())
                    await asyncio.sleep(chance.random() / 20)

            until = time.monotonic() + 8
            await asyncio.gather(*(operator(until) for _ in range(20)))
            assert len(held) > 100
            kept = [await issue(one, subject) for subject in SUBJECTS for _ in range(3)]
            before = living(client, prefix)
            lists = {subject: set(await two.directory.of(subject)) for subject in SUBJECTS}
            after = living(client, prefix)  # some have become idle meanwhile, none has come
            listed = set().union(*lists.values())
            assert after <= listed <= before
            assert {device.session.id for device in kept} <= listed
            for subject, ids in lists.items():
                assert entries(client, prefix, subject) == ids
                assert all(
                    said.subject == subject
                    for said in (await one.directory.infos(list(ids))).values()
                )

            hang = time.monotonic() + HANG
            while living(client, prefix):
                assert time.monotonic() < hang
                await asyncio.sleep(0.1)
            for subject in SUBJECTS:
                assert await one.directory.of(subject) == {}
            assert client.keys(f"{prefix}*") == []


async def test_an_index_ends_with_its_last_session(redis: RedisServer, prefix: str) -> None:
    """It needs no reader: it expires when the last of its sessions must have ended."""
    async with opened(redis.url, prefix, max_age=2.0) as store:
        with redis.client() as client:
            for _ in range(3):
                await issue(store)
            index = Layout(prefix).subject("alice")
            assert 0 < client.pttl(index) <= 3000
            hang = time.monotonic() + HANG
            while client.keys(f"{prefix}*"):
                assert time.monotonic() < hang
                await asyncio.sleep(0.1)


async def test_an_index_lasts_as_long_as_its_sessions(redis: RedisServer, prefix: str) -> None:
    """A later session that ends sooner does not take the index with it."""
    async with opened(redis.url, prefix) as store:
        long = await issue(store)
        short = await issue(store, expiry=time.time() + 1)
        await asyncio.sleep(1.5)
        assert set(await store.directory.of("alice")) == {long.session.id}
        with redis.client() as client:
            assert client.ttl(Layout(prefix).subject("alice")) > 500
            assert short.session.id not in entries(client, prefix, "alice")


async def test_a_login_clears_out_what_must_have_ended(redis: RedisServer, prefix: str) -> None:
    """So the index of a subject that logs in often, and never looks, does not grow for ever."""
    async with opened(redis.url, prefix) as store:
        for _ in range(5):
            await issue(store, expiry=time.time() + 0.5)
        await asyncio.sleep(2.5)
        last = await issue(store)
        with redis.client() as client:
            assert entries(client, prefix, "alice") == {last.session.id}


# As many sessions as a subject may have.


async def test_the_oldest_goes(redis: RedisServer, prefix: str) -> None:
    """The sixth login ends the first session, and so on, however fast they follow each other;
    the audit log tells of it, and other subjects are left alone.
    """
    events: list[Event] = []
    async with opened(redis.url, prefix, most=5, report=events.append) as store:
        other = await issue(store, "bob")
        issued = [(await issue(store)).session.id for _ in range(30)]
        assert await store.directory.by_age("alice") == issued[-5:]
        assert set(await store.directory.of("alice")) == set(issued[-5:])
        with redis.client() as client:
            assert living(client, prefix) == {other.session.id, *issued[-5:]}
        assert [event.session_id for event in events] == issued[:-5]
        assert {(event.kind, event.reason, event.by) for event in events} == {
            ("revoke", "too_many", "limit")
        }


async def test_one_device_at_a_time(redis: RedisServer, prefix: str) -> None:
    """A cap of one: who logged in last is logged in, on whichever gateway."""
    async with (
        opened(redis.url, prefix, most=1) as one,
        opened(redis.url, prefix, most=1) as two,
    ):
        for store in (one, two) * 10:
            newest = await issue(store)
            assert set(await one.directory.of("alice")) == {newest.session.id}


async def test_what_has_ended_does_not_count(redis: RedisServer, prefix: str) -> None:
    """Sessions that have been logged out or have become idle make room by themselves."""
    async with opened(redis.url, prefix, most=3, idle=600.0) as store:
        first, second, third = [await issue(store) for _ in range(3)]
        await store.revoke(second.session.id)
        with redis.client() as client:
            client.delete(Layout(prefix).session(third.session.id))
        newer = [await issue(store) for _ in range(2)]
        assert set(await store.directory.of("alice")) == {
            first.session.id,
            *(device.session.id for device in newer),
        }


@pytest.mark.parametrize("most", [1, 5])
async def test_logins_at_once_leave_exactly_as_many(
    redis: RedisServer, prefix: str, most: int
) -> None:
    """Twenty at the same time on two gateways: neither one more than there may be, nor one less;
    and the same ones for every caller.
    """
    events: list[Event] = []
    async with (
        opened(redis.url, prefix, most=most, report=events.append) as one,
        opened(redis.url, prefix, most=most, report=events.append) as two,
    ):
        for _ in range(10):
            events.clear()
            left = len(await one.directory.of("alice"))
            await asyncio.gather(*(issue((one, two)[at % 2]) for at in range(20)))
            with redis.client() as client:
                assert len(living(client, prefix)) == most
                assert entries(client, prefix, "alice") == living(client, prefix)
            assert len({event.session_id for event in events}) == len(events) == left + 20 - most
