"""Timeouts of one session, look-ups that leave one idle, and lasting cookies, in each store."""

import math
import time
from dataclasses import replace

import pytest

from gateway.core.sessions.session import MAX_SECONDS, Life, Token
from gateway.store.issuer import Issued
from gateway.store.sessions import Sessions
from gateway.store.token_updates import Renewed
from tests.conftest import token_of
from tests.support.store import DEVICE, presented_key, resolved

DAY = 86400
OWN = Life(idle_timeout=8 * DAY, max_age=40 * DAY)


async def issue(store: Sessions, life: Life) -> Issued:
    return await store.issue(
        token=token_of("alice"),
        subject="alice",
        login="backend",
        device=DEVICE,
        token_expiry=None,
        life=life,
        in_lasting_cookie=life == OWN,
    )


async def left(store: Sessions, issued: Issued) -> float:
    """In how many seconds the session ends unless it is used."""
    seconds = await store.seconds_left(issued.session.id)
    assert seconds is not None
    return seconds


async def make_idle(store: Sessions, issued: Issued) -> None:
    await store._client.pexpire(store._layout.session(issued.session.id), 5000)
    store.near.forget(issued.session.id)


@pytest.mark.parametrize(("life", "idle"), [(Life(), 60), (OWN, 8 * DAY), (Life(20, 0), 20)])
async def test_a_look_up_extends_a_session_by_its_own_timeout(
    store: Sessions, life: Life, idle: int
) -> None:
    """Another kind of look-up leaves it as idle as it was, and serves none of the first kind."""
    issued = await issue(store, life)
    assert idle - 2 < await left(store, issued) <= idle
    await make_idle(store, issued)
    for _ in range(3):
        await store.resolve(presented_key(issued), extend=False)
    assert await left(store, issued) <= 5
    entry = await resolved(store, issued)
    assert idle - 2 < await left(store, issued) <= idle
    if life.idle_timeout:  # the near cache's own lifetime sees to all others
        assert entry.expires <= time.time() + idle / 4
    assert (entry.session.life, entry.session.subject) == (life, "alice")


async def test_a_session_that_is_not_extended_ends(store: Sessions) -> None:
    """However often it is looked up so."""
    issued = await issue(store, Life(1, 0))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        found = await store.resolve(presented_key(issued), extend=False)
        if not hasattr(found, "session"):
            return
    raise AssertionError("it lives on")


async def test_the_end_of_a_lasting_cookie(store: Sessions) -> None:
    """It is noted beside the session, which stays what it is; an earlier end changes nothing."""
    issued = await issue(store, OWN)
    cookies, session = store.lasting_cookies, issued.session
    assert abs(session.cookie_until - time.time() - 9 * DAY) < 2
    assert cookies.new_end(session) is None
    for until in (session.cookie_until + 100, session.cookie_until):
        await cookies._write(session.id, until)
    store.near.forget(session.id)
    again = (await resolved(store, issued)).session
    assert again.cookie_until == session.cookie_until + 100
    assert (again.life, again.token) == (OWN, session.token)
    assert await left(store, issued) > 8 * DAY - 2
    again.cookie_until = int(time.time()) + 8 * DAY
    due = cookies.new_end(again)
    assert due is not None
    assert abs(due - time.time() - 9 * DAY) < 2


async def test_a_session_without_a_lasting_cookie_gets_none(store: Sessions) -> None:
    """Its record has no place for one."""
    issued = await issue(store, Life())
    await store.lasting_cookies._write(issued.session.id, 2**31)
    assert (await resolved(store, issued)).session == issued.session
    assert store.lasting_cookies.new_end(issued.session) is None
    assert store.lasting_cookies.set_again(issued.session) is None


async def test_another_token_keeps_the_sessions_own_end(store: Sessions) -> None:
    """A captured token lets the session last as a new one of its login would, from its issue."""
    issued = await issue(store, OWN)
    writer, session = store.token_writer, issued.session
    read, record = await writer.read(issued.key, session.id)
    assert read == session
    renewed = Renewed(Token(token_of("alice", n=2).encode()), time.time() + 60, math.inf, "")
    outcome, ending = await writer.adopt(issued.key, session, record, renewed)
    assert (outcome, ending.ends_at < time.time() + 70) == ("kept", True)
    assert await left(store, issued) < 70
    read, record = await writer.read(issued.key, session.id)
    assert read is not None
    lasting = replace(renewed, renew_at=time.time() + 30)
    outcome, renewable = await writer.adopt(issued.key, read, record, lasting)
    assert outcome == "kept"
    assert abs(renewable.ends_at - time.time() - 40 * DAY) < 5
    assert await left(store, issued) > 8 * DAY - 2
    assert (await resolved(store, issued)).session == renewable


async def test_ends_that_records_cannot_count(store: Sessions) -> None:
    """Times beyond the year 2106 are that year."""
    issued = await issue(store, Life(MAX_SECONDS, MAX_SECONDS))
    assert (await resolved(store, issued)).session.life == Life(MAX_SECONDS, MAX_SECONDS)
    lasting = await store.issue(
        token=token_of("alice"),
        subject="alice",
        login="backend",
        device=DEVICE,
        token_expiry=None,
        life=Life(MAX_SECONDS, MAX_SECONDS),
        in_lasting_cookie=True,
    )
    assert (await resolved(store, lasting)).session.cookie_until == MAX_SECONDS
