"""Ends a function that runs for too long.

A signal interrupts it (setitimer(2)), since an event loop that waits for a function can do nothing
about it. Python takes signals between two steps of its own code, and inside regular expressions: a
single call into other C code is not interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

R = TypeVar("R")

# A rule takes some microseconds, and all requests of the worker wait for it.
MAX_SECONDS = 1.0


class TookTooLong(BaseException):
    """The function has been ended.

    It is no `Exception`, so the function does not catch it by chance.
    """


class TimeLimit:
    """Runs functions in the main thread of a process, one at a time."""

    def __init__(self, seconds: float = MAX_SECONDS) -> None:
        """`seconds` is what each of them may take."""
        self._seconds = seconds
        self._is_running = False
        signal.signal(signal.SIGALRM, self._end)

    def run(self, function: Callable[[], R]) -> R:
        """What the function returns. Raises what it raises, and `TookTooLong`."""
        self._is_running = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            return function()
        finally:
            self._is_running = False  # first: a signal may come before the timer has been stopped
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_running:
            raise TookTooLong(f"ended after {self._seconds:g} s")
