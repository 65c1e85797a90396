"""Collects the writes of one turn of the loop, and sends them at its end.

A write wakes the process that reads at the other end. Single writes, between the work on two
requests, wake it again and again; of writes that leave together, the first one wakes it for all.
Measured with `make bench` on two cores, the best of six bursts: 31.0 instead of 34.1 µs of CPU for
a request with a warm session.
"""

from __future__ import annotations

import asyncio

# Larger writes leave at once. So it is known whether the peer reads them before more is read for
# it, and they would gain nothing by waiting.
_LARGE_BYTES = 16384

# How many writes may wait: one read can hold hundreds of requests that are refused.
_MAX_WAITING = 256


class WriteBatch:
    """The writes of this turn, in order."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write in this turn. Call `flush` before you close the transport."""
        waiting = self._waiting
        if not waiting:
            self._loop.call_soon(self.flush)
        waiting.append((transport, data))
        if len(data) > _LARGE_BYTES or len(waiting) >= _MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write all that waits, but for transports that are closing by now."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
