"""The relay as a whole: built from a configuration, listening on sockets, drained at the end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from gateway.config.own_tokens import minter
from gateway.core import paths, refusals
from gateway.core.addresses import ServerUrl
from gateway.core.cors import Policy
from gateway.core.refusals import Refusal
from gateway.key_sets import KeySets
from gateway.logins import backend_paths, key_cookies, token_places
from gateway.observe.access_log import AccessLog
from gateway.pages.refusals import RefusalPages
from gateway.relay.bearers import Bearers
from gateway.relay.browsers import TrustedCookies
from gateway.relay.client import ClientConnection
from gateway.relay.clock import Clock
from gateway.relay.context import Context
from gateway.relay.decision import Decider, Load
from gateway.relay.forward_auth import ForwardAuth
from gateway.relay.live import LiveSessions
from gateway.relay.outgoing import Names
from gateway.relay.pool import Connect, Pool, Server
from gateway.relay.requests import RequestReader
from gateway.relay.responses import ResponseReader
from gateway.relay.route_tokens import RouteTokens
from gateway.relay.routes import Auth, Destination, InPlace, Route, RouteTable
from gateway.relay.settings import Settings
from gateway.relay.upstream import UpstreamConnection
from gateway.verifiers import open_reader

if TYPE_CHECKING:
    from gateway.config.model import Config, Upstream
    from gateway.config.model import Route as RouteConfig
    from gateway.store.sessions import Sessions

# How many connections the kernel keeps until they are accepted.
_BACKLOG = 1024

# How much is read before it can be used, in bytes.
_READ_AHEAD = 65536

# How often a draining relay looks whether its last exchanges have ended, in seconds.
_DRAIN_STEP = 0.05

# For how long a draining relay leaves idle connections open, in seconds. A client that is just
# sending over one would lose its request; so it is answered, and told that this was the last one.
_LAST_REQUESTS = 1.0


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
        access_log: AccessLog,
        refused: Callable[[Refusal], None],
        instance: str,
    ) -> None:
        """`endpoints` are the gateway's own paths (or prefixes, with a star at the end), with what
        connects to who answers them; `captures` connects to who asks where tokens are captured, and
        `refused` is told of each refusal.
        """
        self._clock = Clock(config.timeouts.write)
        settings = _settings(config)
        builder = _Builder(config, settings, self._clock, captures)
        requests = RequestReader(
            instance=instance,
            identity=config.identity,
            most_fields=config.limits.fields,
            key_field=config.keys.field,
        )
        forward_auth = ForwardAuth(requests, identity=config.identity, key_field=config.keys.field)
        own = [builder.endpoint(path, connect) for path, connect in endpoints.items()]
        if config.verify is not None:
            own += forward_auth.routes(config.verify.path)
        table = RouteTable(
            own,
            [
                (rule.path, rule.methods, builder.route(at, rule))
                for at, rule in enumerate(config.routes)
            ],
        )
        names = Names(Random(SystemRandom().getrandbits(256)))  # noqa: S311 (names, not secrets)
        load = Load(config.limits.requests)
        self._pools = builder.pools
        self._servers: list[asyncio.Server] = []
        self._context = Context(
            settings=settings,
            clock=self._clock,
            requests=requests,
            decider=Decider(
                table,
                forward_auth,
                sessions,
                load,
                _bearers(config, key_sets),
                _trusted_cookies(config),
            ),
            load=load,
            names=names,
            access_log=access_log,
            instance=instance,
            trusted=config.trusted_proxies,
            describing=() if config.verify is None else config.verify.trusted,
            loop=asyncio.get_running_loop(),
            revoke=sessions.revoke,
            report=sessions.report,
            refused=refused,
            pages=RefusalPages(config.pages.templates),
        )
        self._live = LiveSessions(self._clock.clients, sessions, config.session.idle_timeout)

    async def start(self, listeners: Iterable[socket.socket]) -> None:
        """Begins to accept on sockets that are bound already."""
        loop = asyncio.get_running_loop()
        self._clock.sweeps += [pool.sweep for pool in self._pools]
        self._clock.sweeps.append(self._live.sweep)
        self._clock.sweeps.append(lambda _now: self._context.access_log.flush())
        self._clock.start()
        for listener in listeners:
            create: Callable[..., Awaitable[asyncio.Server]] = (
                loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
            )
            self._servers.append(
                await create(
                    lambda: ClientConnection(self._context), sock=listener, backlog=_BACKLOG
                )
            )

    async def drain(self, seconds: float) -> None:
        """Accepts nothing more, lets what is in flight end, and cuts the rest after `seconds`."""
        context = self._context
        context.draining = True
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        lets_idle = min(until, loop.time() + _LAST_REQUESTS)
        while loop.time() < until and self._clock.clients:
            if loop.time() >= lets_idle:
                for client in list(self._clock.clients):
                    if client.exchange is None and not client.buffer:
                        client.close()
            await asyncio.sleep(_DRAIN_STEP)
        for client in list(self._clock.clients):
            client.cut(reset=True)
        for pool in self._pools:
            pool.close()
        await asyncio.sleep(0)
        self._clock.stop()
        self._live.stop()
        context.access_log.flush()


def _bearers(config: Config, key_sets: KeySets) -> Bearers | None:
    if config.jwt is None:
        return None
    read = open_reader(config.jwt, key_sets, config.session.clock_skew)
    return Bearers(read, config.identity)


def _trusted_cookies(config: Config) -> TrustedCookies:
    """A captured token may come in a cookie as a login's does."""
    captured = [rule.captures for rule in config.routes if rule.captures is not None]
    places = [*token_places(config), *captured]
    return TrustedCookies(config.keys.cookie, places, secure=config.keys.secure)


