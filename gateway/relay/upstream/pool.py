"""The servers of an upstream: which one gets a request, and when.

A server has a number of places: connections that are busy or are being opened. A client may hold
its share of them, and clients that wait get places in turn. If no server can be reached, a request
waits without a place, and the pool dials again, since servers restart.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe import causes
from gateway.relay.upstream.balancer import Balancer
from gateway.relay.upstream.health import HealthChecks
from gateway.relay.upstream.policy import Policy
from gateway.relay.upstream.queues import Queues
from gateway.relay.upstream.restarts import Restarts
from gateway.relay.upstream.server import Server, Waiter
from gateway.relay.upstream.streams import StreamPlaces

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection
    from gateway.relay.upstream.names import NamedServers


class Pool:
    """Gives connections to waiters: calls `send` with one, or `fail`."""

    def __init__(
        self,
        name: str,
        servers: Iterable[Server],
        *,
        host: bytes,
        places: int,
        share: int,
        connect_timeout: float,
        new_connection: Callable[[Server], UpstreamConnection],
        streams: StreamPlaces,
        policy: Policy | None = None,
        full: Refusal = refusals.BUSY,
        queue_size: float = math.inf,
        queue_timeout: float | None = None,
    ) -> None:
        """The servers, and how they are reached.

        name: the upstream's, for the log
        host: the upstream's own Host value
        places: how many requests each server gets at the same time
        share: how many of those that wait for a restart may be one client's (percent; see `Shares`)
        connect_timeout: for opening a connection (seconds)
        policy: how the servers share the requests, and what is done about failures
        streams: the places of event streams and tunnels
        full: the refusal of a request that gets no place
        queue_size: how many requests may wait for a place
        queue_timeout: for how long (seconds); `connect_timeout` by default
        """
        self.host = host
        self.policy = policy = policy or Policy()
        self._queues = Queues()
        self._restarts = Restarts(
            self._queues,
            self.acquire,
            try_for=connect_timeout if policy.try_for is None else policy.try_for,
            connect_timeout=connect_timeout,
            share=share,
        )
        self._balancer = Balancer(name, policy, self._restarts)
        self.health = None if policy.health is None else HealthChecks(name, policy.health)
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self._places = places
        self._share = share
        self._connect_timeout = connect_timeout
        self.streams = streams
        self.queue_refusals = 0  # requests that got no place, so far
        self._full = full
        self._queue_size = queue_size
        self._queue_timeout = queue_timeout or connect_timeout
        self._new_connection = new_connection
        self._dials: set[asyncio.Task[None]] = set()
        self.names: list[NamedServers] = []  # that are looked up again
        self._have(tuple(servers))

    def acquire(self, waiter: Waiter) -> None:
        """Give the waiter a connection.

        It is an idle one now, a new one soon, or one that becomes free. A request whose body has
        not begun gets none yet, so that many slow clients take no place.
        """
        if waiter.uploading and waiter.postpones():
            return
        server = self._only
        if server is None:
            chosen = self._balancer.choose(self.servers, waiter)
            if isinstance(chosen, Refusal):
                waiter.fail(chosen)
                return
            server = chosen
        busy, shares = server.load.busy, server.shares
        if busy < shares.crowded or shares.allows(waiter.network, busy):
            self._place(waiter, server)
        else:
            self._queue(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out of its queue."""
        self._queues.remove(waiter)

    def replace(self, waiter: Waiter, connection: UpstreamConnection) -> None:
        """Open a new connection in the place of one that was stale."""
        server = waiter.server
        assert server is not None
        if server.is_gone:
            self.release(connection, waiter, reusable=False)
            self.acquire(waiter)
            return
        connection.abort()
        self._dial_soon(waiter, server)

    def release(self, connection: UpstreamConnection, waiter: Waiter, *, reusable: bool) -> None:
        """Take back a connection and its place after an exchange."""
        server = waiter.server
        assert server is not None
        connection.exchange = None
        server.load.busy -= 1
        if server.shares.counts:
            server.shares.give_back(waiter.network, server.load.busy)
        if server.breaker is not None:
            self._balancer.ended(is_answered=waiter.is_answered)
        if reusable and connection.usable:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.abort()
        if self._queues.by_client and (waiting := self._next_waiting(server)) is not None:
            self._place(waiting, server)

    def becomes_stream(self, waiter: Waiter, connection: UpstreamConnection) -> Refusal | None:
        """Give the place of a request back: its answer is a stream, which takes another place.

        The refusal if there is none.
        """
        server = waiter.server
        assert server is not None
        refusal = self.streams.take(waiter)
        if refusal is None:
            server.connections.discard(connection)  # it holds no place there
            self._free(waiter, server)
        return refusal

    def release_stream(
        self, connection: UpstreamConnection, waiter: Waiter, *, reusable: bool
    ) -> None:
        """Take back a connection after a stream."""
        server = waiter.server
        assert server is not None
        self.streams.give_back(waiter)
        if connection.usable:
            server.connections.add(connection)
        # In its last moment it counts as a request, whose place is free then.
        server.load.busy += 1
        if server.shares.counts:
            server.shares.take(waiter.network)
        self.release(connection, waiter, reusable=reusable)

    @property
    def queued(self) -> int:
        """How many requests wait now."""
        return self._queues.size

    def change_servers(self, servers: Iterable[Server]) -> None:
        """Have other servers from now on, at least one. One that stays is the same object.

        Requests at a server that is gone finish there. Requests that wait get places at new ones.
        """
        before = self.servers
        self._have(tuple(servers))
        for server in set(before).difference(self.servers):
            server.retire()
        for server in set(self.servers).difference(before):
            server.load.start_slowly(time.monotonic())
            self._reached(server)

    def has_other_than(self, tried: frozenset[Server]) -> bool:
        """Whether there is a server that has not been tried."""
        return not tried.issuperset(self.servers)

    def may_repeat(self, waiter: Waiter) -> bool:
        """Whether a request that was sent in vain may be sent to another server.

        There has to be one, and the budget for retries must not be spent.
        """
        server = waiter.server
        assert server is not None
        requests = sum(server.requests for server in self.servers)
        if not self.has_other_than(waiter.tried) or not self.policy.budget.take(
            requests, time.monotonic()
        ):
            return False
        server.retries += 1
        return True

    def sweep(self, now: float) -> None:
        """Refuse waiters whose time is over, and let old errors fade.

        now: monotonic seconds
        """
        for name in self.names:
            name.sweep(now)
        if self.health is not None:
            self.health.sweep(self.servers, now)
        for server in self.servers:
            if server.load.errors:
                server.load.forget()
        for waiter in self._queues.late(now):
            self._refuse(waiter)

    def close(self) -> None:
        """Close idle connections, and stop dialling."""
        self._restarts.close()
        for name in self.names:
            name.close()
        if self.health is not None:
            self.health.close()
        for server in self.servers:
            server.discard_idle()
        for task in self._dials:
            task.cancel()

    def _have(self, servers: tuple[Server, ...]) -> None:
        self.servers = servers
        breaker, loads = self.policy.breaker, tuple(server.load for server in servers)
        # The only server needs no choice, unless the upstream may be left alone.
        is_simple = len(servers) == 1 and breaker is None and self.health is None
        self._only = servers[0] if is_simple else None
        # The only server restarts, whatever it takes: there is no other one that could serve.
        self._restarts.gives_up = len(servers) > 1 and self.policy.try_for is None
        for server in servers:
            server.join(loads, breaker)

    def _place(self, waiter: Waiter, server: Server) -> None:
        """Give the waiter a place, and a connection in it."""
        waiter.server = server
        server.requests += 1
        server.load.busy += 1
        if server.shares.counts:
            server.shares.take(waiter.network)
        if server.stale_until and self._needs_new(waiter, server):
            self._dial_soon(waiter, server)
            return
        while server.idle:
            connection = server.idle.pop()
            if connection.usable:
                waiter.send(connection)
                return
        self._dial_soon(waiter, server)

    def _needs_new(self, waiter: Waiter, server: Server) -> bool:
        """Whether the request needs a new connection.

        It would be lost on a stale one.
        """
        if time.monotonic() > server.stale_until:
            server.stale_until = 0.0
        if not server.stale_until or waiter.is_repeatable:
            return False
        if server.idle:
            server.idle.pop(0).abort()  # the new one takes its place
        return True

    def _dial_soon(self, waiter: Waiter, server: Server) -> None:
        """Open a new connection in the waiter's place."""
        server.dials += 1
        server.dialling.add(waiter)
        task = asyncio.get_running_loop().create_task(self._dial(waiter, server))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, waiter: Waiter, server: Server) -> None:
        connection = self._new_connection(server)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await server.connect(lambda: connection)
        except (OSError, TimeoutError) as error:
            self._undialled(waiter, server, error)
            self._have_next_dial(server)
            return
        except BaseException:
            self._give_up(waiter, server)
            connection.abort()
            raise
        server.dialling.discard(waiter)
        waiter.outage = None
        if waiter.waits:
            waiter.send(connection)
        else:
            connection.fresh = False
            self.release(connection, waiter, reusable=True)
        if self._restarts.since < math.inf:
            self._reached(server)

    def _undialled(self, waiter: Waiter, server: Server, error: OSError) -> None:
        """Try another server; after the last one, wait for a restart.

        Nothing has been sent yet.
        """
        cause = causes.cause(error)
        if causes.is_our_own(error):
            self._log.error("no connection can be made: %s", cause)
            self._give_up(waiter, server)
            if waiter.waits:
                waiter.fail(refusals.BUSY)
            return
        if waiter.outage is None:  # else the log has it already
            server.failed(cause, _refusal(error))
            self._balancer.ended()
        else:
            server.errors[refusals.UPSTREAM_REFUSED.reason] += 1
        self._give_up(waiter, server)
        if not waiter.waits:
            return
        waiter.tried |= {server}
        if self.has_other_than(waiter.tried):
            self.acquire(waiter)
        elif not self._restarts.have_wait(waiter, server, error):
            self._unreached(waiter, _refusal(error), server, cause)

    def _unreached(self, waiter: Waiter, refusal: Refusal, server: Server, cause: str) -> None:
        """Refuse a request that has tried all servers, `server` last."""
        if len(self.servers) > 1:
            refusal = self._balancer.down(self.servers, time.monotonic())
        waiter.unreached(refusal, server, cause)

    def _reached(self, server: Server) -> None:
        """Give the server's places to waiters: it can be reached."""
        self._restarts.end()
        while (waiter := self._next_waiting(server)) is not None:
            self._place(waiter, server)

    def _queue(self, waiter: Waiter) -> None:
        """Have the waiter wait for a place, or refuse it: too many wait."""
        size, queues, share = self._queue_size, self._queues, self._share
        if (
            waiter.outage is not None
            or size == math.inf
            or queues.have_room(waiter, places=int(size), share=share)
        ):
            self._wait(waiter)
        else:
            self.queue_refusals += 1
            waiter.fail(self._full if queues.size >= size else refusals.OVER_SHARE)

    def _wait(self, waiter: Waiter) -> None:
        outage = waiter.outage
        until = time.monotonic() + self._queue_timeout if outage is None else outage.until
        self._queues.add(waiter, until)

    def _free(self, waiter: Waiter, server: Server) -> None:
        """Give a place to the next waiter, or have it free."""
        server.load.busy -= 1
        if server.shares.counts:
            server.shares.give_back(waiter.network, server.load.busy)
        if self._queues.by_client and (waiting := self._next_waiting(server)) is not None:
            self._place(waiting, server)

    def _give_up(self, waiter: Waiter, server: Server) -> None:
        """Give back a place in which no connection could be opened."""
        server.dialling.discard(waiter)
        server.load.busy -= 1
        if server.shares.counts:
            server.shares.give_back(waiter.network, server.load.busy)

    def _have_next_dial(self, server: Server) -> None:
        """Give the place of a failed dial to a waiter, which finds out for itself.

        Those that wait for a restart have their turns (`_dial_again`).
        """
        waiting = self._next_waiting(server, in_outage=False)
        if waiting is not None:
            self._place(waiting, server)

    def _next_waiting(self, server: Server, *, in_outage: bool = True) -> Waiter | None:
        """The waiter that gets a free place, taken out of its queue.

        None at a server that is gone, and while it is ejected and another one is not.

        in_outage: whether those that wait for a restart get one, too
        """
        if server.is_gone:
            return None
        if server.load.ejected_until and self._has_healthy():
            return None
        return self._queues.take(server, in_outage=in_outage)

    def _has_healthy(self) -> bool:
        return any(not server.load.ejected_until for server in self.servers)

    def _refuse(self, waiter: Waiter) -> None:
        """Refuse a waiter whose time is over."""
        self.leave(waiter)
        if (outage := waiter.outage) is not None:
            self._unreached(waiter, refusals.UPSTREAM_REFUSED, outage.server, outage.cause)
            return
        self.queue_refusals += 1
        is_full = all(server.load.busy >= self._places for server in self.servers)
        waiter.fail(self._full if is_full else refusals.OVER_SHARE)


def _refusal(error: OSError) -> Refusal:
    """What a client gets if its request could not be sent for this reason."""
    silent = isinstance(error, TimeoutError)
    return refusals.UPSTREAM_SILENT if silent else refusals.UPSTREAM_REFUSED
