"""Measures the delay of the event loop: how late it does what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# How often it is measured, in seconds. It costs 10 µs each time.
_SECONDS = 0.05


class DelayMeter:
    """Measures for as long as it runs."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        """`tell` is called with each delay (seconds)."""
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        self._wait(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _SECONDS
        self._timer = loop.call_later(_SECONDS, self._measure, loop)

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tell(max(0.0, loop.time() - self._due))
        self._wait(loop)
