"""The relay as it runs: it listens, drains and ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from gateway.core.http.addresses import Address, Entrance
from gateway.observe.access_record import Records
from gateway.relay.client.certificates import Certificates
from gateway.relay.client.listening import Listening
from gateway.relay.client.registered import Clients, Registered
from gateway.relay.exchange.context import Context
from gateway.relay.http1 import websocket
from gateway.relay.logouts.live_sessions import LiveSessions
from gateway.relay.loop.delay import DelayMeter
from gateway.relay.traffic_report import TrafficReport
from gateway.relay.upstream.pool import Pool

_log = logging.getLogger("gateway.relay")

_STDERR = 2

# For how long a relay looks at its servers before the first request, in seconds: those that work
# have answered by then, and one that hangs delays no start for longer.
_FIRST_LOOK_SECONDS = 1.0

# How often a draining relay checks whether its clients have gone, in seconds.
_DRAIN_STEP_SECONDS = 0.05

# For how long a draining relay leaves idle connections open, in seconds. A client that is just
# sending over one would lose its request; so it is answered, and told that this was the last one.
_LAST_REQUESTS_SECONDS = 1.0

# How long WebSocket clients have to answer a close frame, in seconds.
_CLOSE_FRAME_SECONDS = 1.0


class DrainOrders(Protocol):
    """What a draining relay is told.

    is_retired: other workers have taken over
    ending: end at once
    ending_tunnels: end tunnels, which may last for days
    ended_routes: the numbers of rules whose tunnels and streams end
    """

    is_retired: bool
    ending: asyncio.Event
    ending_tunnels: asyncio.Event
    ended_routes: frozenset[int]


class Relay:
    """Owns the listening sockets, the pools and everything in flight."""

    def __init__(
        self,
        context: Context,
        *,
        clients: Clients,
        pools: Sequence[Pool],
        live: LiveSessions,
        listening: Listening,
        records: Records,
        report: TrafficReport,
        meter: DelayMeter,
    ) -> None:
        """The parts that run with the relay.

        clients: the open connections of clients
        live: ends exchanges with their session
        records: of ended requests; they are flushed at each tick, and at the end
        report: the metrics of the rest, which are published at the same times
        meter: measures the delay of the event loop
        """
        self._clients = clients
        self._pools = pools
        self._live = live
        self._listening = listening
        self._records = records
        self._report = report
        self._meter = meter
        self._clock = context.clock

    async def look_at_servers(self) -> None:
        """Find out which servers work, before the first request."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await asyncio.gather(*(pool.known.begin() for pool in self._pools))

    async def start(
        self,
        listeners: Iterable[tuple[socket.socket, Address]],
        certificates: Mapping[Entrance, Certificates],
    ) -> None:
        """Accept connections on these bound sockets, each as its address says.

        certificates: of the listeners with TLS
        """
        self._listening.certificates = certificates
        self._clock.sweeps += [pool.sweep for pool in self._pools]
        self._clock.sweeps.append(self._live.sweep)
        self._clock.sweeps.append(self._tell_of_descriptors)
        self._clock.sweeps.append(self._listening.sweep)
        self._clock.sweeps.append(lambda _now: self._publish())
        self._clock.start()
        self._meter.start()
        for listener, address in listeners:
            await self._listening.listen(listener, address.entrance)

    @staticmethod
    def _tell_of_descriptors(_now: float) -> None:
        """Log that no file descriptor is left.

        libuv then closes new connections silently.
        """
        try:
            os.close(os.dup(_STDERR))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                _log.error("connections are refused: %s", error.strerror)

    async def stop_listening(self) -> None:
        """Accept no connections any more."""
        self._listening.drain()
        await self._listening.stop()

    async def drain(self, orders: DrainOrders) -> None:
        """Wait until all clients have gone, or until an order ends that."""
        if orders.is_retired:
            self._report.retire()
        await asyncio.sleep(_DRAIN_STEP_SECONDS)  # accepted ones become clients in the next turn
        idle_since: dict[Registered, float] = {}
        ending = orders.ending
        while self._clients and not ending.is_set():
            idle_since = self._close_idle(idle_since)
            if orders.ending_tunnels.is_set():
                self._close_tunnels(websocket.SERVICE_RESTART)
            if orders.ended_routes:
                self._end_streams(orders.ended_routes)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), _DRAIN_STEP_SECONDS)

    async def end(self, close_status: int) -> None:
        """Cut all exchanges.

        WebSocket clients get this close status (RFC 6455 §7.4).
        """
        await self._end_tunnels(close_status)
        for client in list(self._clients):
            client.cut(reset=True)
        for pool in self._pools:
            pool.close()
        await asyncio.sleep(0)
        self._clock.stop()
        self._meter.stop()
        self._live.stop()
        self._publish()

    def _publish(self) -> None:
        """Publish what has been counted until now."""
        self._report.publish()
        self._records.flush()

    def _end_streams(self, ended: frozenset[int]) -> None:
        """End the tunnels and streams of these rules."""
        for client in list(self._clients):
            exchange = client.exchange
            if exchange is None or exchange.forward is None or not exchange.is_endless:
                continue
            if exchange.forward.route.number in ended and not exchange.close_tunnel(
                websocket.GOING_AWAY
            ):
                client.cut(reset=True)

    def _close_idle(self, idle_since: dict[Registered, float]) -> dict[Registered, float]:
        """Close connections that have been idle for long enough.

        Returns the other idle ones, with the times since when they are (seconds).
        """
        now = asyncio.get_running_loop().time()
        idle = {
            client: idle_since.get(client, now)
            for client in self._clients
            if client.exchange is None and not client.buffer
        }
        for client, since in idle.items():
            if now - since >= _LAST_REQUESTS_SECONDS:
                client.close()
        return idle

    async def _end_tunnels(self, status: int) -> None:
        """Send close frames, and wait a moment for the clients to close."""
        closing = self._close_tunnels(status)
        for _ in range(round(_CLOSE_FRAME_SECONDS / _DRAIN_STEP_SECONDS)):
            if not closing & self._clients:
                return
            await asyncio.sleep(_DRAIN_STEP_SECONDS)

    def _close_tunnels(self, status: int) -> set[Registered]:
        """Send close frames between two frames. Returns the clients that got one."""
        return {
            client
            for client in list(self._clients)
            if client.exchange is not None and client.exchange.close_tunnel(status)
        }
