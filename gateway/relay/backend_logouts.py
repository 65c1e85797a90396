"""Ending sessions from the relay: beside the requests, or before one goes on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.logins import cookie_logouts
from gateway.observe.events import Event
from gateway.relay.http1.response_head import ResponseHead, cookie_name
from gateway.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.relay")


class SessionEnder:
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


def by_answer(exchange: Exchange, response: ResponseHead, rest: bytes) -> bool:
    """Whether this answer, of whose body there is `rest`, logs out by a cookie in which a key came:
    then it is held back until the sessions of all keys that came have ended.
    """
    forward, head = exchange.forward, exchange.head
    if forward is None or forward.route.in_process or exchange.logs_out:
        return False
    deletions: list[str] = []
    for name, key in head.key_cookies:
        values = _set_by_backend(exchange, response, name)
        if values:
            entry = forward.entry if key == head.credential else None
            claims = None if entry is None else entry.session.claims
            deletions += cookie_logouts.deletions(values, claims, time.time())
    if not deletions and not response.clears_cookies:
        return False

    def release() -> None:
        head.deletions = tuple(dict.fromkeys((*deletions, *head.deletions)))
        assert exchange.upstream is not None
        exchange.upstream.release_answer(exchange, response, rest)

    log_out(exchange, head.session_ids, "cookie", release)
    return True


def _set_by_backend(exchange: Exchange, response: ResponseHead, name: bytes) -> list[str]:
    """What an answer sets for a cookie, if a backend hands keys out in it."""
    if not exchange.context.cookies.is_of_backend(name):
        return []
    lines = [line for line in response.set_cookies if cookie_name(line) == name]
    return [line.partition(b":")[2].strip().decode("latin-1") for line in lines]


def log_out(
    exchange: Exchange, session_ids: Sequence[str], reason: str, then: Callable[[], None]
) -> None:
    """Has a device log out with its request: goes on by `then` when the sessions have ended.

    A logout is never reported done while its delete failed (wire-rules.md#E4): then it is 503.
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
    event = exchange.of_request(Event("logout", reason=reason))
    exchange.context.ender.end(session_ids, event).add_done_callback(done)
