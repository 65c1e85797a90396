"""The near cache: bounded, honest about what it does not know, and asked before the store is."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.core.sessions.keys import new_key
from gateway.core.sessions.session import Session, Token
from gateway.store.near_cache import NearCache
from gateway.store.resolved_session import ResolvedSession
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from tests.support.redis_server import RedisServer
from tests.support.store import asked, issue, open_store, presented_key, resolved

UNKNOWN = Unresolved("invalid_key")


def entry(session_id: str, ends_at: float = 1e12, expires_at: float = 1e12) -> ResolvedSession:
    session = Session(session_id, "alice", Token(b"a.b.c"), "/login", ends_at, expires_at)
    return ResolvedSession(session, b"", b"", 1e12)


def learn(near: NearCache, name: str, **times: float) -> None:
    near.expects(name)
    near.learned(name.encode(), entry(name, **times), name, 0.0)


def trusted(entries: int = 10, outage: float = 0.0) -> NearCache:
    near = NearCache(entries, 30.0, outage)
    near.trust()
    return near


def test_a_change_during_a_look_up_is_not_forgotten() -> None:
    """A result that was on its way while the session changed is used once, and not remembered."""
    near = trusted()
    changes: list[Callable[[], None]] = [lambda: near.forget("id"), near.clear]
    for change in changes:
        near.expects("id")
        change()
        near.learned(b"id", entry("id"), "id", 0.0)
        assert near.get(b"id", 1.0) is None
    learn(near, "id")
    assert near.get(b"id", 1.0) is not None
    assert near.get(b"id", 31.0) is None, "the time to live"


def test_an_impersonation_changes_with_its_parent() -> None:
    """It is forgotten with it, and so is a look-up of it that is on its way."""
    near = trusted()
    near.ends_with("child", "parent")
    learn(near, "child")
    assert near.get(b"child", 1.0) is not None
    near.forget("parent")
    assert near.get(b"child", 1.0) is None
    assert near.changes.ids == {"parent", "child"}
    near.ends_with("child", "parent")
    near.expects("child")
    near.pushed("parent")
    near.learned(b"child", entry("child"), "child", 0.0)
    assert near.get(b"child", 1.0) is None


def test_it_is_bounded() -> None:
    """What was learned first goes first."""
    near = trusted(3)
    for number in range(5):
        learn(near, str(number))
    assert len(near) == 3
    there = [near.get(b"%d" % number, 1.0) is not None for number in range(5)]
    assert there == [False, False, True, True, True]


def test_unknown_keys_are_bounded() -> None:
    """However many are made up."""
    near = trusted()
    for number in range(30_000):
        near.expects(str(number))
        near.learned(b"", None, str(number), 0.0)
    assert len(near._unknown) <= 10_000
    assert near.is_unknown("29999", 1.0)
    assert not near.is_unknown("29999", 3.0), "only for a moment"


def test_off() -> None:
    """`entries: 0` remembers nothing, neither sessions nor unknown keys."""
    near = trusted(0, outage=60.0)
    learn(near, "id")
    near.expects("other")
    near.learned(b"other", None, "other", 0.0)
    assert len(near) == 0
    assert not near.is_unknown("other", 0.5)
    near.distrust(0.0)
    assert near.before_outage("id", 1.0) is None


def test_nothing_is_remembered_while_nobody_tells() -> None:
    """What is there is dropped, and what comes is not kept."""
    near = trusted()
    learn(near, "before")
    near.distrust(0.0)
    learn(near, "meanwhile")
    near.expects("unknown")
    near.learned(b"unknown", None, "unknown", 0.0)
    assert len(near) == 0
    assert not near.is_unknown("unknown", 0.5)
    assert near.before_outage("before", 1.0) is None, "unless config.yaml says so"


def test_an_outage_is_bridged_exactly() -> None:
    """For that time and no longer; never beyond a session's end or its token's; never once it has
    changed; and what is there when the store comes back counts anew.
    """
    near = trusted(outage=30.0)
    learn(near, "id")
    learn(near, "ending", ends_at=105.0)
    learn(near, "expiring", expires_at=105.0)
    learn(near, "revoked")
    near.distrust(100.0)
    near.distrust(120.0)  # a second loss does not begin the time anew
    near.forget("revoked")
    assert near.before_outage("id", 129.9) is not None
    assert near.before_outage("id", 130.0) is None
    for name in ("ending", "expiring"):
        assert near.before_outage(name, 104.9) is not None
        assert near.before_outage(name, 105.0) is None
    assert near.before_outage("revoked", 101.0) is None
    near.trust()
    assert near.before_outage("id", 110.0) is None


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Sessions]:
    sessions = open_store(server.url)
    await sessions.start()
    yield sessions
    await sessions.close()


async def test_a_flood_of_a_made_up_key(store: Sessions, server: RedisServer) -> None:
    """A thousand requests with it, one after the other, cost a look-up now and then."""
    made_up = new_key(secrets.token_bytes(32)).reveal().encode()
    assert await store.resolve(made_up) == UNKNOWN
    before, began = asked(server), time.monotonic()
    for _ in range(1000):
        assert await store.resolve(made_up) == UNKNOWN
    assert asked(server) - before <= 1 + (time.monotonic() - began)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_key_that_is_issued_a_moment_later_works_at_once(
    store: Sessions, server: RedisServer, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool
) -> None:
    """Although it was unknown: the store tells of what is written as well."""
    other = open_store(server.url)
    random = secrets.token_bytes(32)
    key = new_key(random).reveal().encode()
    assert await store.resolve(key) == UNKNOWN
    assert await store.resolve(key) == UNKNOWN
    monkeypatch.setattr("gateway.store.issuer.secrets.token_bytes", lambda size: random[:size])
    issued = await issue(other if elsewhere else store)
    assert presented_key(issued) == key
    for _ in range(200 if elsewhere else 0):  # a push takes its millisecond
        if await store.resolve(key) != UNKNOWN:
            break
        await asyncio.sleep(0.005)
    assert (await resolved(store, issued)).session.subject == "alice"
    await other.close()
