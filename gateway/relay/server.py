"""The relay as a whole: built from a configuration, then listening, then drained."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from gateway.config.login_places import has_pending, key_places
from gateway.config.realms import CALLERS, realms
from gateway.core.http.addresses import BACKLOG
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.core.sessions.session import Session
from gateway.observe import access_record
from gateway.observe.access_record import RecordSink
from gateway.outbound.jwks import KeySets
from gateway.outbound.token_readers import open_reader, without_temporary
from gateway.pages.refusals import RefusalPages
from gateway.relay.access.admission import Load
from gateway.relay.access.decision import Decider
from gateway.relay.access.forward_auth import VerifyEndpoint
from gateway.relay.access.jwt_callers import JwtCallers
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.route_table import RouteTable
from gateway.relay.client.connection import ClientConnection
from gateway.relay.exchange.context import Context
from gateway.relay.exchange.exchange import Exchange
from gateway.relay.http1 import websocket
from gateway.relay.http1.request_ids import RequestIds
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.logouts.backend_logouts import SessionEnder
from gateway.relay.logouts.live_sessions import LiveSessions
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import Settings
from gateway.relay.loop.write_batch import WriteBatch
from gateway.relay.setup.builder import Builder
from gateway.relay.upstream.server import Connect

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.store.sessions import Sessions

_log = logging.getLogger("gateway.relay")

_STDERR = 2

# How much of a connection is read ahead, in bytes.
_READ_AHEAD = 65536

# Seconds for a byte where `limits.min_rate` is 0: more than any timeout.
_NO_LIMIT = 1e9

# How many connections, and requests in flight, one address may always have.
_ALWAYS = 64

# How often a draining relay checks whether its clients have gone, in seconds.
_DRAIN_STEP = 0.05

# For how long a draining relay leaves idle connections open, in seconds. A client that is just
# sending over one would lose its request; so it is answered, and told that this was the last one.
_LAST_REQUESTS = 1.0

# How long WebSocket clients have to answer a close frame, in seconds.
_CLOSE_FRAME_SECONDS = 1.0


class Relay:
    """Owns the listening sockets, the pools and everything in flight."""

    def __init__(
        self,
        config: Config,
        *,
        sessions: Sessions,
        key_sets: KeySets,
        endpoints: dict[str, Connect],
        captures: Connect,
        render: Callable[[Session], bytes],
        record_sinks: Sequence[RecordSink],
        refused: Callable[[Refusal], None],
        instance: str,
    ) -> None:
        """The gateway's own parts that the relay works with.

        endpoints: by path (or by prefix, with a star at the end), what connects to its endpoint
        captures: connects to the endpoint that asks upstreams where tokens are captured
        render: makes the fields that upstreams get for a session
        record_sinks: take note of each request
        refused: is called with each refusal
        instance: the gateway's name in `Via`, by which it finds loops
        """
        self._clients: set[ClientConnection] = set()
        self._clock = Clock(
            self._clients, config.timeouts.write, _seconds_per_byte(config.limits.min_rate)
        )
        loop = asyncio.get_running_loop()
        write_batch = WriteBatch(loop)
        settings = _settings(config)
        builder = Builder(config, settings, self._clock, write_batch, captures)
        requests = RequestReader(
            instance=instance,
            identity=config.identity,
            max_fields=config.limits.fields,
            key_field=config.keys.field,
        )
        verify_endpoint = VerifyEndpoint(
            requests, identity=config.identity, key_field=config.keys.field
        )
        own = [builder.endpoint(path, connect) for path, connect in endpoints.items()]
        if config.verify is not None:
            own += verify_endpoint.routes(config.verify.path)
        table = RouteTable(
            own,
            [
                (rule.path, rule.methods, builder.route(at, rule))
                for at, rule in enumerate(config.routes)
            ],
            builder.logins,
        )
        request_ids = RequestIds(Random(SystemRandom().getrandbits(256)))  # noqa: S311 (no secrets)
        load = self._load(config)
        cookies = _trusted_cookies(config)
        self._pools = builder.pools
        self._record_sinks = record_sinks
        self._servers: list[asyncio.Server] = []
        self._listeners: tuple[socket.socket, ...] = ()
        self._context = Context(
            settings=settings,
            clock=self._clock,
            requests=requests,
            decider=Decider(
                table,
                verify_endpoint,
                sessions,
                load,
                _jwt_callers(config, key_sets, sessions, render),
                cookies,
            ),
            load=load,
            connections=self._connection_shares(config),
            request_ids=request_ids,
            record=access_record.to_all(record_sinks),
            instance=instance,
            proxies=Trusted(config.trusted_proxies),
            describing=Trusted(() if config.verify is None else config.verify.trusted),
            write_batch=write_batch,
            loop=loop,
            cookies=cookies,
            ender=SessionEnder(sessions, loop),
            report=sessions.report,
            refused=refused,
            pages=RefusalPages(config.pages.templates),
        )
        self._live = LiveSessions(self._exchanges, sessions, config.session.idle_timeout)

    def _exchanges(self) -> Iterable[Exchange]:
        """The exchanges in flight."""
        return (client.exchange for client in self._clients if client.exchange is not None)

    def _load(self, config: Config) -> Load:
        limits = config.limits

        def holders() -> Iterable[str]:
            return (exchange.network for exchange in self._exchanges())

        shares = Shares(limits.requests, limits.per_address, holders, always=_ALWAYS)
        return Load(limits.requests, shares)

    def _connection_shares(self, config: Config) -> Shares:
        limits, clients = config.limits, self._clients

        def holders() -> Iterable[str]:
            return (client.peer.own_network for client in clients)

        return Shares(limits.connections, limits.per_address, holders, always=_ALWAYS)

    async def start(self, listeners: Iterable[socket.socket]) -> None:
        """Accept connections on these bound sockets."""
        loop = asyncio.get_running_loop()
        self._clock.sweeps += [pool.sweep for pool in self._pools]
        self._clock.sweeps.append(self._live.sweep)
        self._clock.sweeps.append(self._tell_of_descriptors)
        self._clock.sweeps.append(lambda _now: self._flush_records())
        self._clock.start()
        self._listeners = tuple(listeners)
        for listener in self._listeners:
            create: Callable[..., Awaitable[asyncio.Server]] = (
                loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
            )
            self._servers.append(await create(self._new_client, sock=listener, backlog=BACKLOG))

    def _new_client(self) -> ClientConnection:
        return ClientConnection(self._context, self._clients)

    @staticmethod
    def _tell_of_descriptors(_now: float) -> None:
        """Log that no file descriptor is left: libuv then closes new connections silently."""
        try:
            os.close(os.dup(_STDERR))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                _log.error("connections are refused: %s", error.strerror)

    async def drain(self, ending: asyncio.Event, ending_tunnels: asyncio.Event) -> None:
        """Stop accepting, and wait until all clients have gone, or until `ending` is set.

        Tunnels end when `ending_tunnels` is set, since they may last for days.
        """
        self._context.draining = True
        await self._stop_listening()
        await asyncio.sleep(_DRAIN_STEP)  # accepted connections become clients in the next turn
        idle_since: dict[ClientConnection, float] = {}
        while self._clients and not ending.is_set():
            idle_since = self._close_idle(idle_since)
            if ending_tunnels.is_set():
                self._close_tunnels(websocket.SERVICE_RESTART)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), _DRAIN_STEP)

    async def end(self, close_status: int) -> None:
        """Cut all exchanges. WebSocket clients get this close status (RFC 6455 §7.4)."""
        await self._end_tunnels(close_status)
        for client in list(self._clients):
            client.cut(reset=True)
        for pool in self._pools:
            pool.close()
        await asyncio.sleep(0)
        self._clock.stop()
        self._live.stop()
        self._flush_records()

    def _flush_records(self) -> None:
        for sink in self._record_sinks:
            sink.flush()

    async def _stop_listening(self) -> None:
        """Close the listeners. Connections that wait in their queues are accepted before.

        A worker's successor shares the sockets, and may accept them first.
        """
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.setblocking(False)  # noqa: FBT003 (the socket API's own)
                    await loop.connect_accepted_socket(self._new_client, connection)
        for server in self._servers:
            server.close()

    def _close_idle(
        self, idle_since: dict[ClientConnection, float]
    ) -> dict[ClientConnection, float]:
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
            if now - since >= _LAST_REQUESTS:
                client.close()
        return idle

    async def _end_tunnels(self, status: int) -> None:
        """Send close frames, and wait a moment for the clients to close."""
        told = self._close_tunnels(status)
        for _ in range(round(_CLOSE_FRAME_SECONDS / _DRAIN_STEP)):
            if not told & self._clients:
                return
            await asyncio.sleep(_DRAIN_STEP)

    def _close_tunnels(self, status: int) -> set[ClientConnection]:
        """Send close frames between two frames. Returns the clients that got one."""
        return {
            client
            for client in list(self._clients)
            if client.exchange is not None and client.exchange.close_tunnel(status)
        }


def _jwt_callers(
    config: Config, key_sets: KeySets, sessions: Sessions, render: Callable[[Session], bytes]
) -> JwtCallers | None:
    if config.jwt is None:
        return None
    read = open_reader(config.jwt, key_sets, config.session.clock_skew)
    if has_pending(config):
        read = without_temporary(read, sessions.temporary_tokens)
    return JwtCallers(read, render, realms(config)[CALLERS], config.jwt.subject)


def _trusted_cookies(config: Config) -> TrustedCookies:
    """A captured token may come in a cookie as a login's does."""
    places = key_places(config)
    return TrustedCookies(config.keys.cookie, places, secure=config.keys.secure)


def _seconds_per_byte(min_rate: int) -> float:
    """The inverse of a rate in bytes per second; 0 is no limit."""
    return 1 / min_rate if min_rate else _NO_LIMIT


def _settings(config: Config) -> Settings:
    timeouts, limits = config.timeouts, config.limits
    return Settings(
        head=timeouts.head,
        idle=timeouts.idle,
        body_idle=timeouts.body_idle,
        write=timeouts.write,
        continue_=timeouts.continue_,
        tunnel_idle=timeouts.tunnel_idle,
        linger=timeouts.linger,
        head_size=limits.head_size,
        target_size=limits.target_size,
        response_head_size=limits.response_head_size,
        read_ahead=max(_READ_AHEAD, limits.head_size + 1),  # so that the largest head fits
        connections=limits.connections,
        seconds_per_byte=_seconds_per_byte(limits.min_rate),
        captures=any(rule.captures is not None for rule in config.routes),
        skew=config.session.clock_skew,
        renew_on_401=config.session.renew_on_upstream_401,
        end_on_401=config.session.end_on_upstream_401,
    )
