"""Deadlines: plain numbers on the connections, swept by one timer.

No request makes a timer of its own. The clock's `now` moves with each sweep, so reading it costs
an attribute; a deadline is kept to within one tick.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.relay.client import ClientConnection
    from gateway.relay.upstream import UpstreamConnection

# Half a second: timeouts are counted in seconds, and a sweep over 10,000 connections costs 1-2 ms.
TICK = 0.5


class Watched(Protocol):
    """A connection as the sweeper sees it. `stall` is what was unsent, and since when."""

    deadline: float
    blocked: bool
    stall: tuple[int, float] | None
    transport: asyncio.Transport | None

    def expire(self) -> None:
        """Ends what has run out of time."""


class Clock:
    """Coarse monotonic time, and all that has a deadline on it."""

    def __init__(self, write_timeout: float) -> None:
        """`write_timeout`: how long a peer may take nothing of what is written to it, in s."""
        self.now = time.monotonic()
        self.clients: set[ClientConnection] = set()
        self.upstreams: set[UpstreamConnection] = set()
        self.sweeps: list[Callable[[float], None]] = []  # called with `now` at each tick
        self._write_timeout = write_timeout
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.tick()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def tick(self) -> None:
        """Ends what has run out of time."""
        self._timer = asyncio.get_running_loop().call_later(TICK, self.tick)
        now = self.now = time.monotonic()
        watched: list[Watched] = [*self.clients, *self.upstreams]
        for connection in watched:
            if connection.deadline < now:
                connection.deadline = math.inf
                connection.expire()
            elif connection.blocked and self._stalls(connection, now):
                connection.expire()
        for sweep in self.sweeps:
            sweep(now)

    def _stalls(self, connection: Watched, now: float) -> bool:
        """Whether the peer has taken nothing for the whole write timeout.

        A slow reader is not a stalled one: what counts is progress, not emptiness.
        """
        assert connection.transport is not None
        waiting = connection.transport.get_write_buffer_size()
        if connection.stall is None or connection.stall[0] != waiting:
            connection.stall = (waiting, now)
            return False
        return now - connection.stall[1] > self._write_timeout
