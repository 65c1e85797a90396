"""The listeners of one worker: how connections are accepted, and what they are for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from gateway.core.http.addresses import BACKLOG, Entrance
from gateway.relay.access.redirects import Redirects
from gateway.relay.client.acceptor import Acceptor
from gateway.relay.client.certificates import Certificates
from gateway.relay.client.connection import ClientConnection
from gateway.relay.client.opening import OpeningContext, OpeningCounts
from gateway.relay.client.registered import Clients
from gateway.relay.exchange.context import Context

# How often the files of certificates are looked at, in seconds.
_LOOK_SECONDS = 5.0

# How many waiting connections of a listener are still taken when it stops: its queue, and those
# that come meanwhile.
_MAX_TAKEN_AT_STOP = 2 * BACKLOG


class Listening:
    """Accepts connections on the worker's listeners.

    uvloop accepts where requests come at once, and an `Acceptor` where a PROXY header or TLS comes
    before.
    """

    def __init__(self, context: Context, clients: Clients) -> None:
        self.openings = OpeningCounts()
        self.certificates: Mapping[Entrance, Certificates] = {}
        self._contexts = [context]
        self._clients = clients
        self._servers: list[asyncio.Server | Acceptor] = []
        self._waiting: list[tuple[socket.socket, Callable[[socket.socket], Awaitable[None]]]] = []
        self._looked = 0.0

    async def listen(self, listener: socket.socket, entrance: Entrance) -> None:
        """Accept on a bound socket."""
        context = self._context_of(entrance)
        if entrance.certificates or entrance.proxy_protocol:
            certificates = self.certificates[entrance] if entrance.certificates else None
            shared = OpeningContext(entrance, certificates, context, self._clients, self.openings)
            acceptor = Acceptor(listener, shared)
            acceptor.start()
            self._servers.append(acceptor)
            self._waiting.append((listener, acceptor.take_waiting))
            return

        def new_client() -> ClientConnection:
            return ClientConnection(context, self._clients)

        async def take(sock: socket.socket) -> None:
            await context.loop.connect_accepted_socket(new_client, sock)

        create: Callable[..., Awaitable[asyncio.Server]] = (
            context.loop.create_unix_server
            if listener.family == socket.AF_UNIX
            else context.loop.create_server
        )
        self._servers.append(await create(new_client, sock=listener, backlog=BACKLOG))
        self._waiting.append((listener, take))

    def drain(self) -> None:
        """Let each answer say that its connection ends with it."""
        for context in self._contexts:
            context.draining = True

    async def stop(self) -> None:
        """Close the listeners, after accepting the connections in their queues.

        A worker's successor shares the sockets, and may accept them first.
        """
        for listener, take in self._waiting:
            with contextlib.suppress(OSError):
                for _ in range(_MAX_TAKEN_AT_STOP):
                    connection, _ = listener.accept()
                    connection.setblocking(False)  # noqa: FBT003 (the socket API's own)
                    await take(connection)
        for server in self._servers:
            server.close()

    def sweep(self, now: float) -> None:
        """Look for changed certificates from time to time; `now` is monotonic seconds."""
        if self.certificates and now - self._looked > _LOOK_SECONDS:
            self._looked = now
            for certificates in self.certificates.values():
                certificates.look_for_changes()

    def _context_of(self, entrance: Entrance) -> Context:
        """The context of requests: that of the relay, or one that redirects them."""
        if not entrance.redirect:
            return self._contexts[0]
        context = replace(self._contexts[0], decide=Redirects(entrance.redirect).decide)
        self._contexts.append(context)
        return context
