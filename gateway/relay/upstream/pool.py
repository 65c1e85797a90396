"""The places at the servers of an upstream: which request gets one, and when.

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
from gateway.relay.upstream.dialler import Dialler
from gateway.relay.upstream.known_servers import KnownServers
from gateway.relay.upstream.policy import Policy
from gateway.relay.upstream.queues import Queues
from gateway.relay.upstream.restarts import Restarts
from gateway.relay.upstream.server import Server
from gateway.relay.upstream.streams import StreamPlaces
from gateway.relay.upstream.waiter import Waiter

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection


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
        policy = policy or Policy()
        self.streams = streams
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
        self.known = KnownServers(name, policy, self._restarts)
        self.known.have(tuple(servers))
        self._dialler = Dialler(
            new_connection, connect_timeout, opened=self._dialled, failed=self._dial_failed
        )

    def acquire(self, waiter: Waiter, server: Server | None = None) -> None:
        """Give the waiter a connection.

        It is an idle one now, a new one soon, or one that becomes free. A request whose body has
        not begun gets none yet, so that many slow clients take no place.

        server: the one that has a place for it; otherwise one is chosen
        """
        if server is None:
            if waiter.uploading and waiter.postpones():
                return
            server = self.known.only or self._chosen(waiter)
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
        if waiter.outage is not None:
            self.known.lost(waiter)

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
            self.known.ended(connection, is_answered=waiter.is_answered)
        if reusable and connection.usable:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.exchange = None
            connection.abort()
            if load.is_probed and not waiter.is_answered:
                load.forget_probe(time.monotonic())
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
            if server.breaker is not None:  # a stream may last for days: it is no failure by now
                self.known.ended(connection, is_answered=True)
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
    def servers(self) -> tuple[Server, ...]:
        """The servers that it has now."""
        return self.known.all

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
        self.known.have(tuple(servers))
        for server in set(before).difference(self.servers):
            server.retire()
        for server in set(self.servers).difference(before):
            server.load.start_slowly(time.monotonic())
            self._restarts.end()
            self._give_all(server)

    def reached(self, server: Server) -> None:
        """Note that a server can be reached: requests that wait for that get its places."""
        if self._restarts.all_are_away:
            self._restarts.end()
            self._give_all(server)

    def sweep(self, now: float) -> None:
        """Refuse waiters whose time is over (`now`: monotonic seconds)."""
        self.known.sweep(now)
        for waiter in self._queues.late(now):
            self._refuse(waiter)

    def close(self) -> None:
        """Close idle connections, and stop dialling."""
        self._restarts.close()
        self.known.close()
        self._dialler.close()

    def _chosen(self, waiter: Waiter) -> Server | None:
        """The server that gets the request. None if it is refused."""
        chosen = self.known.choose(waiter)
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
        self.known.dial_failed(waiter, server, error)
        server.free_place(waiter)
        if not waiter.waits:
            self.known.ended(waiter, is_answered=False)
            return
        waiter.tried |= {server}
        if self.known.has_other_than(waiter.tried):
            self.known.goes_on(waiter)
            self.acquire(waiter)
        elif self._restarts.have_wait(waiter, server, error):
            self.known.goes_on(waiter)
        else:
            self.known.lost(waiter)
            waiter.unreached(self.known.unreachable(error), server, cause)

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
            waiter.unreached(self.known.unreachable(OSError()), outage.server, outage.cause)
            return
        is_full = all(server.load.busy >= self._places for server in self.servers)
        self._queues.refuse_late(waiter, is_full=is_full)
