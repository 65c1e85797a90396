"""Ending sessions with a request or an answer (`gateway.relay.logouts.session_ender`)."""

import asyncio
from typing import Any

import pytest

from gateway.core.http.refusals import Refusal
from gateway.core.sessions.records import SessionInfo
from gateway.observe.events import Event
from gateway.relay.logouts.session_ender import SessionEnder
from gateway.store.errors import StoreUnavailable

INFO = SessionInfo("alice", "Firefox", "192.0.2.1", ends_at=0, created=0, seen=0)


class Store:
    """A store with one session, or one that fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Event] = []
        self._error = error

    async def revoke(self, *session_ids: str) -> dict[str, Any]:
        if self._error is not None:
            raise self._error
        return {session_id: INFO for session_id in session_ids if session_id == "alice's"}

    def report(self, event: Event) -> None:
        self.events.append(event)


async def log_out(store: Any) -> str:
    """How a logout of two sessions ends."""
    loop = asyncio.get_running_loop()
    how = loop.create_future()

    def failed(refusal: Refusal) -> None:
        how.set_result(refusal.reason)

    SessionEnder(store, loop).log_out(
        ["alice's", "unknown"],
        Event("logout", reason="cookie"),
        lambda: how.set_result("done"),
        failed,
    )
    return str(await how)


async def test_each_session_that_there_was_is_reported() -> None:
    store = Store()
    assert await log_out(store) == "done"
    assert store.events == [
        Event("logout", "alice", "alice's", "192.0.2.1", "Firefox", reason="cookie")
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(StoreUnavailable("down"), "store_unavailable"), (ValueError(), "internal_error")],
)
async def test_a_logout_that_failed_is_not_done(error: Exception, reason: str) -> None:
    """wire-rules.md#E4: the device would believe in a logout that has not happened."""
    store = Store(error)
    assert await log_out(store) == reason
    assert store.events == []
