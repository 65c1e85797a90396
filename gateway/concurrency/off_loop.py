"""Long work in a thread, so that other requests wait for moments at most.

A thread takes turns with the event loop, 5 ms each (`sys.getswitchinterval`), but for calls into C.
So there is one thread, and clients queue for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from gateway.concurrency.fair_queue import FairQueue

P = ParamSpec("P")
T = TypeVar("T")

# The network of the client whose request the work is done for, or nothing.
CLIENT: ContextVar[str] = ContextVar("client", default="")

_turns = FairQueue(at_once=1, waiting=sys.maxsize, share=sys.maxsize)


async def off_loop(
    is_long: bool,  # noqa: FBT001 (what follows are the arguments of the work)
    work: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work`, in a thread if it takes long. Returns or raises as it does."""
    if not is_long:
        return work(*args, **kwargs)
    async with _turns.take([CLIENT.get()]):
        return await asyncio.to_thread(work, *args, **kwargs)
