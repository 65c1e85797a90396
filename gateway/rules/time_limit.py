"""Ends a function that runs for too long.

A signal interrupts it (setitimer(2)), since an event loop that waits for a function can do nothing
about it. Python takes signals between two steps of its own code, and inside regular expressions: a
single call into other C code is not interrupted.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, Self, TypeVar

R = TypeVar("R")

_log = logging.getLogger("gateway.rules")

# A rule takes some microseconds, and all requests of the worker wait for it.
MAX_SECONDS = 1.0

# A function may swallow an interruption (`except BaseException` in a loop), or Python may (in a
# `__del__`). So it is interrupted again, and ends its process if it goes on for another second.
_AGAIN_SECONDS = 0.05
MAX_INTERRUPTIONS = 20


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
        self._interruptions = 0  # of the function that runs, or ran last
        self._latest: TookTooLong | None = None
        self._handler_before = signal.signal(signal.SIGALRM, self._interrupt)

    def __enter__(self) -> Self:
        """From the constructor to the end of the `with`, the signal is that of this limit."""
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGALRM, self._handler_before)

    def run(self, function: Callable[[], R]) -> R:
        """Call the function, and return its result. Raises what it raises, and `TookTooLong`."""
        self._interruptions, self._latest = 0, None
        self._is_running = True
        before = signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN_SECONDS)
        try:
            answer = function()
        finally:
            self._is_running = False  # first: a signal may come before the timer has been stopped
            signal.setitimer(signal.ITIMER_REAL, *before)
        if self._latest is not None:  # the function has caught it
            raise self._latest
        return answer

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        if not self._is_running or frame is None or frame.f_code is TimeLimit.run.__code__:
            return  # the timer is about to be stopped
        self._interruptions += 1
        if self._interruptions > MAX_INTERRUPTIONS:
            _end_process(frame)
        self._latest = TookTooLong(f"ended after {self._seconds:g} s")
        raise self._latest


def _end_process(frame: FrameType) -> NoReturn:
    """The process would do nothing else any more."""
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    _log.critical("%s cannot be interrupted, and its process ends: does it catch all?", place)
    os._exit(1)
