"""Ending sessions from the relay: beside the requests, or before one goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core import refusals
from gateway.observe.events import Event
from gateway.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.relay")


class Endings:
    """Ends sessions in tasks of their own, which no client's going away interrupts."""

    def __init__(self, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self._sessions = sessions
        self._loop = loop
        self._running: set[asyncio.Task[None]] = set()

    def end(self, session_ids: Sequence[str], event: Event) -> asyncio.Task[None]:
        """Ends sessions, and reports each that there was by this event. The task raises
        `StoreUnavailable` when it is not certain that they are gone.
        """
        task = self._loop.create_task(self._end(session_ids, event))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _end(self, session_ids: Sequence[str], event: Event) -> None:
        ended = await self._sessions.revoke(*session_ids)
        for session_id, session in ended.items():
            self._sessions.report(
                replace(
                    event,
                    subject=session.subject,
                    session_id=session_id,
                    address=event.address or session.address,
                    device=session.label,
                )
            )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreUnavailable):
            _log.warning("a session cannot be ended now")
        elif error is not None:
            _log.error("a session cannot be ended", exc_info=error)


def log_out(
    exchange: Exchange, session_ids: Sequence[str], reason: str, then: Callable[[], None]
) -> None:
    """Has a device log out with its request: goes on by `then` when the sessions have ended.

    A logout is never reported done while its delete failed (rule E4): then it is 503.
    """

    def done(task: asyncio.Task[None]) -> None:
        if exchange.ended or task.cancelled():
            return
        error = task.exception()
        if error is None:
            exchange.forget_cookies()
            then()
        elif isinstance(error, StoreUnavailable):
            exchange.fail(refusals.STORE_DOWN)
        else:
            exchange.fail(refusals.INTERNAL)

    exchange.logs_out = True
    event = exchange.told(Event("logout", reason=reason))
    exchange.context.endings.end(session_ids, event).add_done_callback(done)
