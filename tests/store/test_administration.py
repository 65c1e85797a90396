"""What operators do with sessions, on each kind of store; and that each end is reported."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import Config
from gateway.core.sessions.session import Device
from gateway.observe.events import Event
from gateway.store.administration import Administration
from gateway.store.embedded import EmbeddedStore
from gateway.store.sessions import Sessions, open_sessions
from tests.conftest import token_of
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_sentinel import redis_sentinel
from tests.support.redis_server import redis_server

SECRET = "a secret of the tests, long enough"
DEVICE = Device("Firefox on Linux", "192.0.2.7")


def embedded(folder: Path) -> Iterator[str]:
    store = EmbeddedStore(str(folder / "data"))
    try:
        yield store.start()
    finally:
        store.stop()


def running(open_servers: Callable[[Path], AbstractContextManager[Any]]) -> Any:
    def url(folder: Path) -> Iterator[str]:
        with open_servers(folder) as server:
            yield server.url

    return url


@pytest.fixture(
    params=[embedded, running(redis_server), running(redis_sentinel), running(redis_cluster)],
    ids=["embedded", "redis", "sentinel", "cluster"],
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from request.param(tmp_path)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def sessions(url: str, events: list[Event]) -> AsyncIterator[Sessions]:
    config = Config.model_validate(
        {
            "version": 1,
            "store": {"url": url, "timeout": 5},
            "session": {"secrets": [SECRET], "max_per_subject": 0},
            "upstreams": {},
            "routes": [],
        }
    )
    opened = open_sessions(
        config, url=url, secrets=(SECRET,), render=lambda _session: b"", report=events.append
    )
    yield opened
    await opened.close()


async def issue(sessions: Sessions, subject: str) -> str:
    issued = await sessions.issue(
        token=token_of(subject), subject=subject, login="/login", device=DEVICE, token_expiry=None
    )
    return issued.session.id


async def test_administration(sessions: Sessions, events: list[Event]) -> None:
    """Listing, counting and ending, wherever the sessions' slots are."""
    hands = Administration(sessions, "an operator")
    assert await hands.count() == 0
    held = {name: {await issue(sessions, name) for _ in range(12)} for name in ("alice", "bob")}
    assert await hands.count() == 24
    assert await hands.count("alice") == 12
    assert {shown["handle"] for shown in await hands.listed("alice")} == held["alice"]
    one = held["alice"].pop()
    assert (await hands.end(one), await hands.end(one)) == (1, 0)
    assert events == [
        Event("revoke", "alice", one, "192.0.2.7", "Firefox on Linux", by="an operator")
    ]
    events.clear()
    assert await hands.end_all_of("alice") == 11
    assert {(event.subject, event.session_id) for event in events} == {
        ("alice", session_id) for session_id in held["alice"]
    }
    assert await hands.count("alice") == 0
    assert await hands.count() == 12
    events.clear()
    assert await hands.end_issued_before(0) == 0
    assert await hands.end_issued_before(2**32) == 12
    assert {(event.subject, event.session_id) for event in events} == {
        ("bob", session_id) for session_id in held["bob"]
    }
    assert await hands.count() == 0


@pytest.mark.parametrize("url", [running(redis_server)], indirect=True)
async def test_more_than_one_command_takes(sessions: Sessions, events: list[Event]) -> None:
    """All of them end, and all are reported."""
    hands = Administration(sessions, "an operator")
    for _ in range(1100):
        await issue(sessions, "alice")
    await issue(sessions, "bob")
    assert len(await hands.listed("alice")) == await hands.count("alice") == 1100
    assert await hands.count() == 1101
    assert await hands.end_all_of("alice") == len(events) == 1100
    assert await hands.count() == 1
