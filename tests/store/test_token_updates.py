"""A session's token is replaced by compare-and-set, and its end with it."""

import math
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.sessions import records
from gateway.core.sessions.session import Session, Token
from gateway.store.issuer import Issued
from gateway.store.resolver import Unresolved
from gateway.store.sessions import Sessions
from gateway.store.token_updates import Outcome, Renewed
from tests.conftest import token_of
from tests.support.redis_server import RedisServer
from tests.support.store import DEVICE, issue, open_store, presented_key, resolved


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[Sessions]:
    sessions = open_store(redis.url, idle=60.0, max_age=600.0)
    await sessions.start()
    yield sessions
    await sessions.close()


def renewed(name: str = "next", expires: float = math.inf, **more: Any) -> Renewed:
    token = Token(token_of("alice", jti=name).encode())
    return Renewed(token, expires, more.get("renew_at", math.inf), more.get("refresh", ""))


async def read(store: Sessions, issued: Issued) -> tuple[Session, bytes]:
    session, record = await store.token_writer.read(issued.key, issued.session.id)
    assert session is not None
    return session, record


async def adopt(store: Sessions, issued: Issued, new: Renewed) -> Outcome:
    session, record = await read(store, issued)
    outcome, _ = await store.token_writer.adopt(issued.key, session, record, new)
    return outcome


async def lasts(store: Sessions, issued: Issued) -> float:
    """How long Redis keeps the record, in seconds."""
    return float(await store._client.pttl(store._layout.session(issued.session.id))) / 1000


async def score(store: Sessions, issued: Issued) -> float:
    index = store._layout.subject("alice")
    return float(await store._client.zscore(index, issued.session.id) or 0)


async def test_the_key_opens_the_session_with_its_new_token(store: Sessions) -> None:
    """Everything else of it is as before; what says in the open who it is, too."""
    issued = await issue(store)
    before = records.read_info((await read(store, issued))[1])
    new = renewed(refresh="r", renew_at=time.time() + 50, expires=time.time() + 100)
    assert await adopt(store, issued, new) == "kept"
    session = (await resolved(store, issued)).session
    assert (session.token, session.refresh) == (new.token, "r")
    assert (session.subject, session.login) == ("alice", "backend")
    assert session.claims["jti"] == "next"
    after = records.read_info((await read(store, issued))[1])
    assert (after.subject, after.label, after.address, after.created) == (
        before.subject,
        before.label,
        before.address,
        before.created,
    )


async def test_a_session_ends_with_its_new_token(store: Sessions) -> None:
    """Sooner or later than before, but never after its greatest age; the index knows of it."""
    now = time.time()
    issued = await issue(store, expiry=now + 30)
    created = records.read_info((await read(store, issued))[1]).created
    for expires, ends in (
        (now + 20, now + 20),
        (now + 50, now + 50),
        (now + 9999, created + 600),
        (math.inf, created + 600),
    ):
        assert await adopt(store, issued, renewed(expires=expires)) == "kept"
        session, record = await read(store, issued)
        assert session.ends_at == pytest.approx(ends)
        assert session.expires_at == expires
        assert records.read_info(record).ends_at == int(ends)
        assert await lasts(store, issued) <= min(60, ends - now) + 1
        assert await score(store, issued) >= ends


async def test_a_token_that_can_be_renewed_ends_no_session(store: Sessions) -> None:
    """Then its end is the greatest age, as it would be for a new session."""
    issued = await issue(store, expiry=time.time() + 30)
    new = renewed(expires=time.time() + 20, renew_at=time.time() + 10, refresh="r")
    assert await adopt(store, issued, new) == "kept"
    assert (await read(store, issued))[0].ends_at > time.time() + 500


async def test_what_has_expired_already_ends_at_once(store: Sessions) -> None:
    """No write makes a session last longer than its token."""
    issued = await issue(store)
    assert await adopt(store, issued, renewed(expires=time.time() - 1)) == "kept"
    assert isinstance(await store.resolve(presented_key(issued)), Unresolved)


async def test_whoever_comes_second_changes_nothing(store: Sessions) -> None:
    """What was read is no longer there, so nothing is written over it."""
    issued = await issue(store)
    session, record = await read(store, issued)
    assert await adopt(store, issued, renewed("first")) == "kept"
    late = renewed("second")
    outcome, _ = await store.token_writer.adopt(issued.key, session, record, late)
    assert outcome == "lost"
    assert await store.token_writer.renew(issued.key, session, record) == "lost"
    assert (await resolved(store, issued)).session.claims["jti"] == "first"


async def test_a_touch_meanwhile_is_no_change(store: Sessions) -> None:
    """A session that is used is seen, which is written before its seal."""
    issued = await issue(store)
    session, record = await read(store, issued)
    name = store._layout.session(issued.session.id)
    await store._client.setrange(name, records.SEEN_AT - 1, b"\0\0\0\1")
    outcome, _ = await store.token_writer.adopt(issued.key, session, record, renewed())
    assert outcome == "kept"
    assert records.read_info((await read(store, issued))[1]).seen == 1


async def test_a_session_that_was_revoked_is_not_resurrected(store: Sessions) -> None:
    """Neither its record nor a look-up of it comes back."""
    issued = await issue(store)
    session, record = await read(store, issued)
    await store.revoke(issued.session.id)
    outcome, _ = await store.token_writer.adopt(issued.key, session, record, renewed())
    assert outcome == "gone"
    assert await store._client.exists(store._layout.session(issued.session.id)) == 0
    assert isinstance(await store.resolve(presented_key(issued)), Unresolved)
    assert issued.session.id not in await store.directory.of("alice")


async def test_the_order_of_devices_stays(store: Sessions) -> None:
    """Of sessions that were issued in the same second, too, for the oldest one is ended first."""
    devices = [await issue(store, "carol", expiry=time.time() + 30) for _ in range(5)]
    before = await store.directory.by_age("carol")
    for device in (devices[3], devices[0]):
        session, record = await read(store, device)
        new = Renewed(Token(token_of("carol").encode()), time.time() + 300, math.inf, "")
        assert (await store.token_writer.adopt(device.key, session, record, new))[0] == "kept"
    assert await store.directory.by_age("carol") == before


async def test_a_renewed_session_has_its_new_claims(store: Sessions) -> None:
    """Whoever renews may have read the old ones."""

    async def renew(session: Session) -> Renewed:
        assert session.claims["role"] == "user"
        token = Token(token_of("alice", role="admin").encode())
        return Renewed(token, time.time() + 300, math.inf, "")

    store.renewals.register("backend", renew)
    issued = await store.issue(
        token=token_of("alice", role="user"),
        subject="alice",
        login="backend",
        device=DEVICE,
        token_expiry=time.time() - 1,
        renew_before=60.0,
    )
    assert (await resolved(store, issued)).session.claims["role"] == "admin"
