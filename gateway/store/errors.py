"""The errors of the store, and the bound on waiting for it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import TypeVar

import hiredis
from redis.exceptions import RedisError

_log = logging.getLogger("gateway.store")

T = TypeVar("T")

# How Redis begins an error's text: MISCONF, OOM, READONLY, NOPERM and the like.
_CODE = re.compile("[A-Z]{2,20}")


class StoreUnavailable(Exception):
    """The store did not answer in time, or refused.

    Whether anything was done is unknown. It never means that the session does not exist: callers
    answer 503, not 401.
    """


class NewerSession(StoreUnavailable):
    """A newer gateway wrote the session, and can read it.

    So the user stays logged in.
    """


async def bounded(work: Awaitable[T], timeout: float) -> T:
    """The store's answer within `timeout` seconds, retries included.

    Raises `StoreUnavailable`.
    """
    try:
        async with asyncio.timeout(timeout):
            return await work
    except (RedisError, OSError, TimeoutError) as error:
        _log.warning("the store is unavailable: %s", error_text(error))
        raise StoreUnavailable from None


def error_text(error: BaseException) -> str:
    """An error's type and Redis' code, for a log.

    Its text may quote a command, and so a secret.
    """
    name = type(error).__name__
    if not isinstance(error, RedisError | hiredis.ReplyError):
        return name
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return f"{name} {code}" if _CODE.fullmatch(code) else name
