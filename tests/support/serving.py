"""An aiohttp application that a test serves beside itself, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from aiohttp import web

from tests.support.processes import HANG


@contextlib.contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Its URL, on a free port of loopback. What is in flight at the end is cancelled."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        runner, stop = web.AppRunner(app, shutdown_timeout=0.1), asyncio.Event()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        started.set_result((f"http://127.0.0.1:{port}", asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    url, loop, stop = started.result(HANG)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(HANG)
