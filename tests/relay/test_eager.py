"""Coroutines that are driven by hand."""

import asyncio
from typing import Any

import pytest

from gateway.relay.loop import eager


class Ends:
    """Collects how a coroutine ended."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

    def done(self, value: Any) -> None:
        self.value = value

    def failed(self, error: BaseException) -> None:
        self.error = error


async def twice(first: "asyncio.Future[int]", second: "asyncio.Future[int]") -> int:
    return await first + await second


async def test_one_that_does_not_wait_ends_at_once() -> None:
    """Its value comes back, or its exception."""

    async def value() -> int:
        return 7

    async def fault() -> int:
        raise KeyError

    assert eager.begin(value()) == 7
    with pytest.raises(KeyError):
        eager.begin(fault())


async def test_one_that_waits_goes_on_with_its_futures() -> None:
    """Through several of them, without a task."""
    loop, ends = asyncio.get_running_loop(), Ends()
    first, second = loop.create_future(), loop.create_future()
    suspended = eager.begin(twice(first, second))
    assert isinstance(suspended, eager.Suspended)
    suspended.then(ends.done, ends.failed)
    tasks = len(asyncio.all_tasks())
    first.set_result(3)
    await asyncio.sleep(0)
    assert ends.value is None
    second.set_result(4)
    await asyncio.sleep(0)
    assert ends.value == 7
    assert len(asyncio.all_tasks()) == tasks


async def test_a_future_that_fails() -> None:
    """Its exception is raised where the coroutine waits."""
    loop, ends = asyncio.get_running_loop(), Ends()
    first = loop.create_future()
    suspended = eager.begin(twice(first, first))
    assert isinstance(suspended, eager.Suspended)
    suspended.then(ends.done, ends.failed)
    first.set_exception(KeyError())
    await asyncio.sleep(0)
    assert isinstance(ends.error, KeyError)


async def test_cancelling() -> None:
    """The coroutine can clean up, and `failed` gets the error."""
    loop, ends, cleaned = asyncio.get_running_loop(), Ends(), []
    future = loop.create_future()

    async def waits() -> None:
        try:
            await future
        finally:
            cleaned.append(True)

    suspended = eager.begin(waits())
    assert isinstance(suspended, eager.Suspended)
    suspended.then(ends.done, ends.failed)
    suspended.cancel()
    await asyncio.sleep(0)
    assert cleaned == [True]
    assert isinstance(ends.error, asyncio.CancelledError)
