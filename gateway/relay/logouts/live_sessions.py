"""Ends tunnels, event streams and long downloads when their session ends.

Requests register nothing. At each tick of the clock, the exchanges in flight are compared with the
sessions that have changed in the store since the last tick. So a request pays nothing, and a logout
on any gateway ends the exchanges on this one within a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from gateway.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.relay.access.decision import Forward
    from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.relay")

# How often open exchanges are checked for activity, which keeps their sessions from being idle, in
# seconds; with a short idle timeout it is checked more often.
_ACTIVITY_SECONDS = 30.0
_LOOKS_PER_IDLE_TIMEOUT = 4


class OpenExchange(Protocol):
    """An exchange, as long as it is in flight."""

    forward: Forward | None  # the decision
    logs_out: bool  # its session ends with it

    @property
    def is_sent(self) -> bool:
        """Whether an upstream has the request, or a part of it."""

    @property
    def activity(self) -> tuple[int, int]:
        """The bytes that show a live client: received from it and delivered to it."""

    def session_ended(self) -> None:
        """End: the session has ended."""


class LiveSessions:
    """Watches the exchanges of one worker."""

    def __init__(
        self,
        exchanges: Callable[[], Iterable[OpenExchange]],
        sessions: Sessions,
        idle_timeout: float,
    ) -> None:
        """The exchanges to watch.

        exchanges: returns those in flight
        idle_timeout: after how long without a request a session ends (seconds)
        """
        self._look_every = min(_ACTIVITY_SECONDS, idle_timeout / _LOOKS_PER_IDLE_TIMEOUT)
        self._exchanges = exchanges
        self._sessions = sessions
        self._doubtful: set[str] = set()  # changed, and not yet looked up
        self._checking: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._moved: dict[OpenExchange, tuple[int, int]] = {}
        self._spared: set[OpenExchange] = set()  # whose answer may be what has ended their session

    def sweep(self, now: float) -> None:
        """Compare exchanges with changed sessions; `now` is monotonic seconds."""
        live, wall, changes = self._live(), time.time(), self._sessions.near.changes
        for exchange, session_id in live:
            if _ends_at(exchange) <= wall:
                _end(exchange)
            elif changes.all or session_id in changes.ids or _parent(exchange) in changes.ids:
                self._doubtful.add(session_id)
        changes.clear()
        if self._doubtful and self._checking is None:
            self._checking = asyncio.get_running_loop().create_task(self._check())
        if now - self._looked > self._look_every:
            self._looked = now
            self._keep_active(self._of_sessions())

    def stop(self) -> None:
        if self._checking is not None:
            self._checking.cancel()

    def _live(self) -> list[tuple[OpenExchange, str]]:
        """The exchanges that end with their sessions, and these sessions' ids."""
        return [pair for pair in self._of_sessions() if _ends_with_session(pair[0])]

    def _of_sessions(self) -> list[tuple[OpenExchange, str]]:
        """All exchanges of sessions, and these sessions' ids."""
        return [
            (exchange, session_id)
            for exchange in self._exchanges()
            if (session_id := _session_id(exchange)) is not None
        ]

    async def _check(self) -> None:
        """Ask the store which sessions still live.

        If it does not answer, none has ended.
        """
        asked, self._doubtful = self._doubtful, set()
        try:
            parents = {_parent(exchange) for exchange, _ in self._live()} - {""}
            living = await self._sessions.living(asked | parents) | {""}
            held = [
                (exchange, session_id)
                for exchange, session_id in self._live()
                if session_id in asked and not {session_id, _parent(exchange)} <= living
            ]
            self._end(held)
        except StoreUnavailable:
            self._doubtful |= asked  # until the next tick
        except Exception as error:
            _log.error("live sessions cannot be checked: %s", type(error).__name__)
        finally:
            self._checking = None

    def _end(self, held: Iterable[tuple[OpenExchange, str]]) -> None:
        """End exchanges with their sessions.

        Where replies are read whole, the endpoint ends the session that a reply logs out, while its
        answer is on the way. Such an exchange ends a tick later, if it is still there.
        """
        spared, self._spared = self._spared, set()
        for exchange, session_id in held:
            if exchange in spared or not _may_log_out(exchange):
                _end(exchange)
            else:
                self._spared.add(exchange)
                self._doubtful.add(session_id)

    def _keep_active(self, pairs: list[tuple[OpenExchange, str]]) -> None:
        """Touch the sessions of exchanges over which bytes have moved."""
        before, self._moved = self._moved, {exchange: exchange.activity for exchange, _ in pairs}
        for exchange, session_id in pairs:
            moves = exchange in before and before[exchange] != self._moved[exchange]
            if moves and _extends_session(exchange):
                self._sessions.touch(session_id)


def _end(exchange: OpenExchange) -> None:
    """End one exchange. If it fails, the others end all the same."""
    try:
        exchange.session_ended()
    except Exception as error:
        _log.error("an exchange did not end with its session: %s", type(error).__name__)


def _ends_with_session(exchange: OpenExchange) -> bool:
    forward = exchange.forward
    return forward is None or forward.route.action.close_on_logout or not exchange.is_sent


def _session_id(exchange: OpenExchange) -> str | None:
    """The id of the exchange's session, if it has one."""
    forward = exchange.forward
    if forward is None or forward.resolved is None:
        return None
    if exchange.logs_out:
        return None  # its own session ends by it
    return forward.resolved.session.id or None  # a caller with a JWT has none


def _parent(exchange: OpenExchange) -> str:
    """The id of the session that impersonates by the exchange's, or ""."""
    forward = exchange.forward
    session = None if forward is None or forward.resolved is None else forward.resolved.session
    return session.parent_id if session is not None and session.parent else ""


def _extends_session(exchange: OpenExchange) -> bool:
    return exchange.forward is not None and exchange.forward.route.action.extends_session


def _may_log_out(exchange: OpenExchange) -> bool:
    return exchange.forward is not None and exchange.forward.route.action.whole is not None


def _ends_at(exchange: OpenExchange) -> float:
    """When the session ends by itself, in UNIX seconds."""
    forward = exchange.forward
    return (
        math.inf
        if forward is None or forward.resolved is None
        else forward.resolved.session.ends_at
    )