def _settings(config: Config) -> Settings:
    timeouts, limits = config.timeouts, config.limits
    return Settings(
        head=timeouts.head,
        idle=timeouts.idle,
        body_idle=timeouts.body_idle,
        write=timeouts.write,
        continue_=timeouts.continue_,
        upstream_idle=timeouts.upstream_idle,
        tunnel_idle=timeouts.tunnel_idle,
        linger=timeouts.linger,
        head_size=limits.head_size,
        target_size=limits.target_size,
        response_head_size=limits.response_head_size,
        read_ahead=max(_READ_AHEAD, limits.head_size + 1),  # or a large head would never be whole
        connections=limits.connections,
        captures=any(rule.captures is not None for rule in config.routes),
        end_on_401=config.session.end_on_upstream_401,
    )


class _Builder:
    """Turns the rules of config.yaml into routes and pools."""

    def __init__(self, config: Config, settings: Settings, clock: Clock, captures: Connect) -> None:
        self._config = config
        self._captures = captures
        self._settings = settings
        self._clock = clock
        own = frozenset(name.encode() for name in key_cookies(config))
        self._reader = ResponseReader(own_cookies=own)
        self._minter = minter(config)
        guarded = _guarded(config)
        self._upstreams = {
            name: self._upstream(name, upstream, guarded[name])
            for name, upstream in config.upstreams.items()
        }
        self.pools = list(self._upstreams.values())
        # Where a proxy sends what may pass is not ours to know, so all of the paths are guarded.
        everywhere = frozenset().union(*guarded.values())
        self._nowhere = InPlace(lambda exchange: exchange.fail(refusals.NO_ROUTE), everywhere)

    def route(self, number: int, rule: RouteConfig) -> Route:
        timeouts, limits = self._config.timeouts, self._config.limits
        upstream, captures = rule.upstream, rule.captures is not None
        pool: Destination = self._nowhere
        keeps_host = True
        if captures:
            pool = self._own_pool(self._captures)
        elif upstream is not None:
            pool = self._upstreams[upstream]
            keeps_host = self._config.upstreams[upstream].host == "client"
        return Route(
            name=rule.path,
            pool=pool,
            auth=Auth(rule.auth),
            captures=number if captures else None,
            keeps_host=keeps_host,
            strip_prefix=(rule.strip_prefix or "").encode().rstrip(b"/"),
            websocket=rule.websocket,
            close_on_logout=rule.close_on_logout,
            claims=rule.claims,
            token=RouteTokens.of(rule.token, self._minter),
            bad_key_is_anonymous=rule.bad_key == "anonymous",
            accepts_jwt=rule.accept_jwt == "verify",
            login_page=None if rule.on_unauthenticated == "401" else self._config.login_page,
            always_to_login=rule.on_unauthenticated == "login",
            cors=Policy.of(rule.cors or self._config.cors),
            response_timeout=(
                timeouts.response if rule.response_timeout is None else rule.response_timeout
            ),
            body_limit=limits.body_size if rule.body_size is None else rule.body_size,
        )

    def endpoint(self, path: str, connect: Connect) -> Route:
        """One of the gateway's own paths, or all below one."""
        return Route(
            name=path,
            pool=self._own_pool(connect),
            auth=Auth.OFFERED,
            is_endpoint=True,
            close_on_logout=False,  # a logout must not end itself
            cors=Policy.of(self._config.cors),
            response_timeout=self._config.timeouts.response,
            body_limit=self._config.limits.body_size,
        )

    def _own_pool(self, connect: Connect) -> Pool:
        """The endpoints as an upstream. Their answers may set the cookies that others' must not."""
        reader = ResponseReader(own_cookies=())
        pool = self._pool("gateway", [Server("gateway", connect)], b"", frozenset(), reader)
        self.pools.append(pool)
        return pool

    def _upstream(self, name: str, upstream: Upstream, guarded: frozenset[bytes]) -> Pool:
        servers = [Server(str(url), _connect(url, upstream)) for url in upstream.servers]
        host = upstream.servers[0].authority.encode()
        return self._pool(name, servers, host, guarded, self._reader, upstream.max_connections)

    def _pool(
        self,
        name: str,
        servers: list[Server],
        host: bytes,
        guarded: frozenset[bytes],
        reader: ResponseReader,
        most: int = 256,
    ) -> Pool:
        return Pool(
            name,
            servers,
            host=host,
            guarded=guarded,
            most=most,
            connect_timeout=self._config.timeouts.connect,
            new_connection=lambda server, pool: UpstreamConnection(
                server, pool, reader, self._settings, self._clock
            ),
        )


def _guarded(config: Config) -> dict[str, frozenset[bytes]]:
    """By upstream: the paths of backends' logins, wherever one of their servers is reached."""

    def places(upstream: Upstream) -> set[tuple[str, int, str]]:
        return {
            ("127.0.0.1" if url.host == "localhost" else url.host, url.port, url.path)
            for url in upstream.servers
        }

    return {
        name: frozenset(
            paths.guard_form(path.encode())
            for asked, path in backend_paths(config)
            if places(upstream) & places(config.upstreams[asked])
        )
        for name, upstream in config.upstreams.items()
    }


def _connect(url: ServerUrl, upstream: Upstream) -> Connect:
    """What opens a connection to one server."""
    context: ssl.SSLContext | None = None
    if url.tls:
        context = ssl.create_default_context(cafile=upstream.tls.ca_file)
        if not upstream.tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE

    async def connect(factory: Callable[[], UpstreamConnection]) -> object:
        loop = asyncio.get_running_loop()
        if url.scheme == "unix":
            return await loop.create_unix_connection(factory, url.path)
        return await loop.create_connection(factory, url.host, url.port, ssl=context)

    return connect
