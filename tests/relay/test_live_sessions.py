"""Which exchanges in flight end when their session has ended, and when."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from gateway.relay.logouts.live_sessions import LiveSessions
from gateway.store.changes import Changes


@dataclass(eq=False)
class InFlight:
    """An exchange of alice's session, on a route that captures or on another one."""

    captures: int | None
    ended: bool = False
    logs_out: bool = False
    activity: tuple[int, int] = (0, 0)
    forward: Any = field(init=False)

    def __post_init__(self) -> None:
        action = SimpleNamespace(close_on_logout=True, captures=self.captures)
        session = SimpleNamespace(id="alice's", ends_at=2**40)
        self.forward = SimpleNamespace(
            route=SimpleNamespace(action=action), entry=SimpleNamespace(session=session)
        )

    def session_ended(self) -> None:
        self.ended = True


class Store:
    """A store from which every session has gone."""

    def __init__(self) -> None:
        self.near = SimpleNamespace(changes=Changes())

    async def living(self, _asked: set[str]) -> set[str]:
        return set()


async def test_an_answer_that_ends_its_own_session_is_let_through() -> None:
    """A reply that is captured may log out: its exchange has a tick more to bring the answer."""
    capturing, other = InFlight(captures=0), InFlight(captures=None)
    store = Store()
    live = LiveSessions(lambda: [capturing, other], cast("Any", store), 1800)
    store.near.changes.note("alice's")
    seen = []
    for tick in range(3):
        live.sweep(float(tick))
        await asyncio.sleep(0.01)
        seen.append((capturing.ended, other.ended))
    assert seen == [(False, True), (True, True), (True, True)]
