"""Opens connections to servers, each in the place of a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection
    from gateway.relay.upstream.server import Server
    from gateway.relay.upstream.waiter import Waiter


_log = logging.getLogger("gateway.relay")


class Dialler:
    """Dials beside its caller, and tells how it went."""

    def __init__(
        self,
        new_connection: Callable[[Server], UpstreamConnection],
        timeout: float,
        *,
        opened: Callable[[Waiter, Server, UpstreamConnection], None],
        failed: Callable[[Waiter, Server, OSError], None],
    ) -> None:
        """How connections are opened, and for how long at most (`timeout`, in seconds)."""
        self._new_connection = new_connection
        self._timeout = timeout
        self._opened = opened
        self._failed = failed
        self._dials: set[asyncio.Task[None]] = set()

    def dial(self, waiter: Waiter, server: Server) -> None:
        """Open a new connection in the waiter's place."""
        server.dials += 1
        server.dialling.add(waiter)
        task = asyncio.get_running_loop().create_task(self._dial(waiter, server))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    def close(self) -> None:
        """Stop dialling."""
        for task in self._dials:
            task.cancel()

    async def _dial(self, waiter: Waiter, server: Server) -> None:
        connection = self._new_connection(server)
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    await server.connect(lambda: connection)
                finally:
                    server.dialling.discard(waiter)
        except OSError as error:
            self._failed(waiter, server, error)
        except Exception as error:
            # A fault of the gateway's own: no request waits for it for ever.
            _log.exception("a connection to %s cannot be opened", server.name)
            self._failed(waiter, server, ConnectionError(type(error).__name__))
        except BaseException:
            server.free_place(waiter)
            connection.abort()
            raise
        else:
            self._opened(waiter, server, connection)
