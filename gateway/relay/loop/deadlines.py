"""Deadlines: plain numbers on the connections, swept by one timer.

No request makes a timer of its own. The clock's `now` moves with each sweep, so reading it costs
an attribute; a deadline is kept to within one tick.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import struct
import termios
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Protocol

# Half a second: timeouts are counted in seconds, and a sweep over 10,000 connections costs 1-2 ms.
TICK = 0.5

_INT = struct.Struct("i")


class Watched(Protocol):
    """A connection as the sweeper sees it. `stall` is what was unsent, and by when some of that has
    to have left.
    """

    deadline: float
    blocked: bool
    stall: tuple[int, float] | None
    transport: asyncio.Transport | None

    def expire(self) -> None:
        """Ends what has run out of time."""


class Clock:
    """Coarse monotonic time, and all that has a deadline on it."""

    def __init__(
        self, clients: Collection[Watched], write_timeout: float, seconds_per_byte: float
    ) -> None:
        """Whose connections they are, and what a peer has to take of what is written to it.

        clients: the clients' connections, as they come and go; upstreams' are added to `upstreams`
        write_timeout: how long it may fall behind (seconds)
        seconds_per_byte: how long a client may take for a byte; an upstream may take longer
        """
        self.now = time.monotonic()
        self.upstreams: set[Watched] = set()
        self.sweeps: list[Callable[[float], None]] = []  # called with `now` at each tick
        self._clients = clients
        self._write_timeout = write_timeout
        self._seconds_per_byte = seconds_per_byte
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
        self._sweep(list(self._clients), now, self._seconds_per_byte)
        self._sweep(list(self.upstreams), now, math.inf)
        for sweep in self.sweeps:
            sweep(now)

    def _sweep(self, watched: Iterable[Watched], now: float, seconds_per_byte: float) -> None:
        for connection in watched:
            if connection.deadline < now:
                connection.deadline = math.inf
                connection.expire()
            elif connection.blocked and self._stalls(connection, now, seconds_per_byte):
                connection.expire()

    def _stalls(self, connection: Watched, now: float, seconds_per_byte: float) -> bool:
        """Whether the peer takes what is written to it too slowly, for the whole write timeout.

        Each byte that it takes puts the end off by the time that the byte may take, up to a whole
        timeout from now. What counts is progress, not emptiness.
        """
        assert connection.transport is not None
        waiting, latest = _untaken(connection.transport), now + self._write_timeout
        if connection.stall is None:
            connection.stall = (waiting, latest)
            return False
        before, due = connection.stall
        if waiting < before:
            due = min(due + (before - waiting) * seconds_per_byte, latest)
        connection.stall = (waiting, due)
        return now > due


def _untaken(transport: asyncio.Transport) -> int:
    """How many bytes the peer has not taken yet, those in the kernel among them.

    Of those alone that wait for the kernel, nothing moves for as long as it takes the peer to read
    a third of what the kernel has: up to a megabyte (tcp(7), `tcp_wmem`).
    """
    queued = bytearray(_INT.size)
    with suppress(OSError):  # it has just been closed
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int(_INT.unpack(queued)[0])
