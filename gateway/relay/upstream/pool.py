"""Upstreams as the relay sees them: servers, their open connections, and who waits for one.

Each server has so many places: connections that are busy, or are being opened. One client gets no
more than its share of them, and of the clients that wait each gets a place in its turn. A request
that no server can be reached for waits as well, without a place, and is dialled again for: servers
restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.http import balancing, refusals
from gateway.core.http.balancing import Standing
from gateway.core.http.shares import Shares
from gateway.observe import causes

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.relay.upstream.connection import UpstreamConnection

# Opens a connection to one server.
Connect = Callable[[Callable[[], "UpstreamConnection"]], Awaitable[object]]

# How long a pool waits before it dials again (seconds): each time twice as long, up to a tenth of a
# second, so that a server's return is noticed at once as people see it.
_FIRST_PAUSE = 0.01
_MAX_PAUSE = 0.1

# For how long a server's kept connections are not trusted after one was stale (seconds): in so many
# minutes one request may be lost.
_STALE_SECONDS = 300.0

# How many requests may wait while no server of a pool can be reached: five seconds of 200 a second.
# Each may hold a read-ahead (64 KiB) of its body.
_MAX_UNREACHED = 1000


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a request waits for a server that cannot be reached, and until when.

    until: when it is refused (monotonic seconds)
    server: the one that was tried last
    cause: what was wrong there, for the log
    """

    until: float
    server: Server
    cause: str


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = (
        "connect",
        "connections",
        "dialling",
        "idle",
        "label",
        "shares",
        "stale_until",
        "standing",
    )

    shares: Shares  # set by its pool

    def __init__(self, name: str, connect: Connect) -> None:
        """`name` is what logs call it."""
        self.label = name.encode()
        self.connect = connect
        self.connections: set[UpstreamConnection] = set()  # that are open
        self.dialling: set[Exchange] = set()  # for which one is being opened
        self.idle: list[UpstreamConnection] = []
        self.standing = Standing()  # a place is taken by a connection that is being opened, too
        self.stale_until = 0.0  # so long kept connections may be stale (monotonic; 0: they are not)

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
        connect_timeout: for opening a connection, dialling again, or waiting for one (seconds)
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
        self._share = share
        self._connect_timeout = connect_timeout
        self._new_connection = new_connection
        self._turn = 0
        self._waiting: _Queues = OrderedDict()
        self._dials: set[asyncio.Task[None]] = set()
        self._pause = _FIRST_PAUSE
        self._redial: asyncio.TimerHandle | None = None  # while some wait for an unreached server

    def acquire(self, exchange: Exchange) -> None:
        """Gives the exchange a connection: an idle one now, a new one soon, or one that frees.

        A client that has sent a head alone takes none, so that many slow ones leave it to others.
        """
        if exchange.uploading and exchange.postpones():
            return
        server = self._only or self._pick(exchange)
        busy, shares = server.standing.busy, server.shares
        if busy < shares.crowded or shares.allows(exchange.network, busy):
            self._place(exchange, server)
        else:
            self._wait(exchange)

    def leave(self, exchange: Exchange) -> None:
        """Takes an exchange out of its queue: it has ended, or waits no more."""
        exchange.queued = None
        queue = self._waiting[exchange.network]
        del queue[exchange]
        if not queue:
            del self._waiting[exchange.network]

    def replace(self, exchange: Exchange, connection: UpstreamConnection) -> None:
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
        if reusable and connection.usable:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.abort()
        if self._waiting and (waiting := self._next_waiting(server)) is not None:
            self._place(waiting, server)

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

    def was_stale(self, server: Server, *, is_lost: bool) -> None:
        """A kept connection has ended under a request, which `is_lost` if it cannot be repeated.

        So the server keeps connections for less time than we do. For a while what cannot be
        repeated gets new ones.
        """
        server.stale_until = time.monotonic() + _STALE_SECONDS
        if is_lost:
            why = "closed a kept connection under a request (upstream_idle may be too long)"
            self._log.warning("upstream %s: %s: %s", self.name, server.label.decode(), why)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forgets an idle connection that its server has closed."""
        if connection in connection.server.idle:
            connection.server.idle.remove(connection)

    def sweep(self, now: float) -> None:
        """Refuses those that have waited too long; `now` is monotonic seconds. Errors fade."""
        for server in self.servers:
            if server.standing.errors:
                server.standing.forget()
        queues = list(self._waiting.values())
        late = [exchange for queue in queues for exchange, until in queue.items() if until < now]
        for exchange in late:
            self._refuse(exchange)

    def close(self) -> None:
        """Closes what is idle and stops what is being opened."""
        if self._redial is not None:
            self._redial.cancel()
        for server in self.servers:
            server.discard_idle()
        for task in self._dials:
            task.cancel()

    def _pick(self, exchange: Exchange) -> Server:
        self._turn += 1
        now, tried = time.monotonic(), exchange.tried
        servers = self.servers
        if tried:
            servers = tuple(server for server in servers if server not in tried)
        standings = [server.standing for server in servers]
        server = servers[balancing.pick(standings, self._turn, now)]
        if server.standing.ejected_until and not exchange.is_repeatable:
            # It would be lost if the server is not back.
            server = servers[balancing.pick(standings, self._turn, now, probes=False)]
        if server.standing.ejected_until:
            # This request finds out whether the server is back, over a connection of its own;
            # others go there when it has been answered.
            server.standing.eject(now)
            server.discard_idle()
        return server

    def _place(self, exchange: Exchange, server: Server) -> None:
        """Gives the exchange a place, and a connection in it."""
        server.standing.busy += 1
        if server.shares.counts:
            server.shares.take(exchange.network)
        if server.stale_until and self._needs_new(exchange, server):
            self._dial_soon(exchange, server)
            return
        while server.idle:
            connection = server.idle.pop()
            if connection.usable:
                exchange.begin(connection)
                return
        self._dial_soon(exchange, server)

    def _needs_new(self, exchange: Exchange, server: Server) -> bool:
        """Whether the request must have a new connection, since it would be lost on a stale one."""
        if time.monotonic() > server.stale_until:
            server.stale_until = 0.0
        if not server.stale_until or exchange.is_repeatable:
            return False
        if server.idle:
            server.idle.pop(0).abort()  # the new one takes its place
        return True

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
        exchange.outage = None
        if exchange.waits:
            exchange.begin(connection)
        else:
            connection.fresh = False
            self.release(connection, exchange, reusable=True)
        if self._redial is not None:
            self._reached(server)

    def _undialled(self, exchange: Exchange, server: Server, error: OSError) -> None:
        """Nothing has been sent, so any other server may be tried; then all of them again."""
        cause = causes.cause(error)
        if causes.is_our_own(error):
            self._log.error("no connection can be made: %s", cause)
            if exchange.waits:
                exchange.fail(refusals.BUSY)
            return
        if exchange.outage is None:  # else the log knows
            self.failed(server, cause)
        if not exchange.waits:
            return
        exchange.tried |= {server}
        if self.has_other_than(exchange.tried):
            self.acquire(exchange)
        elif isinstance(error, TimeoutError):
            exchange.unreached(refusals.UPSTREAM_SILENT, server, cause)
        elif not (causes.may_pass(error) and self._awaits_server(exchange, server, cause)):
            exchange.unreached(refusals.UPSTREAM_REFUSED, server, cause)

    def _awaits_server(self, exchange: Exchange, server: Server, cause: str) -> bool:
        """Whether the exchange waits for a server to be back, as far as there are time and room."""
        now = time.monotonic()
        until = now + self._connect_timeout if exchange.outage is None else exchange.outage.until
        if until < now or not self._has_room(exchange):
            return False
        exchange.outage = Outage(until, server, cause)
        exchange.tried = exchange.asked
        self._wait(exchange)
        if self._redial is None:
            self._redial_soon()
        return True

    def _has_room(self, exchange: Exchange) -> bool:
        """Whether one more may wait for a server to be back; no client takes all the room."""
        waiting = sum(map(len, self._waiting.values()))
        return Shares(_MAX_UNREACHED, self._share, self._waiters).allows(exchange.network, waiting)

    def _waiters(self) -> Iterator[str]:
        for client, queue in self._waiting.items():
            yield from [client] * len(queue)

    def _redial_soon(self) -> None:
        self._redial = asyncio.get_running_loop().call_later(self._pause, self._dial_again)

    def _dial_again(self) -> None:
        """Finds out, with one of those that wait, whether a server is back."""
        self._redial = None
        waiting = (exchange for queue in self._waiting.values() for exchange in queue)
        exchange = next((exchange for exchange in waiting if exchange.outage is not None), None)
        if exchange is None:
            self._pause = _FIRST_PAUSE
            return
        self._pause = min(2 * self._pause, _MAX_PAUSE)
        self._redial_soon()
        self.leave(exchange)
        self.acquire(exchange)

    def _reached(self, server: Server) -> None:
        """The server can be reached: those that wait get its places."""
        self._pause = _FIRST_PAUSE
        while (exchange := self._next_waiting(server)) is not None:
            self._place(exchange, server)

    def _wait(self, exchange: Exchange) -> None:
        outage = exchange.outage
        until = time.monotonic() + self._connect_timeout if outage is None else outage.until
        self._waiting.setdefault(exchange.network, {})[exchange] = until
        exchange.queued = self

    def _give_up(self, exchange: Exchange, server: Server) -> None:
        """Gives a place back in which no connection could be opened."""
        server.dialling.discard(exchange)
        server.standing.busy -= 1
        if server.shares.counts:
            server.shares.give_back(exchange.network, server.standing.busy)

    def _next_waiting(self, server: Server) -> Exchange | None:
        """Who gets a place that has become free: of each client one in its turn, but for those
        that have their share already. None, while the server is ejected and another one is not.
        """
        if server.standing.ejected_until and self._has_healthy():
            return None
        for _ in range(len(self._waiting)):
            client, queue = self._waiting.popitem(last=False)
            found = None
            if server.shares.allows(client, server.standing.busy):
                found = next((exchange for exchange in queue if server not in exchange.tried), None)
            self._waiting[client] = queue
            if found is not None:
                self.leave(found)
                return found
        return None

    def _has_healthy(self) -> bool:
        return any(not server.standing.ejected_until for server in self.servers)

    def _refuse(self, exchange: Exchange) -> None:
        """The exchange has waited in vain."""
        self.leave(exchange)
        if (outage := exchange.outage) is not None:
            exchange.unreached(refusals.UPSTREAM_REFUSED, outage.server, outage.cause)
            return
        is_full = all(server.standing.busy >= self._most for server in self.servers)
        exchange.fail(refusals.BUSY if is_full else refusals.OVER_SHARE)


# Who waits, by client, the next one first; each with the time until when (monotonic seconds).
_Queues = OrderedDict[str, dict["Exchange", float]]
