"""Sessions that were ended lately (`gateway.store.revocations`)."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.layout import Layout
from gateway.store.revocations import Revocations
from gateway.store.servers.connect import connect
from gateway.store.servers.topology import Client
from tests.support.redis_server import RedisServer

LAYOUT = Layout("revocations:")


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Client]:
    opened = connect(server.url, 5.0).client
    yield opened
    await opened.aclose()


async def test_they_are_ended_again_at_a_new_primary(client: Client) -> None:
    """Those whose end was asked for, whether or not the old primary has answered; no others."""
    revocations = Revocations(client, LAYOUT, 5.0)
    for session_id in ("ended", "asked", "other"):
        await client.set(LAYOUT.session(session_id), b"as the new primary has it")
    revocations.asked(["ended", "asked"])
    revocations.done(["ended"])
    await revocations.repeat()
    assert await client.exists(LAYOUT.session("ended"), LAYOUT.session("asked")) == 0
    assert await client.exists(LAYOUT.session("other")) == 1


async def test_what_is_done_is_refused(client: Client) -> None:
    """A session is refused once the store has answered; one that is only asked for may fail."""
    revocations = Revocations(client, LAYOUT, 5.0)
    revocations.asked(["a", "b"])
    revocations.done(["a", "never asked for"])
    assert revocations.is_done("a")
    assert not revocations.is_done("b")
    assert not revocations.is_done("never asked for")


async def test_their_number_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten first; asking again makes a revocation a new one."""
    monkeypatch.setattr("gateway.store.revocations._MAX_SESSIONS", 3)
    revocations = Revocations(client, LAYOUT, 5.0)
    for session_id in ("a", "b", "a", "c", "d"):
        revocations.asked([session_id])
        revocations.done([session_id])
    assert [name for name in "abcd" if revocations.is_done(name)] == ["a", "c", "d"]


async def test_they_are_forgotten_after_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old primary is left long before."""
    monkeypatch.setattr("gateway.store.revocations._REMEMBERED_SECONDS", -1.0)
    revocations = Revocations(client, LAYOUT, 5.0)
    revocations.asked(["a"])
    revocations.done(["a"])
    assert not revocations.is_done("a")
