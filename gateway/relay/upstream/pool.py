"""The servers of an upstream: which one gets a request, and when.

A server has a number of places: connections that are busy or are being opened. A client may hold
its share of them, and clients that wait get places in turn. If no server can be reached, a request
waits without a place, and the pool dials again, since servers restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe import causes
from gateway.relay.upstream.balancer import Balancer
from gateway.relay.upstream.dialler import Dialler
from gateway.relay.upstream.health import HealthChecks
from gateway.relay.upstream.policy import Policy
from gateway.relay.upstream.queues import Queues
from gateway.relay.upstream.restarts import Restarts
from gateway.relay.upstream.server import Request, Server, Waiter
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
        connect_timeout: float,
        new_connection: Callable[[Server], UpstreamConnection],
        streams: StreamPlaces,
        queues: Queues,
        policy: Policy | None = None,
    ) -> None:
        """The servers, and how they are reached.

        name: the upstream's, for the log
        host: the upstream's own Host value
        places: how many requests each server gets at the same time
        connect_timeout: for opening a connection (seconds)
        streams: the places of event streams and tunnels
        queues: of requests that wait for a place
        policy: how the servers share the requests, and what is done about failures
        """
        self.host = host
        self.policy = policy = policy or Policy()
        self.streams = streams
        self.health: HealthChecks | None = None
        if policy.health is not None:
            self.health = HealthChecks(name, policy.health, self._decide_choice)
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self._places = places
        self._queues = queues
        self._waiting = queues.by_client
        self._restarts = Restarts(
            queues,
            self.acquire,
            try_for=connect_timeout if policy.try_for is None else policy.try_for,
            connect_timeout=connect_timeout,
        )
        self._balancer = Balancer(name, policy, self._restarts)
        self._dialler = Dialler(
            new_connection, connect_timeout, opened=self._dialled, failed=self._dial_failed
        )
        self.names: list[NamedServers] = []  # that are looked up again
        self._have(tuple(servers))

    def acquire(self, waiter: Waiter, server: Server | None = None) -> None:
        """Give the waiter a connection.

        It is an idle one now, a new one soon, or one that becomes free. A request whose body has
        not begun gets none yet, so that many slow clients take no place.

        server: the one that has a place for it; otherwise one is chosen
        """
        if server is None:
            if waiter.uploading and waiter.postpones():
                return
            server = self._only or self._chosen(waiter)
            if server is None:
                return
        load, shares = server.load, server.shares
        busy = load.busy
        if busy >= shares.crowded and not shares.allows(waiter.network, busy):
            self._queues.admit(waiter)
            return
        waiter.server = server
        server.requests += 1
        load.busy = busy + 1
        if shares.counts:
            shares.take(waiter.network)
        if not (server.stale_until and server.needs_new(waiter)):
            idle = server.idle
            while idle:
                connection = idle.pop()
                if connection.usable:
                    waiter.send(connection)
                    return
        self._dialler.dial(waiter, server)

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
        self._dialler.dial(waiter, server)

    def release(self, connection: UpstreamConnection, waiter: Waiter, *, reusable: bool) -> None:
        """Take back a connection and its place after an exchange."""
        server = waiter.server
        assert server is not None
        load = server.load
        load.busy -= 1
        if server.shares.counts:
            server.shares.give_back(waiter.network, load.busy)
        breaker = server.breaker
        if breaker is not None and not breaker.is_calm:
            self.ended(connection, is_answered=waiter.is_answered)
        if reusable and connection.usable:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.exchange = None
            connection.abort()
        if self._waiting:
            self._give_to_next(server)

    def becomes_stream(self, waiter: Waiter, connection: UpstreamConnection) -> Refusal | None:
        """Give the place of a request back: its answer is a stream, which takes another place.

        The refusal if there is none.
        """
        server = waiter.server
        assert server is not None
        refusal = self.streams.take(waiter)
        if refusal is None:
            server.connections.discard(connection)  # it holds no place there
            server.free_place(waiter)
            self._give_to_next(server)
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
    def queue_refusals(self) -> int:
        """How many requests got no place, so far."""
        return self._queues.refused

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
            self._restarts.end()
            self._give_all(server)

    def has_other_than(self, tried: frozenset[Server]) -> bool:
        """Whether there is a server that has not been tried."""
        return not tried.issuperset(self.servers)

    def may_repeat(self, waiter: Waiter) -> bool:
        """Whether a request that was sent in vain may be sent to another server."""
        has_other = self.has_other_than(waiter.tried)
        return has_other and self._balancer.may_repeat(self.servers, waiter)

    @property
    def try_for(self) -> float:
        """How long a request waits while no server can be reached (seconds)."""
        return self._restarts.try_for

    def choose(self, request: Request) -> Server | Refusal:
        """The server that gets a request, or why none does."""
        return self._balancer.choose(self.servers, request)

    def dial_failed(self, request: Request, server: Server, error: OSError) -> None:
        """Note that a request could not be sent to a server."""
        if request.outage is None:  # else the log has it already
            server.failed(request, causes.cause(error), _refusal(error))
        else:
            server.errors[refusals.UPSTREAM_REFUSED.reason] += 1

    def none_reached(self, request: Request) -> None:
        """Note that a request has tried all servers in vain."""
        self._restarts.none_reached(request, time.monotonic())

    def reached(self, server: Server) -> None:
        """Note that a server can be reached: requests that wait for that get its places."""
        if self._restarts.all_are_away:
            self._restarts.end()
            self._give_all(server)

    def ended(self, request: object, *, is_answered: bool) -> None:
        """Tell the breaker that a request has ended, by an answer or without one."""
        self._balancer.ended(request, is_answered=is_answered)
        self._decide_choice()

    def unreachable(self, error: OSError) -> Refusal:
        """The refusal of a request that has reached no server, for this reason at the last one."""
        if len(self.servers) > 1:
            return self._balancer.down(self.servers, time.monotonic())
        return _refusal(error)

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
        self._dialler.close()

    def _have(self, servers: tuple[Server, ...]) -> None:
        self.servers = servers
        breaker, loads = self.policy.breaker, tuple(server.load for server in servers)
        self._decide_choice()
        # The only server restarts, whatever it takes: no other one could serve. Several are down.
        self._restarts.gives_up = len(servers) > 1 and self.policy.try_for is None
        for server in servers:
            server.join(loads, breaker)

    def _decide_choice(self) -> None:
        """Decide whether servers have to be chosen from now on.

        The only one gets each request, while the upstream is not left alone.
        """
        breaker = self.policy.breaker
        only = self.servers[0] if len(self.servers) == 1 else None
        is_closed = breaker is None or not breaker.open_until
        self._only = only if only and is_closed and not only.load.is_unhealthy else None

    def _chosen(self, waiter: Waiter) -> Server | None:
        """The server that gets the request. None if it is refused."""
        chosen = self.choose(waiter)
        if isinstance(chosen, Refusal):
            waiter.fail(chosen)
            return None
        return chosen

    def _dialled(self, waiter: Waiter, server: Server, connection: UpstreamConnection) -> None:
        """Send the waiter's request over a new connection."""
        waiter.outage = None
        if waiter.waits:
            waiter.send(connection)
        else:
            connection.fresh = False
            self.release(connection, waiter, reusable=True)
        self.reached(server)

    def _dial_failed(self, waiter: Waiter, server: Server, error: OSError) -> None:
        """Have the waiter go on, and give its place to the next one, which finds out for itself.

        Those that wait for a restart have their turns (`Restarts`).
        """
        self._undialled(waiter, server, error)
        self._give_to_next(server, in_outage=False)

    def _undialled(self, waiter: Waiter, server: Server, error: OSError) -> None:
        """Try another server; after the last one, wait for a restart.

        Nothing has been sent yet.
        """
        cause = causes.cause(error)
        if causes.is_our_own(error):
            self._log.error("no connection can be made: %s", cause)
            server.free_place(waiter)
            if waiter.waits:
                waiter.fail(refusals.BUSY)
            return
        self.dial_failed(waiter, server, error)
        self.ended(waiter, is_answered=False)
        server.free_place(waiter)
        if not waiter.waits:
            return
        waiter.tried |= {server}
        if self.has_other_than(waiter.tried):
            self.acquire(waiter)
        elif not self._restarts.have_wait(waiter, server, error):
            waiter.unreached(self.unreachable(error), server, cause)

    def _give_all(self, server: Server) -> None:
        """Give the server's free places to waiters."""
        while self._give_to_next(server):
            pass

    def _give_to_next(self, server: Server, *, in_outage: bool = True) -> bool:
        """Give a free place of the server to the next waiter. False if none gets one.

        in_outage: whether those that wait for a restart get one, too
        """
        if not server.takes_waiting:
            return False
        waiter = self._queues.take(server, in_outage=in_outage)
        if waiter is None:
            return False
        self.acquire(waiter, server)
        return True

    def _refuse(self, waiter: Waiter) -> None:
        """Refuse a waiter whose time is over."""
        self.leave(waiter)
        if (outage := waiter.outage) is not None:
            waiter.unreached(self.unreachable(OSError()), outage.server, outage.cause)
            return
        is_full = all(server.load.busy >= self._places for server in self.servers)
        self._queues.refuse(waiter, is_full=is_full)


def _refusal(error: OSError) -> Refusal:
    """What a client gets if its request could not be sent for this reason."""
    silent = isinstance(error, TimeoutError)
    return refusals.UPSTREAM_SILENT if silent else refusals.UPSTREAM_REFUSED
