"""Upstreams as the relay sees them: servers, their open connections, and who waits for one."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from gateway.core import balancing, refusals
from gateway.core.balancing import Standing
from gateway.observe import causes

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.relay.upstream import UpstreamConnection

# Opens a connection to one server.
Connect = Callable[[Callable[[], "UpstreamConnection"]], Awaitable[object]]

# What this machine lacks, and no server is to blame for: descriptors, or memory.
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = ("connect", "idle", "label", "standing")

    def __init__(self, name: str, connect: Connect) -> None:
        """`name` is what logs call it."""
        self.label = name.encode()
        self.connect = connect
        self.idle: list[UpstreamConnection] = []
        self.standing = Standing()  # a connection that is being opened is busy

    def discard_idle(self) -> None:
        """Closes the connections that carry nothing."""
        for connection in self.idle:
            connection.abort()
        self.idle.clear()


class Pool:
    """The servers of one upstream. An exchange asks for a connection and gets `begin` or `fail`."""

    def __init__(
        self,
        name: str,
        servers: Iterable[Server],
        *,
        host: bytes,
        most: int,
        connect_timeout: float,
        idle_timeout: float,
        new_connection: Callable[[Server, Pool], UpstreamConnection],
    ) -> None:
        """`host` is the upstream's own Host value; `most` limits the connections per server;
        timeouts are in seconds.
        """
        self.name = name
        # By name, so that of a flood about one upstream nothing about others is left out.
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self.host = host
        self.idle_timeout = idle_timeout
        self.servers = tuple(servers)
        self._only = self.servers[0] if len(self.servers) == 1 else None
        self._most = most
        self._connect_timeout = connect_timeout
        self._new_connection = new_connection
        self._turn = 0
        self._waiting: deque[tuple[float, Exchange]] = deque()
        self._dials: set[asyncio.Task[None]] = set()

    def acquire(self, exchange: Exchange) -> None:
        """Gives the exchange a connection: an idle one now, a new one soon, or one that frees.

        A client that has sent a head alone takes none, so that many slow ones leave it to others.
        """
        if exchange.uploading and exchange.postpones():
            return
        server = self._only or self._pick(exchange.tried)
        while server.idle:
            connection = server.idle.pop()
            if connection.usable:
                server.standing.busy += 1
                exchange.begin(connection)
                return
        if server.standing.busy < self._most:
            self.dial(exchange, server)
        else:
            self._waiting.append((time.monotonic() + self._connect_timeout, exchange))

    def dial(self, exchange: Exchange, server: Server) -> None:
        """Opens a new connection for the exchange."""
        server.standing.busy += 1
        task = asyncio.get_running_loop().create_task(self._dial(exchange, server))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """Takes a connection back after its exchange."""
        server = connection.server
        while reusable and connection.usable and self._waiting:
            _, exchange = self._waiting.popleft()
            if exchange.waits:
                exchange.begin(connection)
                return
        server.standing.busy -= 1
        if reusable and connection.usable:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.abort()
            self._serve_waiting()

    def has_other_than(self, tried: frozenset[Server]) -> bool:
        """Whether a server is left to try."""
        return not tried.issuperset(self.servers)

    def answered(self, server: Server) -> None:
        """A server has answered over a new connection, so it is there (again)."""
        if server.standing.ejected_until:
            server.standing.reinstate()
            self._log.info("upstream %s: %s answers again", self.name, server.label.decode())

    def erred(self, server: Server) -> None:
        """A server has answered that it cannot; being quick at that must not make it popular."""
        server.standing.errors += 1

    def failed(self, server: Server, why: str) -> None:
        """A server has not answered: it is ejected, while there are others. The log says `why`."""
        name = server.label.decode()
        if self._only is not None or server.standing.ejected_until:
            self._log.warning("upstream %s: %s: %s", self.name, name, why)
            return
        server.standing.eject(time.monotonic())
        self._log.warning("upstream %s: %s is passed over for a while: %s", self.name, name, why)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forgets an idle connection that its server has closed."""
        if connection in connection.server.idle:
            connection.server.idle.remove(connection)

    def sweep(self, now: float) -> None:
        """Refuses those that have waited too long; `now` is monotonic seconds. Errors fade."""
        for server in self.servers:
            if server.standing.errors:
                server.standing.forget()
        while self._waiting and (self._waiting[0][0] < now or not self._waiting[0][1].waits):
            _, exchange = self._waiting.popleft()
            if exchange.waits:
                exchange.fail(refusals.BUSY)

    def close(self) -> None:
        """Closes what is idle and stops what is being opened."""
        for server in self.servers:
            server.discard_idle()
        for task in self._dials:
            task.cancel()

    def _pick(self, tried: frozenset[Server]) -> Server:
        self._turn += 1
        now = time.monotonic()
        servers = self.servers
        if tried:
            servers = tuple(server for server in servers if server not in tried)
        standings = [server.standing for server in servers]
        server = servers[balancing.pick(standings, self._turn, now)]
        if server.standing.ejected_until:
            # This request finds out whether the server is back, over a connection of its own;
            # others go there when it has been answered.
            server.standing.eject(now)
            server.discard_idle()
        return server

    async def _dial(self, exchange: Exchange, server: Server) -> None:
        connection = self._new_connection(server, self)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await server.connect(lambda: connection)
        except (OSError, TimeoutError) as error:
            server.standing.busy -= 1
            self._undialled(exchange, server, error)
            return
        except BaseException:
            server.standing.busy -= 1
            connection.abort()
            raise
        if exchange.waits:
            exchange.begin(connection)
        else:
            connection.fresh = False
            self.release(connection, reusable=True)

    def _undialled(self, exchange: Exchange, server: Server, error: OSError) -> None:
        """Nothing has been sent, so any other server may be tried; each is tried once."""
        cause = causes.cause(error)
        if error.errno in _OUR_OWN:
            self._log.error("no connection can be made: %s", cause)
            if exchange.waits:
                exchange.fail(refusals.BUSY)
            return
        self.failed(server, cause)
        if not exchange.waits:
            return
        exchange.tried |= {server}
        if self.has_other_than(exchange.tried):
            self.acquire(exchange)
        elif isinstance(error, TimeoutError):
            exchange.unreached(refusals.UPSTREAM_SILENT, server, cause)
        else:
            exchange.unreached(refusals.UPSTREAM_REFUSED, server, cause)

    def _serve_waiting(self) -> None:
        """A place has become free, although its connection has not."""
        while self._waiting:
            _, exchange = self._waiting.popleft()
            if exchange.waits:
                self.acquire(exchange)
                return
