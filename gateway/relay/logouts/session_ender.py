"""Ends sessions with a request, or with an answer of the backend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe.events import Event
from gateway.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.relay")


class SessionEnder:
    """Ends sessions in tasks of their own.

    The tasks go on when the client goes away.
    """

    def __init__(self, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self._sessions = sessions
        self._loop = loop
        self._running: set[asyncio.Task[None]] = set()

    def end(self, session_ids: Sequence[str], event: Event) -> asyncio.Task[None]:
        """End sessions, and report the event for each one that lived.

        The task raises `StoreUnavailable` if the sessions may still be there.
        """
        task = self._loop.create_task(self._end(session_ids, event))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def log_out(
        self,
        session_ids: Sequence[str],
        event: Event,
        done: Callable[[], None],
        failed: Callable[[Refusal], None],
    ) -> None:
        """End sessions with a request that logs out, then call `done`.

        If the delete failed, the logout is not done (wire-rules.md#E4): `failed` gets a 503.
        """

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                done()
            else:
                down = isinstance(error, StoreUnavailable)
                failed(refusals.STORE_DOWN if down else refusals.INTERNAL)

        self.end(session_ids, event).add_done_callback(ended)

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
                    by=event.by or session.impersonator,
                )
            )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreUnavailable):
            _log.warning("a session cannot be ended now")
        elif error is not None:
            _log.error("a session cannot be ended", exc_info=error)
