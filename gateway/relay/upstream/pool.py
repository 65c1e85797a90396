"""Upstreams as the relay sees them: servers, their open connections, and who waits for one.

Each server has so many places: connections that are busy, or are being opened. One client gets no
more than its share of them, and of the clients that wait each gets a place in its turn.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from gateway.core.http import balancing, refusals
from gateway.core.http.balancing import Standing
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.observe import causes

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.relay.upstream.connection import UpstreamConnection

# Opens a connection to one server.
Connect = Callable[[Callable[[], "UpstreamConnection"]], Awaitable[object]]

# What this machine lacks, and no server is to blame for: descriptors, or memory.
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = ("connect", "connections", "dialling", "idle", "label", "shares", "standing")

    shares: Shares  # set by its pool

    def __init__(self, name: str, connect: Connect) -> None:
        """`name` is what logs call it."""
        self.label = name.encode()
        self.connect = connect
        self.connections: set[UpstreamConnection] = set()  # that are open
        self.dialling: set[Exchange] = set()  # for which one is being opened
        self.idle: list[UpstreamConnection] = []
        self.standing = Standing()  # a place is taken by a connection that is being opened, too

    def holders(self) -> Iterable[str]:
        """The clients that hold its places."""
        for connection in self.connections:
            if connection.exchange is not None:
                yield connection.exchange.network
        for exchange in self.dialling:
            yield exchange.network

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
        share: int,
        connect_timeout: float,
        idle_timeout: float,
        new_connection: Callable[[Server, Pool], UpstreamConnection],
    ) -> None:
        """What is an upstream's, and how it is reached.

        host: the upstream's own Host value
        most: places of each server
        share: how many of them one client may hold (percent; see `Shares`)
        connect_timeout: for opening a connection, or waiting for one (seconds)
        idle_timeout: for which a connection is kept (seconds)
        """
        self.name = name
        # By name, so that of a flood about one upstream nothing about others is left out.
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self.host = host
        self.idle_timeout = idle_timeout
        self.servers = tuple(servers)
        self._only = self.servers[0] if len(self.servers) == 1 else None
        for server in self.servers:
            server.shares = Shares(most, share, server.holders)
        self._most = most
        self._connect_timeout = connect_timeout
        self._new_connection = new_connection
        self._turn = 0
        self._waiting: _Queues = OrderedDict()
        self._dials: set[asyncio.Task[None]] = set()

    def acquire(self, exchange: Exchange) -> None:
        """Gives the exchange a connection: an idle one now, a new one soon, or one that frees.

        A client that has sent a head alone takes none, so that many slow ones leave it to others.
        """
        if exchange.uploading and exchange.postpones():
            return
        server = self._only or self._pick(exchange.tried)
        busy, shares = server.standing.busy, server.shares
        if busy < shares.crowded or shares.allows(exchange.network, busy):
            self._place(exchange, server)
        else:
            queue = self._waiting.setdefault(exchange.network, deque())
            queue.append((time.monotonic() + self._connect_timeout, exchange))

    def redial(self, exchange: Exchange, connection: UpstreamConnection) -> None:
        """Opens a new connection in the place of one that was stale."""
        connection.abort()
        self._dial_soon(exchange, connection.server)

    def release(
        self, connection: UpstreamConnection, exchange: Exchange, *, reusable: bool
    ) -> None:
        """Takes a connection back after its exchange, and the place with it."""
        server = connection.server
        connection.exchange = None
        server.standing.busy -= 1
        if server.shares.counts:
            server.shares.give_back(exchange.network, server.standing.busy)
        next_one = self._next_waiting(server) if self._waiting else None
        if not (reusable and connection.usable):
            connection.abort()
            if next_one is not None:
                self._place(next_one, server)
        elif next_one is not None:
            self._take(next_one, server)
            next_one.begin(connection)
        else:
            connection.rest()
            server.idle.append(connection)

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
        for client, queue in list(self._waiting.items()):
            while queue and (queue[0][0] < now or not queue[0][1].waits):
                _, exchange = queue.popleft()
                if exchange.waits:
                    exchange.fail(self._why_none())
            if not queue and self._waiting.get(client) is queue:
                del self._waiting[client]

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

    def _place(self, exchange: Exchange, server: Server) -> None:
        """Gives the exchange a place, and a connection in it."""
        self._take(exchange, server)
        while server.idle:
            connection = server.idle.pop()
            if connection.usable:
                exchange.begin(connection)
                return
        self._dial_soon(exchange, server)

    def _dial_soon(self, exchange: Exchange, server: Server) -> None:
        """Opens a new connection in the exchange's place."""
        server.dialling.add(exchange)
        task = asyncio.get_running_loop().create_task(self._dial(exchange, server))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, exchange: Exchange, server: Server) -> None:
        connection = self._new_connection(server, self)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await server.connect(lambda: connection)
        except (OSError, TimeoutError) as error:
            self._give_up(exchange, server)
            self._undialled(exchange, server, error)
            return
        except BaseException:
            self._give_up(exchange, server)
            connection.abort()
            raise
        server.dialling.discard(exchange)
        if exchange.waits:
            exchange.begin(connection)
        else:
            connection.fresh = False
            self.release(connection, exchange, reusable=True)

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

    def _take(self, exchange: Exchange, server: Server) -> None:
        server.standing.busy += 1
        if server.shares.counts:
            server.shares.take(exchange.network)

    def _give_up(self, exchange: Exchange, server: Server) -> None:
        """Gives a place back in which no connection could be opened."""
        server.dialling.discard(exchange)
        server.standing.busy -= 1
        if server.shares.counts:
            server.shares.give_back(exchange.network, server.standing.busy)

    def _next_waiting(self, server: Server) -> Exchange | None:
        """Who gets a place that has become free: of each client one in its turn, but for those
        that have their share already.
        """
        for _ in range(len(self._waiting)):
            client, queue = self._waiting.popitem(last=False)
            while queue and not queue[0][1].waits:
                queue.popleft()
            if not queue:
                continue
            found = None
            if server.shares.allows(client, server.standing.busy):
                _, found = queue.popleft()
            if queue:
                self._waiting[client] = queue
            if found is not None:
                return found
        return None

    def _why_none(self) -> Refusal:
        """Why an exchange has waited in vain."""
        is_full = all(server.standing.busy >= self._most for server in self.servers)
        return refusals.BUSY if is_full else refusals.OVER_SHARE


# Who waits, with the time until when (monotonic seconds): by client, the next one first.
_Queues = OrderedDict[str, deque[tuple[float, "Exchange"]]]
