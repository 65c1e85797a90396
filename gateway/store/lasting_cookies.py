"""Lasting cookies: browsers keep them about as long as sessions last.

A session that is used ends later, so its cookie has to be set anew now and then. The record knows
until when the browser keeps it; a look-up that finds it due has the answer set it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from gateway.core.sessions.records import COOKIE_AT, OWN_HEAD_SIZE, OWN_VERSION
from gateway.core.sessions.session import Lifetimes, Session, cookie_end, is_cookie_due
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client

# KEYS: session. ARGV: the cookie's new end (UNIX seconds). The idle timeout stays.
_NOTE = f"""
local record = redis.call('GET', KEYS[1])
if not record or #record < {OWN_HEAD_SIZE} then return end
if string.byte(record, 1) ~= {OWN_VERSION} then return end
local noted = struct.unpack('>I4', string.sub(record, {COOKIE_AT}, {COOKIE_AT + 3}))
if noted < tonumber(ARGV[1]) then
  redis.call('SETRANGE', KEYS[1], {COOKIE_AT - 1}, struct.pack('>I4', tonumber(ARGV[1])))
end
"""


class LastingCookies:
    """Knows when the cookies of sessions in use are due, and notes new ends."""

    def __init__(
        self, client: Client, layout: Layout, lifetimes: Lifetimes, timeout: float
    ) -> None:
        """`timeout` bounds each of the store's answers, in seconds."""
        self._layout = layout
        self._lifetimes = lifetimes
        self._timeout = timeout
        self._script = client.register_script(_NOTE)
        self._tasks: set[asyncio.Task[None]] = set()

    def end_of(self, session: Session) -> int:
        """When a cookie that is set now has to end (UNIX seconds)."""
        return cookie_end(time.time(), self._lifetimes.idle_of(session.life), session.ends_at)

    def new_end(self, session: Session) -> int | None:
        """When the cookie of a session that is used now is to end (UNIX seconds).

        None if it need not be set anew.
        """
        idle = self._lifetimes.idle_of(session.life)
        return self.end_of(session) if is_cookie_due(session, time.time(), idle) else None

    def set_again(self, session: Session) -> int | None:
        """Note that a cookie is set again. Return how long it lasts (seconds).

        None if the session has no lasting cookie.
        """
        if not session.cookie_until:
            return None
        until = self.end_of(session)
        self.note(session.id, until)
        return max(1, until - int(time.time()))

    def note(self, session_id: str, until: int) -> None:
        """Note the new end of a cookie. After a failure the next look-up tries."""
        task = asyncio.get_running_loop().create_task(self._write(session_id, until))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, session_id: str, until: int) -> None:
        name = self._layout.session(session_id)
        with contextlib.suppress(StoreUnavailable):
            await bounded(self._script(keys=[name], args=[until]), self._timeout)
