"""Work that takes long, done beside the event loop: so others wait for moments of it at most.

A thread takes turns with the loop, 5 ms each (`sys.getswitchinterval`), but for calls into C.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# One piece of work at a time: more threads would only take more turns from the loop.
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="off_loop")


async def off_loop(
    is_long: bool,  # noqa: FBT001 (what follows are the arguments of the work)
    work: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """What `work` returns or raises; done in a thread if it takes long."""
    if not is_long:
        return work(*args, **kwargs)
    future = _thread.submit(work, *args, **kwargs)
    return await asyncio.wrap_future(future)
