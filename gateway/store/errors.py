"""What the store can fail with, and how long it is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from redis.exceptions import RedisError

_log = logging.getLogger("gateway.store")

T = TypeVar("T")


class StoreUnavailable(Exception):
    """The store did not answer in time, or refused: nothing is known, and nothing is certain.

    Never "the session does not exist": callers answer 503, not 401.
    """


class NewerSession(StoreUnavailable):
    """A newer gateway wrote the session: that one can read it, so nobody is logged out."""


async def bounded(work: Awaitable[T], timeout: float) -> T:
    """What the store answers, retries included, within a time in seconds.

    Raises `StoreUnavailable`.
    """
    try:
        async with asyncio.timeout(timeout):
            return await work
    except (RedisError, OSError, TimeoutError) as error:
        _log.warning("the store is unavailable: %s", type(error).__name__)
        raise StoreUnavailable from None
