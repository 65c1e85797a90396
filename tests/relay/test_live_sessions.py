"""Which exchanges in flight end when their session has ended, and when."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.relay.logouts.live_sessions import LiveSessions
from gateway.store.changes import Changes


@dataclass(eq=False)
class InFlight:
    """An exchange of alice's session, on a route that captures or on another one."""

    whole: int | None
    close_on_logout: bool = True
    is_sent: bool = True
    ended: bool = False
    logs_out: bool = False
    extends_session: bool = True
    activity: tuple[int, int] = (0, 0)
    forward: Any = field(init=False)

    def __post_init__(self) -> None:
        action = SimpleNamespace(
            close_on_logout=self.close_on_logout,
            whole=self.whole,
            extends_session=self.extends_session,
        )
        session = SimpleNamespace(id="alice's", ends_at=2**40, parent="")
        self.forward = SimpleNamespace(
            route=SimpleNamespace(action=action), resolved=SimpleNamespace(session=session)
        )

    def session_ended(self) -> None:
        self.ended = True


class Store:
    """A store from which every session has gone."""

    def __init__(self) -> None:
        self.near = SimpleNamespace(changes=Changes())
        self.touched: list[str] = []

    async def living(self, _asked: set[str]) -> set[str]:
        return set()

    def touch(self, session_id: str) -> None:
        self.touched.append(session_id)


async def test_an_answer_that_ends_its_own_session_is_let_through() -> None:
    """A reply that is captured may log out: its exchange has a tick more to bring the answer."""
    capturing, other = InFlight(whole=0), InFlight(whole=None)
    store = Store()
    live = LiveSessions(lambda: [capturing, other], cast("Any", store), 1800)
    store.near.changes.note("alice's")
    seen = []
    for tick in range(3):
        live.sweep(float(tick))
        await asyncio.sleep(0.01)
        seen.append((capturing.ended, other.ended))
    assert seen == [(False, True), (True, True), (True, True)]


async def test_a_request_that_still_waits_ends_in_any_case() -> None:
    """`close_on_logout: false` is for what is open; this request would begin after the logout."""
    waits, is_open = (
        InFlight(whole=None, close_on_logout=False, is_sent=is_sent) for is_sent in (False, True)
    )
    store = Store()
    live = LiveSessions(lambda: [waits, is_open], cast("Any", store), 1800)
    store.near.changes.note("alice's")
    live.sweep(1.0)
    await asyncio.sleep(0.01)
    assert (waits.ended, is_open.ended) == (True, False)


@pytest.mark.parametrize("extends_session", [True, False])
@pytest.mark.parametrize("close_on_logout", [True, False])
async def test_bytes_that_move_keep_a_session_from_being_idle(
    extends_session: bool, close_on_logout: bool
) -> None:
    """Unless the route says that they do not."""
    store = Store()
    exchange = InFlight(
        whole=None, extends_session=extends_session, close_on_logout=close_on_logout
    )
    live = LiveSessions(lambda: [exchange], cast("Any", store), 1800)
    for tick in range(1, 4):
        exchange.activity = (tick, 0)
        live.sweep(tick * 100.0)
    assert store.touched == ["alice's"] * (2 * extends_session)


async def test_an_exchange_that_cannot_be_ended_spares_no_other() -> None:
    class Failing(InFlight):
        def session_ended(self) -> None:
            raise RuntimeError

    first, failing, last = InFlight(whole=None), Failing(whole=None), InFlight(whole=None)
    store = Store()
    live = LiveSessions(lambda: [first, failing, last], cast("Any", store), 1800)
    store.near.changes.note("alice's")
    live.sweep(0.0)
    await asyncio.sleep(0.01)
    assert (first.ended, last.ended) == (True, True)
