"""Work that takes long, done beside the event loop: so others wait for moments of it at most.

A thread takes turns with the loop, 5 ms each (`sys.getswitchinterval`), but for calls into C. So
there is one thread, for which clients take turns in their turn.
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

# Whose request it is that the work is done for: a client's network, or nothing.
CLIENT: ContextVar[str] = ContextVar("client", default="")

_turns = FairQueue(at_once=1, waiting=sys.maxsize, share=sys.maxsize)


async def off_loop(
    is_long: bool,  # noqa: FBT001 (what follows are the arguments of the work)
    work: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """What `work` returns or raises; done in a thread if it takes long."""
    if not is_long:
        return work(*args, **kwargs)
    async with _turns.take([CLIENT.get()]):
        return await asyncio.to_thread(work, *args, **kwargs)
