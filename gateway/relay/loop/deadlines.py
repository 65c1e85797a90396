"""Deadlines: numbers on connections, compared with the time by one timer.

So no request makes a timer. The clock's `now` moves with each tick: to read it costs an attribute,
and a deadline is kept to within one tick.
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

# In seconds. Timeouts are some seconds long, and a sweep over 10,000 connections costs 1-2 ms.
TICK = 0.5

_INT = struct.Struct("i")


class Watched(Protocol):
    """A connection as the clock sees it.

    `stall` holds the bytes that were unsent at the last tick, and by when some of them must leave.
    """

    deadline: float
    blocked: bool
    stall: tuple[int, float] | None
    transport: asyncio.Transport | None

    def expire(self) -> None:
        """End what the connection is doing: its time is over."""


class Clock:
    """Monotonic time in ticks, and the connections with deadlines."""

    def __init__(
        self, clients: Collection[Watched], write_timeout: float, seconds_per_byte: float
    ) -> None:
        """The clients' connections, and how slowly a peer may read.

        clients: all that are open now; connections to upstreams stand in `upstreams`
        write_timeout: how long a peer may read nothing (seconds)
        seconds_per_byte: how long a client may take for a byte; an upstream may take longer
        """
        self.now = time.monotonic()
        self.upstreams: set[Watched] = set()
        self.sweeps: list[Callable[[float], None]] = []  # called at each tick, with `now`
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
        """Expire connections whose time is over."""
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
        """Whether the peer reads too slowly.

        Each byte that it reads puts its deadline off by the time for a byte, and to no later than a
        whole write timeout from now. So progress counts, and the buffer need not become empty.
        """
        assert connection.transport is not None
        waiting, latest = untaken(connection.transport), now + self._write_timeout
        if connection.stall is None:
            connection.stall = (waiting, latest)
            return False
        before, due = connection.stall
        if waiting < before:
            due = min(due + (before - waiting) * seconds_per_byte, latest)
        connection.stall = (waiting, due)
        return now > due


def untaken(transport: asyncio.Transport) -> int:
    """How many bytes the peer has not read, with those in the kernel's buffer.

    Those in the transport alone stand still until the peer has read a third of the kernel's buffer,
    which may hold megabytes (tcp(7), `tcp_wmem`).
    """
    queued = bytearray(_INT.size)
    sock = transport.get_extra_info("socket")
    if sock is not None:  # below TLS it goes one turn of the loop before the connection is lost
        with suppress(OSError):  # it has just been closed
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int(_INT.unpack(queued)[0])
