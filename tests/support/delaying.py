"""A proxy in front of a server that passes bytes on late, in their order, or not at all."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Delaying:
    """Passes connections on to `target`, each piece of data after up to `delay` seconds."""

    target: int  # a port of loopback
    port: int = 0
    delay: float = 0.0
    refuses: bool = False  # new connections, as if the server were gone
    holds: bool = False  # whatever comes, as if the network had broken without a word
    _random: random.Random = field(default_factory=lambda: random.Random(10))
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _call: Callable[[Callable[[], None]], object] = field(default=lambda work: work())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Ends every connection that is open."""
        self._call(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            there, away = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, away}
        try:
            await asyncio.gather(self._pass(reader, away), self._pass(there, writer))
        finally:
            self._writers -= {writer, away}
            writer.close()
            away.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self._random.random() * self.delay)
                while self.holds:
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.contextmanager
def delaying(target: int) -> Iterator[Delaying]:
    """The proxy on a free port of loopback, in a thread of its own."""
    proxy = Delaying(target)
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        proxy._call = loop.call_soon_threadsafe
        started.set()
        await stop.wait()
        server.close()
        proxy._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # the aborted connections close in the next turns of the loop

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
